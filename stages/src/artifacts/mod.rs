//! The formats of artifacts: one reader and one writer each.
//!
//! ```text
//! prompts/prompts.jsonl            {"id", "prompt", "answer"?, "verify", "tests"?, "task"?, "language"?}
//! samples/samples.jsonl            {"prompt", "completion", "answer"?, "verify"?, "source"?, "grade"?}
//! preferences/preferences.jsonl    {"prompt", "chosen", "rejected"}  or  {"prompt", "completion", "label": 0 | 1}
//! report/report.json               {"row", "suites", "settings"}
//! logits/logits.json               {"top-k", "rows", "tokens", "vocabulary", "shards"}, and safetensors (`logits.rs`)
//! model/, reward-model/            Hugging Face folders; `lm` and `text` read them
//! ```
//! A reader takes a stage's folder or a user's own dataset (JSON, CSV, Parquet, Arrow). The input's `import` keys map
//! the dataset's fields onto ours. A row that cannot be read fails the whole input, with file and line: a skipped row
//! would go unnoticed.

mod adapter;
mod answered;
mod code_tests;
mod dataset;
mod exchange;
mod fields;
mod import;
mod lines;
mod logits;
mod model;
mod options;
mod prefer;
mod preferences;
mod prompts;
mod report;
mod samples;
mod select;
mod tokens;
mod transcript;

use std::path::PathBuf;

pub use dataset::Location;
pub use import::Import;
pub use model::Dtype;
pub use preferences::{PreferenceRow, read_preferences, write_preferences};
pub use prompts::{PromptRow, read_prompts, write_prompts};
pub use report::{Column, Report, read_report, write_report};
pub use samples::{SampleGrade, SampleRow, read_samples, write_samples};

pub(crate) use adapter::{digest as adapter_digest, refuse_adapter_alone};
pub(crate) use answered::{AnsweredRow, each_answered};
pub(crate) use lines::{read_own_lines, write_lines};
pub(crate) use logits::{
    LogitsIndex, LogitsRows, Shard, Vocabulary, logits_row, shard_name, write_logits_index, write_shard,
};
pub(crate) use model::{check_numbers, dtype_of, inspect_model, load_beside, load_model};
pub(crate) use prompts::each_prompt;
pub(crate) use samples::each_sample;
pub(crate) use tokens::{TokenRow, TokenRows, TokenWriter};

/// Why an artifact cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system refused; the message names the path.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// A path is not a regular file, or a document is too large.
    #[error(transparent)]
    Outside(#[from] outside::Error),
    /// The `import` keys of an input do not parse.
    #[error("the import keys of `{input}` are not understood: {source}")]
    Import {
        /// The reference as written.
        input: String,
        /// What is wrong with them.
        source: serde_json::Error,
    },
    /// Some rows lack a needed field or value.
    #[error("`{}` {location}: {reason} ({bad} of {total} rows cannot be read)", file.display())]
    Rows {
        /// The file of the first bad row.
        file: PathBuf,
        /// The place of the first bad row.
        location: Location,
        /// What is wrong with it.
        reason: String,
        /// How many rows are bad.
        bad: usize,
        /// How many rows were checked.
        total: usize,
    },
    /// A user's file is incomplete, or not of the format that it seems to have.
    #[error("`{}`{} cannot be read: {reason}", file.display(), location.map(|location| format!(" from {location} on")).unwrap_or_default())]
    Broken {
        /// The file.
        file: PathBuf,
        /// The first row that cannot be read; absent if no row can be read.
        location: Option<Location>,
        /// What is wrong with it.
        reason: String,
    },
    /// It is unclear which files of a folder to read, or some are missing.
    #[error("`{}`: {reason}", path.display())]
    Dataset {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
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
mod judged;
#[cfg(test)]
mod parts;
#[cfg(test)]
mod published;
#[cfg(test)]
mod recipes;
#[cfg(test)]
mod tests;
