//! Multiple choice: which options an answer chooses, compared with those of the gold answer.
//!
//! An answer chooses what it states ("the answer is B", `\boxed{B}`, a line that is only `B`), else what it concludes
//! ("so B"), else what it begins with ("B. 12 cm"), else what its last sentence names ("this matches option B").
//! Whatever is refused on the way ("A is wrong", "not A") does not count, and all that is stated does: an answer that
//! states `A` and `B` chooses both and is wrong where one is right. "A or B" equals no gold answer at all.
//!
//! | file | answers for |
//! |---|---|
//! | `reading` | which of the things that an answer says decides |
//! | `letters` | sets of letters |
//! | `plain` | the text behind Markdown and LaTeX |
//! | `mention` | letters that may stand for an option |
//! | `list` | letters that are named together |
//! | `cue` | the words around them |
//! | `wording` | answers in an option's own words |
//! | `options` | a question's options |

mod cue;
mod letters;
mod list;
mod mention;
mod options;
mod pattern;
mod plain;
mod reading;
mod wording;

#[cfg(test)]
mod tests;

pub use letters::{Chosen, Letters};
pub use options::options;

use crate::Verdict;
use wording::Wordings;

/// Compares the options that an answer chooses with those of the gold answer, which may be several (`A, C`).
///
/// `options` are the letters and texts of the question, or none. Where they are known, an option's text stands for its
/// letter, and a letter beside the text of another option chooses both.
pub fn verify(gold: &str, answer: &str, options: &[(char, String)]) -> Verdict {
    let wordings = Wordings::new(options);
    match (reading::gold(gold, &wordings), reading::answer(answer, &wordings)) {
        (None, _) => Verdict::GoldUnparsed,
        (_, None) => Verdict::AnswerUnparsed,
        (Some(gold), Some(Chosen::All(letters))) if gold == letters => Verdict::Correct,
        _ => Verdict::Wrong,
    }
}

/// Returns what an answer chooses by letters.
pub fn extract(answer: &str) -> Option<Chosen> {
    chosen(answer, &[])
}

/// Returns what an answer chooses by letters or by the texts of a question's options.
pub fn chosen(answer: &str, options: &[(char, String)]) -> Option<Chosen> {
    reading::answer(answer, &Wordings::new(options))
}
