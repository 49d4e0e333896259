//! Datasets: reads the rows of a user's file or folder, one after the other, in any of these formats.
//!
//! ```text
//! lines.rs    JSON lines                        {"prompt": …} on a line   ┐
//! array.rs    a JSON array                      [{"prompt": …}, …]        ├ also compressed by gzip or zstd
//! cells.rs    CSV, TSV                          a heading, then cells     ┘
//! digits.rs   integers beyond 64 bits in JSON
//! columns.rs  Parquet, Arrow IPC (file, stream)
//! budget.rs   limits on the size of a row, and of all rows
//! folder.rs   finds a folder's files with rows, by the conventions of the Hugging Face hub
//! readme.rs   the configs that a folder's README names
//! ```
//! A file's format is detected by its first bytes, never by its name: the name of an input is not part of a
//! fingerprint, so it must not change what is read. Names inside a folder are content, so they count.

mod array;
mod budget;
mod cells;
mod columns;
mod digits;
mod folder;
mod format;
#[cfg(test)]
mod hostile;
mod lines;
mod readme;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io::Read;
use std::path::Path;

use serde_json::{Map, Value};

pub(super) use budget::Budget;
pub(super) use digits::quoted;
pub(super) use folder::files;

use super::Error;
use crate::limits;

/// A row of a file, before the import keys are applied.
pub(super) struct Record {
    pub(super) location: Location,
    /// Its fields, or why they cannot be read.
    pub(super) fields: Result<Map<String, Value>, String>,
}

/// The place of a row in its file, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Location {
    /// The line of a text file at which it begins.
    Line(u64),
    /// The number of the row, in a format without lines.
    Row(u64),
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(number) => write!(f, "line {number}"),
            Self::Row(number) => write!(f, "row {number}"),
        }
    }
}

/// Why a file cannot be read from a place on.
#[derive(Debug)]
struct Broken {
    /// Absent if nothing of the file can be read.
    location: Option<Location>,
    reason: String,
}

impl Broken {
    fn whole(reason: impl fmt::Display) -> Self {
        Self { location: None, reason: reason.to_string() }
    }

    fn from(location: Location, reason: impl fmt::Display) -> Self {
        Self { location: Some(location), reason: reason.to_string() }
    }

    fn in_file(self, file: &Path) -> Error {
        Error::Broken { file: file.to_owned(), location: self.location, reason: self.reason }
    }
}

/// The rows of a file, up to the first error.
type Records = Box<dyn Iterator<Item = Result<Record, Broken>>>;

/// Reads the rows of one file, within the budget.
pub(super) fn records(file: &Path, budget: &Budget) -> Result<impl Iterator<Item = Result<Record, Error>>, Error> {
    let records = format::open(outside::open(file)?, budget).map_err(|broken| broken.in_file(file))?;
    let counted = |record: Record| match budget.take(limits::ROW_COST) {
        Ok(()) => Ok(record),
        Err(reason) => Err(Broken::from(record.location, reason)),
    };
    Ok(records.map(move |record| record.and_then(counted).map_err(|broken| broken.in_file(file))))
}

/// Reads a whole text into memory.
fn whole(text: impl Read, budget: &Budget) -> Result<Vec<u8>, Broken> {
    let mut bytes = Vec::new();
    text.take(budget.whole().saturating_add(1)).read_to_end(&mut bytes).map_err(Broken::whole)?;
    if bytes.len() as u64 > budget.whole() { Err(Broken::whole(budget.too_large())) } else { Ok(bytes) }
}

/// Returns the fields of a JSON object, or an error for any other value.
fn object(json: Value) -> Result<Map<String, Value>, String> {
    match json {
        Value::Object(fields) => Ok(fields),
        _ => Err("not a JSON object".to_owned()),
    }
}

fn not_json(error: serde_json::Error) -> String {
    format!("not JSON: {error}")
}
