//! Variable-length rows of tokens without padding: the input of every model.
//!
//! `ids` contains the rows one after the other; row `i` has `lengths[i]` tokens. Linear layers, norms and the head run
//! on packed tokens; only attention depends on where rows begin.
//!
//! Rows that begin alike, such as a group of completions of one prompt, can share their beginning: its tokens are packed
//! once, with the first row, and all that is computed for each token is computed once. Hidden states and gradients are
//! those of whole rows.
//!
//! ```text
//! rows      p p p a a   p p p b   p p p c c c   q q d
//! packed    p p p a a         b         c c c   q q d
//! ```

use std::ops::Range;

use tch::{Device, Tensor};

/// Packed rows of token ids.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rows {
    ids: Vec<i64>,
    lengths: Vec<i64>,
    /// The first tokens of each row that are packed with an earlier one, the last before it that has a 0 here.
    shared: Vec<i64>,
}

/// Positions whose next token is predicted, and those tokens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Predictions {
    /// Indices of packed tokens; the hidden state at each predicts its target.
    pub positions: Vec<i64>,
    /// The token that follows each position.
    pub targets: Vec<i64>,
    /// Number of predictions of each row, in row order.
    pub counts: Vec<i64>,
}

impl Predictions {
    /// Returns positions and targets as tensors on a device, [n] each.
    pub fn to_device(&self, device: Device) -> (Tensor, Tensor) {
        let tensor = |numbers: &[i64]| Tensor::from_slice(numbers).to_device(device);
        (tensor(&self.positions), tensor(&self.targets))
    }
}

impl Rows {
    /// Packs rows in their order.
    ///
    /// # Panics
    /// On an empty row: it has no last token and no prediction.
    pub fn pack<R: AsRef<[i64]>>(rows: impl IntoIterator<Item = R>) -> Self {
        let mut packed = Self::default();
        for row in rows {
            packed.push(row.as_ref());
        }
        packed
    }

    /// Appends one row.
    ///
    /// # Panics
    /// On an empty row.
    pub fn push(&mut self, row: &[i64]) {
        assert!(!row.is_empty(), "row {} is empty", self.lengths.len());
        self.ids.extend_from_slice(row);
        self.lengths.push(row.len() as i64);
        self.shared.push(0);
    }

    /// Appends a row that begins with the first `shared` tokens of the last row that [`push`](Rows::push) appended; `rest`
    /// is what follows them.
    ///
    /// # Panics
    /// On an empty `rest`, without such a row, or if that is shorter than `shared`.
    pub fn push_sharing(&mut self, shared: usize, rest: &[i64]) {
        let first = self.shared.iter().rposition(|shared| *shared == 0).expect("a row to share with");
        assert!(self.lengths[first] >= shared as i64, "row {first} has fewer than {shared} tokens");
        let before = self.lengths.len();
        self.push(rest);
        (self.lengths[before], self.shared[before]) = ((shared + rest.len()) as i64, shared as i64);
    }

    /// The packed tokens.
    pub fn ids(&self) -> &[i64] {
        &self.ids
    }

    /// Tokens of each row, with shared ones.
    pub fn lengths(&self) -> &[i64] {
        &self.lengths
    }

    /// The first tokens of each row that are packed with an earlier row.
    pub(crate) fn shared(&self) -> &[i64] {
        &self.shared
    }

    /// Number of rows.
    pub fn num_rows(&self) -> usize {
        self.lengths.len()
    }

    /// Number of packed tokens.
    pub fn num_tokens(&self) -> usize {
        self.ids.len()
    }

    /// The longest row's number of tokens; 0 without rows.
    pub fn max_length(&self) -> i64 {
        self.lengths.iter().copied().max().unwrap_or(0)
    }

    /// Returns the range of each row's own tokens in the packed ones.
    pub fn ranges(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        self.lengths.iter().zip(&self.shared).scan(0usize, |start, (length, shared)| {
            let range = *start..*start + (*length - *shared) as usize;
            *start = range.end;
            Some(range)
        })
    }

    /// Returns the packed index of each row's last token.
    pub fn last_positions(&self) -> Vec<i64> {
        self.ranges().map(|range| range.end as i64 - 1).collect()
    }

    /// Returns the predictions of every token except each row's first, from the token before it.
    pub fn predictions(&self) -> Predictions {
        self.predictions_from(&vec![1; self.num_rows()])
    }

    /// Like [`Rows::predictions`], but for the tokens of row `i` from index `starts[i]` on: the completions, if
    /// `starts` contains the prompts' lengths. A start of 0 counts as 1, because nothing predicts a row's first token.
    ///
    /// # Panics
    /// If the length of `starts` is not the number of rows, or if one is among the row's shared tokens.
    pub fn predictions_from(&self, starts: &[i64]) -> Predictions {
        assert_eq!(starts.len(), self.num_rows(), "one start for each row");
        let mut predictions = Predictions::default();
        let mut sharing = 0;
        for ((range, shared), start) in self.ranges().zip(&self.shared).zip(starts) {
            let shared = *shared as usize;
            if shared == 0 {
                sharing = range.start;
            }
            let first = (*start).max(1) as usize;
            assert!(first >= shared, "shared tokens are predicted once, with the row that has them");
            let targets = (range.start + first - shared).min(range.end)..range.end;
            predictions.counts.push(targets.len() as i64);
            for index in targets {
                let is_first = index == range.start && shared > 0;
                predictions.positions.push(if is_first { sharing + shared } else { index } as i64 - 1);
                predictions.targets.push(self.ids[index]);
            }
        }
        predictions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_lie_one_after_the_other() {
        let rows = Rows::pack([vec![5, 6, 7], vec![8], vec![9, 10]]);
        assert_eq!(rows.ids(), [5, 6, 7, 8, 9, 10]);
        assert_eq!(rows.lengths(), [3, 1, 2]);
        assert_eq!(rows.ranges().collect::<Vec<_>>(), [0..3, 3..4, 4..6]);
        assert_eq!(rows.last_positions(), [2, 3, 5]);
        assert_eq!((rows.num_rows(), rows.num_tokens(), rows.max_length()), (3, 6, 3));
    }

    #[test]
    fn a_prediction_never_crosses_rows() {
        let rows = Rows::pack([vec![5, 6, 7], vec![8], vec![9, 10]]);
        let all = rows.predictions();
        assert_eq!((all.positions, all.targets, all.counts), (vec![0, 1, 4], vec![6, 7, 10], vec![2, 0, 1]));
        let completions = rows.predictions_from(&[2, 1, 0]);
        assert_eq!(completions.positions, [1, 4]);
        assert_eq!(completions.targets, [7, 10]);
        assert_eq!(completions.counts, [1, 0, 1]);
        assert_eq!(rows.predictions_from(&[9, 9, 9]).counts, [0, 0, 0]);
    }

    #[test]
    fn shared_tokens_are_packed_once() {
        let mut rows = Rows::pack([vec![1, 2, 3, 4, 4], vec![7, 8, 9]]);
        rows.push_sharing(2, &[5]);
        rows.push(&[1, 2, 3, 6]);
        rows.push_sharing(3, &[5, 5]);
        rows.push_sharing(3, &[4]);
        assert_eq!(rows.ids(), [1, 2, 3, 4, 4, 7, 8, 9, 5, 1, 2, 3, 6, 5, 5, 4]);
        assert_eq!((rows.lengths(), rows.max_length()), (&[5, 3, 3, 4, 5, 4][..], 5));
        assert_eq!(rows.last_positions(), [4, 7, 8, 12, 14, 15]);
        let completions = rows.predictions_from(&[3, 2, 2, 3, 3, 3]);
        assert_eq!(completions.targets, [4, 4, 9, 5, 6, 5, 5, 4]);
        assert_eq!(
            completions.positions,
            [2, 3, 6, 6, 11, 11, 13, 11],
            "the first is predicted by the last shared one"
        );
        assert_eq!(completions.counts, [2, 1, 1, 1, 2, 1]);
    }
}
