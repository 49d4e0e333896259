//! Reports: what an evaluation measured, and how.

use std::collections::BTreeMap;
use std::path::Path;

use engine::artifact::Report as ReportMarker;
use engine::stage::Input;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Error;
use crate::limits;

const FILE: &str = "report.json";

/// Measurements of one model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The columns of a table over models, in order.
    pub row: Vec<Column>,
    /// Everything measured, by suite.
    pub suites: BTreeMap<String, Map<String, Value>>,
    /// The settings of the evaluation.
    pub settings: Map<String, Value>,
}

/// A column of the table, with its number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// The heading.
    pub column: String,
    /// The number.
    pub value: f64,
    /// Its standard error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<f64>,
}

/// Reads the report of `input`.
pub fn read_report(input: &Input<ReportMarker>) -> Result<Report, Error> {
    let path = input.path();
    let file = if path.is_dir() { path.join(FILE) } else { path.to_owned() };
    let text = outside::read_text(&file, limits::DOCUMENT_BYTES, limits::NO_SUCH_FILE)?;
    serde_json::from_str(&text).map_err(|source| Error::Damaged { file, source })
}

/// Writes a report into the folder `dir`.
pub fn write_report(dir: &Path, report: &Report) -> Result<(), Error> {
    fs_err::create_dir_all(dir)?;
    let mut text = serde_json::to_string_pretty(report).map_err(std::io::Error::from)?;
    text.push('\n');
    fs_err::write(dir.join(FILE), text)?;
    Ok(())
}
