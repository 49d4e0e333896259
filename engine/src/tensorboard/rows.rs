//! Reads rows that say what was sampled at which step, as `grpo` writes its rollouts.
//!
//! This file alone knows how such rows are stored: a JSON object on each line, in the order of their steps. A row's
//! `step` is the number of steps that were done when it was sampled, so it belongs to the step after these.

use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Result};

use serde::Deserialize;
use serde_json::Value;

/// The most bytes of a row: far more than a completion has.
const LONGEST: u64 = 1 << 26;

/// The end of the names of files with rows.
pub(super) const ENDING: &str = ".jsonl";

/// A sampled completion.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Row {
    /// Steps done before.
    step: u64,
    /// Text, or messages with `role` and `content`.
    #[serde(default)]
    pub(super) prompt: Value,
    pub(super) completion: String,
    #[serde(default)]
    pub(super) reward: Option<f64>,
    #[serde(default)]
    pub(super) advantage: Option<f64>,
    /// The completion's length in tokens.
    #[serde(default)]
    pub(super) tokens: Option<u64>,
    #[serde(default)]
    pub(super) correct: Option<bool>,
    /// Whether it ended by itself.
    #[serde(default)]
    pub(super) finished: Option<bool>,
}

impl Row {
    /// Returns the step of the curve that it belongs to.
    pub(super) fn of_step(&self) -> u64 {
        self.step.saturating_add(1)
    }
}

/// The rows of a file that may still grow.
pub(super) struct Rows<R> {
    lines: BufReader<R>,
    /// The beginning of a row whose end is not there yet.
    begun: Vec<u8>,
    /// Whether its rows are of another sort.
    is_other: bool,
}

impl<R: Read> Rows<R> {
    pub(super) fn of(file: R) -> Self {
        Self { lines: BufReader::with_capacity(1 << 16, file), begun: Vec::new(), is_other: false }
    }

    /// Returns the next row that is complete, `None` if there is none yet. A file whose rows have no step, or no
    /// completion, has none.
    pub(super) fn next(&mut self) -> Result<Option<Row>> {
        while !self.is_other {
            let room = LONGEST.saturating_sub(self.begun.len() as u64);
            (&mut self.lines).take(room).read_until(b'\n', &mut self.begun)?;
            if self.begun.last() != Some(&b'\n') {
                if self.begun.len() as u64 >= LONGEST {
                    let message = format!("a row is longer than {} MiB", LONGEST >> 20);
                    return Err(Error::new(ErrorKind::InvalidData, message));
                }
                return Ok(None);
            }
            let row = serde_json::from_slice(&self.begun);
            let is_blank = self.begun.trim_ascii().is_empty();
            self.begun.clear();
            match row {
                Ok(row) => return Ok(Some(row)),
                Err(_) => self.is_other = !is_blank,
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn rows_come_once_they_are_complete() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let mut rows = Rows::of(file.reopen().unwrap());
        assert!(rows.next().unwrap().is_none());
        file.write_all(b"{\"step\": 0, \"completion\": \"a\", \"reward\": null}\n\n{\"step\": 4, \"comp").unwrap();
        let row = rows.next().unwrap().unwrap();
        assert_eq!((row.of_step(), row.completion.as_str(), row.reward), (1, "a", None));
        assert!(rows.next().unwrap().is_none());
        file.write_all(b"letion\": \"b\", \"tokens\": 7, \"parts\": {}}\n").unwrap();
        let row = rows.next().unwrap().unwrap();
        assert_eq!((row.of_step(), row.completion.as_str(), row.tokens), (5, "b", Some(7)));
        assert!(rows.next().unwrap().is_none());
    }

    #[test]
    fn rows_of_another_sort_are_left() {
        for other in ["{\"prompt\": \"2+2=?\", \"completion\": \"4\"}\n", "{\"step\": 1}\n", "no row\n"] {
            let text = format!("{other}{{\"step\": 0, \"completion\": \"a\"}}\n");
            assert!(Rows::of(text.as_bytes()).next().unwrap().is_none(), "{other}");
        }
    }

    #[test]
    fn a_line_without_an_end_is_refused() {
        let mut rows = Rows::of(std::io::repeat(b'x'));
        assert_eq!(rows.next().unwrap_err().to_string(), "a row is longer than 64 MiB");
    }
}
