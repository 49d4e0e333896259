//! What a verifier finds.

/// The outcome of comparing an answer with the gold one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The answer equals the gold one.
    Correct,
    /// The answer differs from the gold one.
    Wrong,
    /// The text contains no answer that parses.
    AnswerUnparsed,
    /// The gold answer does not parse: a mistake in the data.
    GoldUnparsed,
}
