//! The error of this crate.

use std::path::PathBuf;

/// Why text cannot be tokenised, rendered or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read or written; the message names the path.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// A path in a model's folder is not a regular file, or is too large.
    #[error(transparent)]
    Outside(#[from] outside::Error),
    /// A tokenizer cannot be made or used.
    #[error("tokenizer: {0}")]
    Tokenizer(String),
    /// A JSON file is not valid, or lacks something.
    #[error("`{path}` is not understood: {reason}")]
    Json {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Nothing names the token that ends a completion.
    #[error("{0}")]
    NoEnd(String),
    /// The vocabulary lacks a special token.
    #[error("the tokenizer has no token `{0}`, which its configuration names")]
    MissingToken(String),
    /// A template cannot be parsed or rendered.
    #[error("template `{name}`: {reason}")]
    Template {
        /// Its file, or its key in the configuration.
        name: String,
        /// What is wrong, and what to do about it.
        reason: String,
    },
}
