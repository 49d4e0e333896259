//! JSON lines: one object on each line. Empty lines count as lines, but are not rows.

use std::io::{BufRead, Read};

use super::budget::Budget;
use super::digits::quoted;
use super::format::BYTE_ORDER_MARK;
use super::{Broken, Location, Record, Records, not_json, object};

pub(super) fn read(text: impl BufRead + 'static, budget: &Budget) -> Records {
    let lines = Lines { text, budget: budget.clone() }.zip(1..).map(|(line, number)| (line, Location::Line(number)));
    Box::new(lines.filter_map(|(line, location)| match line {
        Err(error) => Some(Err(Broken::from(location, error))),
        Ok(line) if line.trim_ascii().is_empty() => None,
        // Concatenated files have byte order marks in the middle.
        Ok(line) => {
            let json = serde_json::from_slice(&quoted(line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&line)));
            Some(Ok(Record { location, fields: json.map_err(not_json).and_then(object) }))
        }
    }))
}

/// The lines of a text; a line longer than the limit of a row is an error.
struct Lines<R> {
    text: R,
    budget: Budget,
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = Result<Vec<u8>, String>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut line = Vec::new();
        let read = self.text.by_ref().take(self.budget.row.saturating_add(1)).read_until(b'\n', &mut line);
        if let Err(error) = read {
            return Some(Err(error.to_string()));
        }
        let ends = line.pop_if(|byte| *byte == b'\n').is_some();
        match () {
            () if line.len() as u64 > self.budget.row => Some(Err(self.budget.too_long())),
            () if line.is_empty() && !ends => None,
            () => Some(Ok(line)),
        }
    }
}
