//! Pairs of answers, and their lengths: a reward model that learns from better answers which are always longer learns
//! the length.

use crate::artifacts::{PreferenceRow, SampleRow};
use crate::opinions::Reads;

/// Most difference of mean lengths, as a share of the worse ones' mean.
const TOLERANCE: f64 = 0.05;

/// A better answer, a worse one, and by how much it is better.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Lead {
    pub(super) chosen: usize,
    pub(super) rejected: usize,
    pub(super) by: f64,
}

/// A pair, with the lengths of its answers in characters.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pair {
    places: [usize; 2],
    pub(super) chosen: usize,
    pub(super) rejected: usize,
}

impl Lead {
    pub(super) fn of(self, samples: &[SampleRow], reads: Reads) -> Pair {
        let length = |place: usize| reads.of(&samples[place].completion).chars().count();
        Pair { places: [self.chosen, self.rejected], chosen: length(self.chosen), rejected: length(self.rejected) }
    }
}

impl Pair {
    /// Returns the pair as a row of preferences.
    pub(super) fn row(&self, samples: &[SampleRow]) -> PreferenceRow {
        let [chosen, rejected] = self.places.map(|place| &samples[place]);
        PreferenceRow::Pairwise {
            prompt: chosen.prompt.clone(),
            chosen: chosen.completion.clone(),
            rejected: rejected.completion.clone(),
        }
    }

    fn excess(&self) -> i64 {
        self.chosen as i64 - self.rejected as i64
    }
}

/// Leaves out pairs until the better and the worse answers are equally long on average: those first in which the
/// difference is greatest.
pub(super) fn balance(pairs: &mut Vec<Pair>) {
    let mut order: Vec<usize> = (0..pairs.len()).collect();
    let mut excess: i64 = pairs.iter().map(Pair::excess).sum();
    let mut rejected: i64 = pairs.iter().map(|pair| pair.rejected as i64).sum();
    let sign = excess.signum();
    order.sort_by_key(|index| (-sign * pairs[*index].excess(), *index));
    let mut out = vec![false; pairs.len()];
    for index in order {
        if (excess * sign) as f64 <= TOLERANCE * rejected as f64 {
            break;
        }
        out[index] = true;
        excess -= pairs[index].excess();
        rejected -= pairs[index].rejected as i64;
    }
    let mut out = out.into_iter();
    pairs.retain(|_| !out.next().unwrap_or_default());
}

/// Returns what orders the answers to a prompt before they are paired.
pub(super) fn orders(seed: u64, sample: &SampleRow) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"pairs").update(&seed.to_le_bytes());
    *hasher.update(sample.completion.as_bytes()).finalize().as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(chosen: usize, rejected: usize) -> Pair {
        Pair { places: [0, 1], chosen, rejected }
    }

    #[test]
    fn pairs_are_left_out_until_lengths_are_alike() {
        let mut pairs = vec![pair(100, 10), pair(20, 21), pair(40, 20), pair(30, 30), pair(10, 12)];
        balance(&mut pairs);
        assert_eq!(pairs, [pair(20, 21), pair(30, 30), pair(10, 12)]);
        let mut short = vec![pair(10, 90), pair(20, 20)];
        balance(&mut short);
        assert_eq!(short, [pair(20, 20)]);
        let mut none = vec![pair(9, 1), pair(8, 2)];
        balance(&mut none);
        assert!(none.is_empty());
        balance(&mut none);
    }
}
