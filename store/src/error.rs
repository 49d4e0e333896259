//! What can go wrong in a store.

use std::path::PathBuf;

use crate::digest::Digest;

/// A result of the store.
pub type Result<T> = std::result::Result<T, Error>;

/// An error of the store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system refused; the path is in the text.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// Made by another version of r1flow.
    #[error("the store at `{root}` has format {found}, this program reads format {known}")]
    Format {
        /// The store.
        root: PathBuf,
        /// Its version.
        found: String,
        /// Ours.
        known: u32,
    },
    /// An object's bytes do not match its name; it was moved aside.
    #[error("object {digest} was damaged and has been moved to `{quarantine}`; run `apply` again to make it anew")]
    Corrupt {
        /// The object.
        digest: Digest,
        /// Where it lies now.
        quarantine: PathBuf,
    },
    /// A manifest is not one.
    #[error("object {digest} is not a tree: {reason}")]
    NotATree {
        /// The object.
        digest: Digest,
        /// What is wrong with it.
        reason: String,
    },
    /// A file name that a manifest cannot hold.
    #[error("`{path}` cannot be stored: {reason}")]
    Unstorable {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: &'static str,
    },
    /// A value that is not JSON.
    #[error("cannot write `{path}`: {source}")]
    Encode {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
}
