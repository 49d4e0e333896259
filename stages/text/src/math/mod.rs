//! Checking answers to mathematical questions.
//!
//! ```text
//! answer text ─ extract ─▶ the final expression ─ normalize ─▶ canonical text ─ equal ─▶ same value?
//! ```
//! The check is exact and deterministic: rationals of any size, no floating point, no timeouts; hostile sizes are
//! refused. It fails closed: text that does not parse is never `Correct`. Apart from numbers it compares tuples and
//! normalised LaTeX, without algebra: `x+1` and `1+x` differ.

mod equal;
mod extract;
mod normalize;

pub use extract::extract;

use crate::Verdict;

/// Only the last bytes of longer texts are read, because the answer is at the end.
const MAX_BYTES: usize = 16 << 10;

/// Compares an answer with the gold one. Both may be a whole solution or only its final expression.
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
