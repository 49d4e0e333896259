//! Refinement: rows of samples in a text file that a person accepts, edits or drops, and how the file is read again.
//!
//! ```text
//! # five lines that say what to do
//! @@@ samples b3:…, 2 rows··         which samples; the two blanks at its end are gone if an editor removes blanks
//!
//! @@@ 1 of 2, row 17: todo           line 17 of the samples; the person writes `accept` or `drop`
//! @@@ prompt                         parts for reading: the prompt or its turns, the gold answer, the grade
//! …
//! @@@ completion
//! …                                  edited as the person likes
//! @@@ end of row 17
//!
//! @@@ 2 of 2, row 20: todo
//! …
//! @@@ end of 2 rows                  without it, the file was cut
//! ```
//! The delimiter is the first of `@@@`, `@@@1`, `@@@2`, … that occurs in no text of the rows. So texts need no escapes,
//! and a person can read them. A text is what lies between the line breaks that end its delimiter line and that come
//! before the next.
//!
//! Only verdicts and completions are taken from the file: everything else of a row comes from the store again, by the
//! digest of the samples. So the parts for reading can be compared with it, and nothing that a text file cannot hold is
//! lost.

mod compare;
mod parse;
mod render;
mod samples;

#[cfg(test)]
mod tests;

pub(crate) use compare::{Counts, Refined, compare};
pub(crate) use parse::{RowsFile, parse};
pub(crate) use render::render;
pub(crate) use samples::{Chosen, Row, Samples, too_large};

/// Size limit of a file for a person, in bytes, for writing and for reading.
pub(crate) const FILE_BYTES: u64 = 256 << 20;

/// What a person can say about a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing yet.
    Todo,
    /// It is wanted, as it is or as it was edited.
    Accept,
    /// It is not wanted.
    Drop,
}

impl Verdict {
    const WORDS: [&str; 3] = ["todo", "accept", "drop"];

    fn of(word: &str) -> Option<Self> {
        let mut all = Self::WORDS.into_iter().zip([Self::Todo, Self::Accept, Self::Drop]);
        all.find(|(known, _)| word.eq_ignore_ascii_case(known)).map(|(_, verdict)| verdict)
    }
}
