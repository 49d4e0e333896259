//! Datasets: the rows of a user's file or folder, one after the other, whatever their format.
//!
//! ```text
//! lines.rs    JSON lines                        {"prompt": …} a line      ┐
//! array.rs    a JSON array                      [{"prompt": …}, …]        ├ also packed by gzip or zstd
//! cells.rs    CSV, TSV                          a heading, then cells     ┘
//! columns.rs  Parquet, Arrow IPC (file, stream)
//! budget.rs   what a row, and all of them, may cost
//! folder.rs   which files of a folder hold the rows, by the conventions of the Hugging Face hub
//! ```
//! The idea to know: what a file is, its first bytes say and never its name, because the name of an input is no part
//! of a fingerprint and so must not change what is read. Inside a folder names are content, and mean something.

mod array;
mod budget;
mod cells;
mod columns;
mod folder;
mod format;
#[cfg(test)]
mod hostile;
mod lines;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io::Read;
use std::path::Path;

use serde_json::{Map, Value};

pub(super) use budget::Budget;
pub(super) use folder::files;

use super::Error;
use crate::limits;

/// A row as it stands in its file.
pub(super) struct Record {
    pub(super) place: Place,
    /// Its fields, or why it has none.
    pub(super) fields: Result<Map<String, Value>, String>,
}

/// Where a row stands in its file, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The line of a text file at which it begins.
    Line(u64),
    /// Its number, in a file that has no lines to count.
    Row(u64),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(number) => write!(f, "line {number}"),
            Self::Row(number) => write!(f, "row {number}"),
        }
    }
}

/// Why a file cannot be read from some place on.
#[derive(Debug)]
struct Broken {
    /// Absent where nothing of the file can be read.
    place: Option<Place>,
    reason: String,
}

impl Broken {
    fn whole(reason: impl fmt::Display) -> Self {
        Self { place: None, reason: reason.to_string() }
    }

    fn from(place: Place, reason: impl fmt::Display) -> Self {
        Self { place: Some(place), reason: reason.to_string() }
    }

    fn in_file(self, file: &Path) -> Error {
        Error::Broken { file: file.to_owned(), place: self.place, reason: self.reason }
    }
}

/// The rows of a file; what is broken ends them.
type Records = Box<dyn Iterator<Item = Result<Record, Broken>>>;

/// Reads the rows of one file, as far as the budget goes.
pub(super) fn records(file: &Path, budget: &Budget) -> Result<impl Iterator<Item = Result<Record, Error>>, Error> {
    let records = format::open(outside::open(file)?, budget).map_err(|broken| broken.in_file(file))?;
    let counted = |record: Record| match budget.take(limits::ROW_COST) {
        Ok(()) => Ok(record),
        Err(reason) => Err(Broken::from(record.place, reason)),
    };
    Ok(records.map(move |record| record.and_then(counted).map_err(|broken| broken.in_file(file))))
}

/// Reads a text that must be in memory whole.
fn whole(text: impl Read, budget: &Budget) -> Result<Vec<u8>, Broken> {
    let mut bytes = Vec::new();
    text.take(budget.whole().saturating_add(1)).read_to_end(&mut bytes).map_err(Broken::whole)?;
    if bytes.len() as u64 > budget.whole() { Err(Broken::whole(budget.too_large())) } else { Ok(bytes) }
}

/// Returns the fields of a row in JSON.
fn object(json: Value) -> Result<Map<String, Value>, String> {
    match json {
        Value::Object(fields) => Ok(fields),
        _ => Err("not a JSON object".to_owned()),
    }
}

fn not_json(error: serde_json::Error) -> String {
    format!("not JSON: {error}")
}
