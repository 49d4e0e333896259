//! The formats of artifacts: one reader and one writer each.
//!
//! ```text
//! prompts/prompts.jsonl            {"id", "prompt", "answer"?, "verify", "task"?, "language"?}
//! samples/samples.jsonl            {"prompt", "completion", "answer"?, "source"?, "grade"?}
//! preferences/preferences.jsonl    {"prompt", "chosen", "rejected"}  or  {"prompt", "completion", "label": 0 | 1}
//! report/report.json               {"row", "suites", "settings"}
//! model/, reward-model/            Hugging Face folders; `lm` and `text` read them
//! ```
//! A reader takes a stage's folder or a user's own JSONL file, whose fields the input's `import` keys map onto
//! ours. A row that cannot be read fails the whole input, with file and line: a skipped row would go unseen.

mod import;
mod lines;
mod model;
mod preferences;
mod prompts;
mod report;
mod samples;

use std::path::PathBuf;

pub use preferences::{PreferenceRow, read_preferences, write_preferences};
pub use prompts::{PromptRow, Verify, read_prompts, write_prompts};
pub use report::{Column, Report, read_report, write_report};
pub use samples::{SampleGrade, SampleRow, read_samples, write_samples};

pub(crate) use lines::{read_own_lines, write_lines};
pub(crate) use model::load_model;

/// Why an artifact cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system refused; the message names the path.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The `import` keys of an input do not parse.
    #[error("the import keys of `{input}` are not understood: {source}")]
    Import {
        /// The reference as written.
        input: String,
        /// What is wrong with them.
        source: serde_json::Error,
    },
    /// Some rows do not have what is needed.
    #[error("`{}` line {line}: {reason} ({bad} of {total} rows cannot be read)", file.display())]
    Rows {
        /// The file.
        file: PathBuf,
        /// The first bad line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
        /// How many rows are bad.
        bad: usize,
        /// How many were looked at.
        total: usize,
    },
    /// A file of our own does not parse.
    #[error("`{}` is damaged: {source}", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

#[cfg(test)]
mod tests;
