//! Checking answers to mathematical questions.
//!
//! ```text
//! answer text ─ extract ─▶ the final expression ─ normalize ─▶ canonical text ─ equal ─▶ same value?
//! ```
//! Exact and deterministic: rationals of any size, no floating point, no timeouts; hostile sizes are refused. It fails
//! closed: what is not understood is never `Correct`. Beyond numbers it knows tuples and equality of normalised LaTeX,
//! not algebra: `x+1` and `1+x` differ.

mod equal;
mod extract;
mod normalize;

pub use extract::{boxed, extract};

/// The outcome of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The answer equals the gold one.
    Correct,
    /// It does not.
    Wrong,
    /// There is no answer in the text.
    AnswerUnparsed,
    /// The gold answer is no mathematical expression: a mistake in the data.
    GoldUnparsed,
}

/// Longer texts are cut from the front: the answer stands at the end.
const MAX_BYTES: usize = 16 << 10;

/// Compares an answer, which may be a whole solution, with the gold expression, which may be one, too.
pub fn verify(gold: &str, answer: &str) -> Verdict {
    let Some(gold) = extract(tail(gold)).and_then(|expression| equal::Value::parse(&expression)) else {
        return Verdict::GoldUnparsed;
    };
    let Some(answer) = extract(tail(answer)) else { return Verdict::AnswerUnparsed };
    match equal::Value::parse(&answer) {
        None => Verdict::AnswerUnparsed,
        Some(answer) if answer == gold => Verdict::Correct,
        Some(_) => Verdict::Wrong,
    }
}

fn tail(text: &str) -> &str {
    let mut start = text.len().saturating_sub(MAX_BYTES);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    &text[start..]
}

#[cfg(test)]
mod tests;
