//! JSON lines: an object a line; empty lines count as lines and are no rows.

use std::io::BufRead;

use super::format::BYTE_ORDER_MARK;
use super::{Broken, Place, Record, Records, not_json, object};

pub(super) fn read(text: impl BufRead + 'static) -> Records {
    let lines = text.split(b'\n').zip(1..).map(|(line, number)| (line, Place::Line(number)));
    Box::new(lines.filter_map(|(line, place)| match line {
        Err(error) => Some(Err(Broken::from(place, error))),
        Ok(line) if line.trim_ascii().is_empty() => None,
        // Files that were joined have marks in the middle.
        Ok(line) => {
            let json = serde_json::from_slice(line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&line));
            Some(Ok(Record { place, fields: json.map_err(not_json).and_then(object) }))
        }
    }))
}
