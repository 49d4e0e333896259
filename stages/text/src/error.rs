//! What can go wrong with text.

use std::path::PathBuf;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read or written; the path is in the text.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// A file of a model's folder is no file, or too large.
    #[error(transparent)]
    Outside(#[from] outside::Error),
    /// A tokenizer cannot be made or used.
    #[error("tokenizer: {0}")]
    Tokenizer(String),
    /// A JSON file is not what it should be.
    #[error("`{path}` is not understood: {reason}")]
    Json {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A special token that the vocabulary lacks.
    #[error("the tokenizer has no token `{0}`, which its configuration names")]
    MissingToken(String),
    /// A chat template that cannot be parsed or rendered.
    #[error("chat template `{name}`: {reason}")]
    Template {
        /// Its file, or the key that it stands under.
        name: String,
        /// What is wrong, and what to do about it.
        reason: String,
    },
}
