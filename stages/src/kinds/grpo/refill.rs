//! Refilling a rollout: groups whose rewards are all equal teach nothing, so further prompts are sampled in their place
//! (DAPO's dynamic sampling, arXiv 2503.14476).

use super::advantage::has_one_value;
use super::rollout::Rollout;

/// The groups of a rollout, as they are sampled.
pub(super) struct Groups {
    wanted: usize,
    group_size: usize,
    /// Each with whether its rewards differ.
    sampled: Vec<(Vec<Rollout>, bool)>,
}

impl Groups {
    /// Begins a rollout of `wanted` groups.
    pub(super) fn new(wanted: usize, group_size: usize) -> Self {
        Self { wanted, group_size, sampled: Vec::with_capacity(wanted) }
    }

    /// Adds groups, one after the other in `rollouts`.
    pub(super) fn add(&mut self, rollouts: Vec<Rollout>) {
        let mut rollouts = rollouts.into_iter();
        loop {
            let group: Vec<Rollout> = rollouts.by_ref().take(self.group_size).collect();
            if group.is_empty() {
                return;
            }
            let rewards: Vec<f64> = group.iter().map(|rollout| rollout.reward).collect();
            self.sampled.push((group, !has_one_value(&rewards)));
        }
    }

    /// Returns how many groups with a signal are missing.
    pub(super) fn missing(&self) -> usize {
        self.wanted - self.num_teaching().min(self.wanted)
    }

    /// Returns how many groups without a signal have been replaced.
    pub(super) fn replaced(&self) -> usize {
        self.sampled.len().saturating_sub(self.wanted)
    }

    /// Returns the rollouts of the wanted groups, in the order in which they were sampled: those with a signal, and the
    /// first of the others if those are too few.
    pub(super) fn chosen(self) -> Vec<Rollout> {
        let mut room = self.wanted - self.num_teaching().min(self.wanted);
        let is_chosen = |(group, teaches): (Vec<Rollout>, bool)| {
            let takes_room = !teaches && room > 0;
            room -= usize::from(takes_room);
            (teaches || takes_room).then_some(group)
        };
        self.sampled.into_iter().filter_map(is_chosen).flatten().collect()
    }

    fn num_teaching(&self) -> usize {
        self.sampled.iter().filter(|(_, teaches)| *teaches).count()
    }
}

#[cfg(test)]
mod tests {
    use super::super::rollout::tests::rollout;
    use super::*;

    /// Adds groups of two: `true` for one with a signal. The question's index tells them apart.
    fn add(groups: &mut Groups, from: usize, teach: &[bool]) {
        let of_group = |(index, teaches): (usize, &bool)| {
            let second = if *teaches { 1.0 } else { 0.5 };
            [0.5, second].map(|reward| Rollout { question: from + index, reward, ..rollout() })
        };
        groups.add(teach.iter().enumerate().flat_map(of_group).collect());
    }

    fn chosen(groups: Groups) -> Vec<usize> {
        groups.chosen().chunks(2).map(|group| group[0].question).collect()
    }

    #[test]
    fn groups_without_a_signal_are_replaced_in_the_order_of_sampling() {
        let mut groups = Groups::new(4, 2);
        assert_eq!(groups.missing(), 4);
        add(&mut groups, 0, &[true, false, true, false]);
        assert_eq!((groups.missing(), groups.replaced()), (2, 0));
        add(&mut groups, 4, &[false, true]);
        assert_eq!((groups.missing(), groups.replaced()), (1, 2));
        add(&mut groups, 6, &[true]);
        assert_eq!((groups.missing(), groups.replaced()), (0, 3));
        assert_eq!(chosen(groups), [0, 2, 5, 6]);
    }

    #[test]
    fn what_is_missing_in_the_end_stays_without_a_signal() {
        let mut groups = Groups::new(3, 2);
        add(&mut groups, 0, &[false, true, false]);
        add(&mut groups, 3, &[false, false]);
        assert_eq!(chosen(groups), [0, 1, 2]);
    }
}
