//! Checking answers to mathematical questions.
//!
//! ```text
//! text ─ find ─▶ the answer's text ─ token, parse ─▶ a tree ─ equal ─▶ does it mean the same?
//! ```
//! The check is exact and deterministic: rational numbers of any size, and values in 256 bits for the rest
//! ([`value`]); no clock and no floating point of the processor; work is bounded. It fails closed: text that does not
//! parse is never `Correct`, nor is an answer that is denied or one of several. A gold answer is read whole or not at
//! all, except that a name before `=` is left out.

mod commands;
mod equal;
mod explain;
mod find;
mod literal;
mod money;
mod node;
mod number;
mod parse;
mod read;
mod show;
mod token;
mod tolerance;
mod unit;
mod value;

use crate::Verdict;
pub use explain::{Explanation, explain};
pub(crate) use find::clean as plain;
use find::{Found, Missing};
use node::Node;
pub use tolerance::Tolerance;

/// Only the last bytes of longer texts are read, because the answer is at the end.
const MAX_BYTES: usize = 16 << 10;

/// Compares an answer with the gold one. Both may be a whole solution or only its final expression.
pub fn verify(gold: &str, answer: &str) -> Verdict {
    verify_within(gold, answer, None)
}

/// Compares an answer with the gold one, and also takes a number within the tolerance for right, if there is one.
pub fn verify_within(gold: &str, answer: &str, tolerance: Option<Tolerance>) -> Verdict {
    let Some(gold) = Gold::read(gold) else { return Verdict::GoldUnparsed };
    gold.judge(&found(answer), answer, tolerance)
}

/// Returns a spelling of the answer in a text that equal answers have in common, for votes; `None` if there is none.
pub fn canonical(answer: &str) -> Option<String> {
    let found = found(answer).ok()?;
    value::begin();
    Some(found.readings.first().map_or_else(|| read::words(&found.text), show::canonical))
}

/// Finds the answer in a text.
fn found(answer: &str) -> Result<Found, Missing> {
    find::find(&find::clean(tail(answer)))
}

/// A gold answer.
struct Gold {
    text: String,
    /// How it can be read; empty for words.
    readings: Vec<Node>,
    /// Its words, if it may be compared by them.
    words: Option<String>,
}

impl Gold {
    /// Reads a gold answer: what a solution marks as its answer, else the whole text. `None` if that is no answer.
    fn read(gold: &str) -> Option<Self> {
        let cleaned = find::clean(tail(gold));
        let text = match find::marked(&cleaned) {
            Some(found) => found.ok()?.text,
            None => cleaned.trim().to_owned(),
        };
        let readings = read::readings(&text);
        let is_text = readings.is_empty() && read::is_text(&text);
        if readings.is_empty() && !is_text || is_unknown(&text) {
            return None;
        }
        let words = (is_text || read::is_letters(&text)).then(|| read::words(&text));
        Some(Self { text, readings, words })
    }

    /// Compares it with what was found in an answer.
    fn judge(&self, found: &Result<Found, Missing>, answer: &str, tolerance: Option<Tolerance>) -> Verdict {
        value::begin();
        // Words are looked for as the whole text too: there may be numbers in them.
        let is_whole = |words: &String| *words == read::words(&find::clean(tail(answer)));
        if self.readings.is_empty() && self.words.as_ref().is_some_and(is_whole) {
            return Verdict::Correct;
        }
        match found {
            Ok(found) if money::differ(&self.text, &found.text) => Verdict::Wrong,
            Ok(found) => {
                let is_close = |gold: &Node, answer: &Node| {
                    tolerance.is_some_and(|tolerance| tolerance::is_within(gold, answer, tolerance))
                };
                let means_same = found
                    .readings
                    .iter()
                    .any(|answer| self.readings.iter().any(|gold| equal::same(gold, answer) || is_close(gold, answer)));
                let has_words = self.words.as_ref().is_some_and(|words| *words == read::words(&found.text));
                if means_same || has_words {
                    Verdict::Correct
                } else if found.readings.is_empty() && self.words.is_none() {
                    Verdict::AnswerUnparsed
                } else {
                    Verdict::Wrong
                }
            }
            Err(Missing::Refused(_)) => Verdict::Wrong,
            Err(Missing::Nothing) => Verdict::AnswerUnparsed,
        }
    }
}

/// Whether a gold answer says that there is none in the data.
fn is_unknown(text: &str) -> bool {
    matches!(text.trim().to_lowercase().as_str(), "n/a" | "na" | "unknown" | "tbd" | "?")
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
