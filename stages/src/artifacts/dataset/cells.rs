//! CSV and TSV (RFC 4180): a heading, then rows of text; an empty cell is an absent value. The file is held in memory.
//!
//! The delimiter is a tab if the heading contains one, a comma otherwise.

use std::collections::BTreeSet;
use std::io::{Cursor, Read};

use csv::{ErrorKind, StringRecord};
use serde_json::{Map, Value};

use super::budget::Budget;
use super::{Broken, Location, Record, Records, whole};
use crate::limits;

pub(super) fn read(text: impl Read, budget: &Budget) -> Result<Records, Broken> {
    let bytes = whole(text, budget)?;
    let heading = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let delimiter = if heading.contains(&b'\t') { b'\t' } else { b',' };
    let scan = scan(&bytes, delimiter);
    if let Some(line) = scan.open_quote {
        return Err(Broken::from(Location::Line(line), "the quote that opens here is never closed"));
    }
    if scan.longest.0 as u64 > budget.row {
        return Err(Broken::from(Location::Line(scan.longest.1), budget.too_long()));
    }
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_reader(Cursor::new(bytes));
    let heading = reader.headers().map_err(|error| Broken::from(Location::Line(1), error))?.clone();
    if heading.len() > limits::COLUMNS {
        let (has, most) = (heading.len(), limits::COLUMNS);
        return Err(Broken::from(Location::Line(1), format!("{has} columns, of at most {most}; help: is it a table?")));
    }
    let mut names = BTreeSet::new();
    if let Some(twice) = heading.iter().find(|name| !names.insert(*name)) {
        return Err(Broken::from(Location::Line(1), format!("two columns are called `{twice}`")));
    }
    Ok(Box::new(reader.into_records().map(move |cells| record(&heading, cells))))
}

fn record(heading: &StringRecord, cells: csv::Result<StringRecord>) -> Result<Record, Broken> {
    let line = |position: Option<&csv::Position>| Location::Line(position.map_or(0, csv::Position::line));
    let error = match cells {
        Ok(cells) => return Ok(Record { location: line(cells.position()), fields: Ok(fields(heading, &cells)) }),
        Err(error) => error,
    };
    let location = line(error.position());
    match error.kind() {
        ErrorKind::UnequalLengths { expected_len, len, .. } => {
            Ok(Record { location, fields: Err(format!("{len} cells under {expected_len} headings")) })
        }
        ErrorKind::Utf8 { err, .. } => Ok(Record { location, fields: Err(format!("not UTF-8: {err}")) }),
        _ => Err(Broken::from(location, error)),
    }
}

fn fields(heading: &StringRecord, cells: &StringRecord) -> Map<String, Value> {
    let value = |cell: &str| if cell.is_empty() { Value::Null } else { Value::from(cell) };
    heading.iter().zip(cells).map(|(name, cell)| (name.to_owned(), value(cell))).collect()
}

/// What a first scan of a table finds, before it is parsed.
struct Scan {
    /// The line of a quote that is never closed. The crate `csv` takes everything after it as one cell, so a truncated
    /// file or a stray quote would silently swallow rows.
    open_quote: Option<u64>,
    /// The bytes of the longest row, and the line at which it begins.
    longest: (usize, u64),
}

fn scan(text: &[u8], delimiter: u8) -> Scan {
    let (mut line, mut opened_at, mut is_open) = (1, 1, false);
    // A quote at the beginning of a cell opens it. A quote right after a closing one opens it again (an escaped quote).
    let (mut begins, mut closed) = (true, false);
    let (mut row, mut longest) = ((0, 1), (0, 1));
    for (at, byte) in text.iter().enumerate() {
        let is_quote = *byte == b'"';
        if is_open {
            (is_open, closed) = (!is_quote, is_quote);
        } else if is_quote && (begins || closed) {
            opened_at = if closed { opened_at } else { line };
            (is_open, closed) = (true, false);
        } else {
            closed = false;
        }
        begins = *byte == delimiter || *byte == b'\n';
        line += u64::from(*byte == b'\n');
        if *byte == b'\n' && !is_open {
            longest = longest.max((at - row.0, row.1));
            row = (at + 1, line);
        }
    }
    Scan { open_quote: is_open.then_some(opened_at), longest: longest.max((text.len() - row.0, row.1)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_quote_is_found_at_its_line() {
        let table = [
            ("a,b\n\"x\",\"y\"\n", None),
            ("a,b\n\"x \"\"y\"\"\",z\n", None),
            ("a,b\n5\" pipe,z\n", None),
            ("a,b\n\"1\n2\",z\n", None),
            ("a,b\n1,2\n\"x,y\n3,4\n", Some(3)),
            ("a,b\n\"1\n\"\"2,z\n", Some(2)),
        ];
        for (text, line) in table {
            assert_eq!(scan(text.as_bytes(), b',').open_quote, line, "{text}");
        }
    }

    #[test]
    fn the_longest_row_is_found_with_its_line() {
        let table = [("a,b\n1,2\n", (3, 2)), ("a\n\"1\n2\",z\n3\n", (7, 2)), ("a\n1\nlonger", (6, 3)), ("", (0, 1))];
        for (text, longest) in table {
            assert_eq!(scan(text.as_bytes(), b',').longest, longest, "{text}");
        }
    }
}
