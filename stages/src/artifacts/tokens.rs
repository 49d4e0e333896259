//! Rows of token ids, as trainers read them and `teacher-logits` writes them.

/// A row of token ids. Tokens from `start` on are learnt: they count in the loss.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TokenRow {
    /// Prompt, completion and eos.
    pub(crate) ids: Vec<i64>,
    /// Index of the first token that counts in the loss.
    pub(crate) start: usize,
}

impl TokenRow {
    /// Returns the number of tokens that count in the loss.
    pub(crate) fn num_targets(&self) -> usize {
        self.ids.len().saturating_sub(self.start.max(1))
    }
}
