//! The order of tokenised rows, and micro-batches.
//!
//! The rows of an update are a function of (seed, step) alone: each epoch is a permutation drawn from (seed, epoch),
//! and update `step` takes the next `batch` rows. So no position needs to be saved, and a resumed attempt gets the same
//! rows as an uninterrupted one.

use engine::stage::StageError;
use lm::Rows;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::artifacts::{TokenRow, TokenRows};

/// Which of the assistant's turns are learnt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Learn {
    /// The last one.
    #[default]
    Last,
    /// All; each is a row of its own after the turns before it, as the model will see them.
    All,
}

/// Updates that are foreseen to find the largest micro-batches. Later ones may be a little larger.
pub(crate) const FORESEEN: u64 = 64;

/// The size of a row or a micro-batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PassSize {
    /// Tokens.
    pub tokens: usize,
    /// Tokens that are predicted.
    pub targets: usize,
}

/// The largest micro-batches of some updates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LargestPasses {
    /// The first of an update, when there are no gradients yet.
    pub first: PassSize,
    /// The others.
    pub later: PassSize,
    /// The largest row, which no pass can be smaller than.
    pub row: PassSize,
}

impl LargestPasses {
    /// Returns the largest micro-batches of updates on rows of these sizes.
    pub(crate) fn of(updates: impl Iterator<Item = Vec<PassSize>>, max_tokens: usize) -> Self {
        let mut all = Self::default();
        for rows in updates {
            let lengths: Vec<usize> = rows.iter().map(|row| row.tokens).collect();
            for row in &rows {
                all.row.tokens = all.row.tokens.max(row.tokens);
                all.row.targets = all.row.targets.max(row.targets);
            }
            for (number, pass) in micro_batches(&lengths, max_tokens).into_iter().enumerate() {
                let largest = if number == 0 { &mut all.first } else { &mut all.later };
                let sum = |of: fn(&PassSize) -> usize| pass.iter().map(|index| of(&rows[*index])).sum::<usize>();
                largest.tokens = largest.tokens.max(sum(|row| row.tokens));
                largest.targets = largest.targets.max(sum(|row| row.targets));
            }
        }
        all
    }
}

/// The order in which rows are drawn.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    seed: u64,
    num_rows: usize,
    batch: usize,
    epoch: Option<(u64, Vec<usize>)>,
}

impl Order {
    /// Makes an order of `num_rows` rows with `batch` rows in an update. Panics if either is 0.
    pub(crate) fn new(seed: u64, num_rows: usize, batch: usize) -> Self {
        assert!(num_rows > 0 && batch > 0, "an order needs rows and a batch");
        Self { seed, num_rows, batch, epoch: None }
    }

    /// Returns the rows of update `step`.
    pub(crate) fn batch(&mut self, step: u64) -> Vec<usize> {
        let first = step * self.batch as u64;
        (first..first + self.batch as u64).map(|position| self.row(position)).collect()
    }

    /// Returns the largest micro-batches of the next updates, given the size of each row.
    pub(crate) fn largest_passes(&self, rows: &[PassSize], max_tokens: usize) -> LargestPasses {
        let mut order = self.clone();
        let updates = (0..FORESEEN).map(|step| order.batch(step).iter().map(|row| rows[*row]).collect());
        LargestPasses::of(updates, max_tokens)
    }

    fn row(&mut self, position: u64) -> usize {
        let epoch = position / self.num_rows as u64;
        if self.epoch.as_ref().is_none_or(|(current, _)| *current != epoch) {
            let mut rows: Vec<usize> = (0..self.num_rows).collect();
            let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
            rng.set_stream(epoch);
            rows.shuffle(&mut rng);
            self.epoch = Some((epoch, rows));
        }
        let (_, rows) = self.epoch.as_ref().expect("the epoch was just drawn");
        rows[(position % self.num_rows as u64) as usize]
    }
}

/// Splits row indices, longest rows first, into micro-batches of at most `max_tokens` tokens or one longer row.
///
/// Rows of similar length are together, which keeps attention's padding small. The order depends only on the lengths.
pub(crate) fn micro_batches(lengths: &[usize], max_tokens: usize) -> Vec<Vec<usize>> {
    let mut indices: Vec<usize> = (0..lengths.len()).collect();
    indices.sort_by_key(|index| std::cmp::Reverse(lengths[*index]));
    filled(indices, lengths, max_tokens)
}

/// Like [`micro_batches`], but rows of one group, which share their beginning, stay together as far as they fit: groups
/// of `groups` follow one another, the one with the longest row first.
pub(crate) fn micro_batches_of_groups(lengths: &[usize], groups: &[usize], max_tokens: usize) -> Vec<Vec<usize>> {
    let mut longest = std::collections::HashMap::new();
    for (length, group) in lengths.iter().zip(groups) {
        let longest = longest.entry(*group).or_insert(0);
        *longest = (*length).max(*longest);
    }
    let mut indices: Vec<usize> = (0..lengths.len()).collect();
    indices.sort_by_key(|index| std::cmp::Reverse((longest[&groups[*index]], groups[*index], lengths[*index])));
    filled(indices, lengths, max_tokens)
}

/// Fills micro-batches with rows in this order.
fn filled(indices: Vec<usize>, lengths: &[usize], max_tokens: usize) -> Vec<Vec<usize>> {
    let mut batches: Vec<Vec<usize>> = Vec::new();
    let mut tokens = 0;
    for index in indices {
        match batches.last_mut() {
            Some(batch) if tokens + lengths[index] <= max_tokens => batch.push(index),
            _ => {
                batches.push(vec![index]);
                tokens = 0;
            }
        }
        tokens += lengths[index];
    }
    batches
}

/// Returns the size of each row.
pub(crate) fn sizes(rows: &TokenRows) -> Vec<PassSize> {
    (0..rows.len()).map(|row| PassSize { tokens: rows.length(row), targets: rows.num_targets(row) }).collect()
}

/// Packs token rows for the model, and returns the index of each row's first target.
pub(crate) fn pack<'a>(rows: impl IntoIterator<Item = &'a TokenRow>) -> (Rows, Vec<i64>) {
    let mut packed = Rows::default();
    let mut starts = Vec::new();
    for row in rows {
        packed.push(&row.ids);
        starts.push(row.start as i64);
    }
    (packed, starts)
}

/// Reads the rows with these indices, and packs them as [`pack`] does.
pub(crate) fn pack_rows(rows: &TokenRows, indices: &[usize]) -> Result<(Rows, Vec<i64>), StageError> {
    let rows = indices.iter().map(|index| rows.row(*index)).collect::<Result<Vec<_>, _>>()?;
    Ok(pack(&rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_is_a_permutation_and_a_batch_may_cross_it() {
        let mut order = Order::new(3, 10, 4);
        let drawn: Vec<usize> = (0..5).flat_map(|step| order.batch(step)).collect();
        for epoch in drawn.chunks(10) {
            let mut sorted = epoch.to_vec();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..10).collect::<Vec<_>>());
        }
        assert_ne!(drawn[..10], drawn[10..]);
        assert_eq!(Order::new(3, 10, 4).batch(3), drawn[12..16], "a step needs no past");
        assert_ne!(Order::new(4, 10, 4).batch(0), drawn[..4]);
    }

    #[test]
    fn the_largest_passes_are_an_update_or_what_fits_or_the_longest_row() {
        let rows = [(5, 1), (9, 2), (2, 2), (7, 3)].map(|(tokens, targets)| PassSize { tokens, targets });
        let largest = |batch, max| {
            let LargestPasses { first, later, row } = Order::new(0, 4, batch).largest_passes(&rows, max);
            assert_eq!((row.tokens, row.targets), (9, 3), "the most of any row");
            [first.tokens, first.targets, later.tokens, later.targets]
        };
        // Each pair of the four rows comes at some time.
        assert_eq!(largest(2, 100), [16, 5, 0, 0]);
        assert_eq!(largest(2, 12), [12, 5, 7, 3]);
        assert_eq!(largest(2, 3), [9, 3, 7, 3]);
        // Nine rows in turn: at most three of the longest.
        assert_eq!(largest(9, 100), [60, 20, 0, 0]);
    }

    #[test]
    fn micro_batches_hold_every_row_once_within_the_budget() {
        let lengths = [5, 9, 2, 7, 30, 1, 8];
        let batches = micro_batches(&lengths, 16);
        let mut all: Vec<usize> = batches.iter().flatten().copied().collect();
        all.sort_unstable();
        assert_eq!(all, [0, 1, 2, 3, 4, 5, 6]);
        for batch in &batches {
            let tokens: usize = batch.iter().map(|index| lengths[*index]).sum();
            assert!(tokens <= 16 || batch.len() == 1, "{batch:?}");
        }
        assert_eq!(batches[0], [4], "a row beyond the budget stands alone");
    }

    #[test]
    fn a_group_stays_together_as_far_as_it_fits() {
        let (lengths, groups) = ([5, 9, 6, 7, 5, 8], [0, 1, 0, 1, 0, 2]);
        assert_eq!(micro_batches_of_groups(&lengths, &groups, 100), [[1, 3, 5, 2, 0, 4]]);
        assert_eq!(micro_batches_of_groups(&lengths, &groups, 16), [vec![1, 3], vec![5, 2], vec![0, 4]]);
    }
}
