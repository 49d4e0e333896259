//! CSV and TSV (RFC 4180): a heading, then one text a cell; an empty cell is no value. It is held in memory.
//!
//! The heading tells the delimiter: a tab if there is one in it, a comma otherwise.

use std::collections::BTreeSet;
use std::io::{Cursor, Read};

use csv::{ErrorKind, StringRecord};
use serde_json::{Map, Value};

use super::{Broken, Place, Record, Records};

pub(super) fn read(mut text: impl Read) -> Result<Records, Broken> {
    let mut bytes = Vec::new();
    text.read_to_end(&mut bytes).map_err(Broken::whole)?;
    let heading = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let delimiter = if heading.contains(&b'\t') { b'\t' } else { b',' };
    if let Some(line) = open_quote(&bytes, delimiter) {
        return Err(Broken::from(Place::Line(line), "the quote that opens here is never closed"));
    }
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_reader(Cursor::new(bytes));
    let heading = reader.headers().map_err(|error| Broken::from(Place::Line(1), error))?.clone();
    let mut names = BTreeSet::new();
    if let Some(twice) = heading.iter().find(|name| !names.insert(*name)) {
        return Err(Broken::from(Place::Line(1), format!("two columns are called `{twice}`")));
    }
    Ok(Box::new(reader.into_records().map(move |cells| record(&heading, cells))))
}

fn record(heading: &StringRecord, cells: csv::Result<StringRecord>) -> Result<Record, Broken> {
    let line = |position: Option<&csv::Position>| Place::Line(position.map_or(0, csv::Position::line));
    let error = match cells {
        Ok(cells) => return Ok(Record { place: line(cells.position()), fields: Ok(fields(heading, &cells)) }),
        Err(error) => error,
    };
    let place = line(error.position());
    match error.kind() {
        ErrorKind::UnequalLengths { expected_len, len, .. } => {
            Ok(Record { place, fields: Err(format!("{len} cells under {expected_len} headings")) })
        }
        ErrorKind::Utf8 { err, .. } => Ok(Record { place, fields: Err(format!("not UTF-8: {err}")) }),
        _ => Err(Broken::from(place, error)),
    }
}

fn fields(heading: &StringRecord, cells: &StringRecord) -> Map<String, Value> {
    let value = |cell: &str| if cell.is_empty() { Value::Null } else { Value::from(cell) };
    heading.iter().zip(cells).map(|(name, cell)| (name.to_owned(), value(cell))).collect()
}

/// Returns the line of a quote that is never closed: the crate takes all that follows for one cell, so that a file that
/// was cut off, or a stray quote, would swallow rows without a word.
fn open_quote(text: &[u8], delimiter: u8) -> Option<u64> {
    let (mut line, mut opened_at, mut is_open) = (1, 1, false);
    // A quote opens a cell at its beginning, and goes on with it right after one that seemed to close it.
    let (mut begins, mut closed) = (true, false);
    for byte in text {
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
    }
    is_open.then_some(opened_at)
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
            assert_eq!(open_quote(text.as_bytes(), b','), line, "{text}");
        }
    }
}
