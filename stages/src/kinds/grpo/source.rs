//! Which prompts come next: all sets as one, or a mixture in which each set has its share.

use engine::artifact::Prompts;
use engine::stage::{Input, StageError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::limits;
use crate::sampling::Question;
use crate::training::rows::Order;

/// A set's share of the prompts.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Share {
    /// One of the sets in `prompts`.
    pub prompts: Input<Prompts>,
    /// Its share is this weight divided by the weights of all sets that have begun.
    #[serde(default = "one")]
    #[schemars(range(min = 0.001, max = 1_000.0))]
    pub weight: f64,
    /// Number of updates before the set is drawn from. R1 adds general prompts in the last 400 of 1,700 steps.
    #[serde(default)]
    #[schemars(range(max = limits::STEPS))]
    pub from_step: u64,
}

fn one() -> f64 {
    1.0
}

/// Weights are whole numbers of this part, so that the shares do not depend on rounding.
const PART: f64 = 1e-3;

/// Refuses a mixture that does not say what share each of `prompts` has.
pub(super) fn check(mixture: Option<&[Share]>, prompts: &[Input<Prompts>]) -> Result<(), StageError> {
    let Some(mixture) = mixture else { return Ok(()) };
    let known = || prompts.iter().map(Input::name).collect::<Vec<_>>().join("`, `");
    for set in prompts {
        let shares = mixture.iter().filter(|share| share.prompts.name() == set.name()).count();
        if shares != 1 {
            let name = set.name();
            let message = format!("`mixture` has {shares} entries for `{name}`: each set in `prompts` has one");
            return Err(StageError::new(message).with_help("leave a set that is not to be drawn from out of `prompts`"));
        }
    }
    if let Some(stranger) = mixture.iter().find(|share| prompts.iter().all(|set| set.name() != share.prompts.name())) {
        let message = format!("`mixture` is on `{}`, which is none of the stage's prompts", stranger.prompts.name());
        return Err(StageError::new(message).with_help(format!("the stage's prompts are `{}`", known())));
    }
    if mixture.iter().all(|share| share.from_step > 0) {
        return Err(StageError::new("no set of `mixture` is drawn from at step 0")
            .with_help("leave `from-step` out of one of them"));
    }
    Ok(())
}

/// Draws prompts. Each set is shuffled anew in each of its epochs.
pub(super) struct PromptSource {
    sets: Vec<Set>,
}

struct Set {
    /// Indices of its questions.
    questions: Vec<usize>,
    order: Order,
    /// The questions of the first epoch, where they come in an order of their own.
    first: Option<Vec<usize>>,
    /// In thousandths.
    weight: i64,
    from_step: u64,
}

/// Where a [`PromptSource`] is: part of the checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Position(Vec<Drawn>);

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Drawn {
    /// Prompts drawn from the set.
    count: u64,
    /// How much the set is owed, in parts of a prompt.
    credit: i64,
}

impl PromptSource {
    /// Makes the source of `questions`, which are of the sets `prompts`, with the shares of a checked `mixture`; without
    /// one, all questions are one set.
    pub(super) fn new(
        questions: &[Question],
        prompts: &[Input<Prompts>],
        mixture: Option<&[Share]>,
        seed: u64,
    ) -> Result<Self, StageError> {
        let of_set = |set: &Input<Prompts>| mixture?.iter().find(|share| share.prompts.name() == set.name());
        let shares: Vec<_> = prompts.iter().filter_map(of_set).map(|share| (share.weight, share.from_step)).collect();
        Self::with_shares(questions, &shares, seed)
    }

    /// `mixture`: weight and first step of each set; if it is empty, all questions are one set.
    fn with_shares(questions: &[Question], mixture: &[(f64, u64)], seed: u64) -> Result<Self, StageError> {
        let set = |index: usize, weight: f64, from_step: u64| {
            let is_of_set = |question: &Question| mixture.is_empty() || question.set == index;
            let questions: Vec<usize> = (0..questions.len()).filter(|row| is_of_set(&questions[*row])).collect();
            if questions.is_empty() {
                let message = format!("no prompt of the {}. set leaves room for an answer", index + 1);
                return Err(StageError::new(message).with_help("leave it out of `prompts` and `mixture`"));
            }
            // The same stream for the only set as ever; another for each further one.
            let order = Order::new(seed.wrapping_add(index as u64), questions.len(), 1);
            Ok(Set { questions, order, first: None, weight: ((weight / PART).round() as i64).max(1), from_step })
        };
        let shares = if mixture.is_empty() { &[(1.0, 0)][..] } else { mixture };
        let sets = shares.iter().enumerate().map(|(index, (weight, from_step))| set(index, *weight, *from_step));
        Ok(Self { sets: sets.collect::<Result<_, _>>()? })
    }

    /// Lets the easiest questions of each set come first in its first epoch, by pass rate; equally easy ones, and those
    /// whose rate is not known, in the order that they would come in otherwise. These come last.
    pub(super) fn easiest_first(&mut self, pass_rate: impl Fn(usize) -> Option<f64>) {
        for set in &mut self.sets {
            let mut order = set.order.clone();
            let mut rows: Vec<usize> =
                (0..set.questions.len() as u64).map(|position| set.questions[order.batch(position)[0]]).collect();
            let hardness = |row: &usize| 1.0 - pass_rate(*row).unwrap_or(-1.0);
            rows.sort_by(|one, two| hardness(one).total_cmp(&hardness(two)));
            set.first = Some(rows);
        }
    }

    /// Returns the next `count` questions at `step`, and moves `position` on.
    pub(super) fn next(&mut self, position: &mut Position, step: u64, count: usize) -> Vec<usize> {
        position.0.resize(self.sets.len(), Drawn::default());
        (0..count).map(|_| self.next_one(&mut position.0, step)).collect()
    }

    /// Takes the set that is owed most: after any number of draws, each has its share to within one prompt or so.
    fn next_one(&mut self, drawn: &mut [Drawn], step: u64) -> usize {
        let begun: Vec<usize> = (0..self.sets.len()).filter(|set| self.sets[*set].from_step <= step).collect();
        for set in &begun {
            drawn[*set].credit += self.sets[*set].weight;
        }
        let owed_most = begun.iter().copied().max_by_key(|set| (drawn[*set].credit, std::cmp::Reverse(*set)));
        let chosen = owed_most.expect("the mixture was checked: a set begins at step 0");
        drawn[chosen].credit -= begun.iter().map(|set| self.sets[*set].weight).sum::<i64>();
        let set = &mut self.sets[chosen];
        let position = drawn[chosen].count;
        drawn[chosen].count += 1;
        match set.first.as_ref().and_then(|first| first.get(position as usize)) {
            Some(question) => *question,
            None => set.questions[set.order.batch(position)[0]],
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::artifacts::PromptRow;
    use crate::verifiers::Verify;

    /// Returns so many questions of each set.
    pub(in super::super) fn questions(of_sets: &[usize]) -> Vec<Question> {
        let row = |id: usize| PromptRow {
            id: id.to_string(),
            prompt: id.to_string().into(),
            answer: None,
            verify: Verify::EXACT,
            tests: None,
            tolerance: None,
            task: None,
            language: None,
            source: String::new(),
        };
        let of_set = |(set, count): (usize, &usize)| {
            (0..*count)
                .map(|id| Question { row: row(id), source: String::new(), set, occurrence: 0, asked_instead: None })
                .collect::<Vec<_>>()
        };
        of_sets.iter().enumerate().flat_map(of_set).collect()
    }

    #[test]
    fn without_a_mixture_every_question_comes_once_an_epoch() {
        let questions = questions(&[3, 4]);
        let (mut source, mut position) = (PromptSource::with_shares(&questions, &[], 5).unwrap(), Position::default());
        let drawn = source.next(&mut position, 0, 21);
        assert_eq!(drawn, Order::new(5, 7, 21).batch(0));
    }

    #[test]
    fn each_set_has_its_share_from_its_step_on() {
        let questions = questions(&[3, 40, 5]);
        let mixture = [(2.0, 0), (1.0, 0), (1.0, 10)];
        let (mut source, mut position) =
            (PromptSource::with_shares(&questions, &mixture, 5).unwrap(), Position::default());
        let mut counts = |step: u64, position: &mut Position| {
            let drawn = source.next(position, step, 12);
            [0, 1, 2].map(|set| drawn.iter().filter(|row| questions[**row].set == set).count())
        };
        assert_eq!(counts(9, &mut position), [8, 4, 0]);
        // As after a kill: the position goes through a checkpoint.
        let mut position = serde_json::from_str(&serde_json::to_string(&position).unwrap()).unwrap();
        assert_eq!(counts(10, &mut position), [6, 3, 3]);
        assert_eq!(counts(11, &mut position), [6, 3, 3]);
    }

    #[test]
    fn the_easiest_come_first_and_each_comes_once() {
        let questions = questions(&[6]);
        let (mut source, mut position) = (PromptSource::with_shares(&questions, &[], 5).unwrap(), Position::default());
        source.easiest_first(|row| [Some(0.5), None, Some(1.0), Some(0.0), Some(0.25), None][row]);
        let drawn = source.next(&mut position, 0, 18);
        assert_eq!(drawn[..4], [2, 0, 4, 3]);
        let plain = Order::new(5, 6, 18).batch(0);
        let unknown = |rows: &[usize]| rows.iter().copied().filter(|row| [1, 5].contains(row)).collect::<Vec<_>>();
        assert_eq!(drawn[4..6], unknown(&plain[..6])[..]);
        assert_eq!(drawn[6..], plain[6..], "later epochs are shuffled as ever");
    }

    #[test]
    fn a_small_set_is_shuffled_anew_when_it_is_through() {
        let questions = questions(&[3, 40]);
        let mixture = [(1.0, 0), (1.0, 0)];
        let (mut source, mut position) =
            (PromptSource::with_shares(&questions, &mixture, 5).unwrap(), Position::default());
        let drawn = source.next(&mut position, 0, 24);
        let small: Vec<usize> = drawn.into_iter().filter(|row| *row < 3).collect();
        assert_eq!(small.len(), 12);
        for epoch in small.chunks(3) {
            let mut sorted = epoch.to_vec();
            sorted.sort_unstable();
            assert_eq!(sorted, [0, 1, 2]);
        }
    }
}
