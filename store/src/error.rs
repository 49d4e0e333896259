//! What can go wrong in a store.

use std::path::PathBuf;

use crate::digest::Digest;

/// A result of the store.
pub type Result<T> = std::result::Result<T, Error>;

/// An error of the store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A call to the file system failed; the path is in the text.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The store has another format.
    #[error(
        "the store at `{root}` has format {found}, this program reads format {known}: use the program that made it, \
         or another folder with --store"
    )]
    Format {
        /// The store.
        root: PathBuf,
        /// Its format.
        found: String,
        /// The format of this program.
        known: u32,
    },
    /// An object's bytes do not match its name.
    #[error("object {digest} was damaged{}; run `apply` again to make it anew", moved(.quarantine.as_ref()))]
    Corrupt {
        /// The object.
        digest: Digest,
        /// Where it was moved; `None` if the store is read-only.
        quarantine: Option<PathBuf>,
    },
    /// An object that is not a manifest.
    #[error("object {digest} is not a tree: {reason}")]
    NotATree {
        /// The object.
        digest: Digest,
        /// What is wrong with it.
        reason: String,
    },
    /// A file that a tree cannot hold.
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
    /// A link in the place of a file or folder that the store makes.
    #[error("`{path}` is a link, and a store follows none of its own: put what it leads to in its place")]
    Link {
        /// The link.
        path: PathBuf,
    },
    /// A collection would remove results while another process may be using them.
    #[error("an apply is at work on this store, and may need what is to go: wait for its end, or stop it")]
    InUse,
    /// A pipe, a device or a folder in the place of a file.
    #[error("`{path}` is not a file")]
    NotAFile {
        /// Its path.
        path: PathBuf,
    },
    /// A path given by the user that is not a regular file.
    #[error(transparent)]
    Refused(outside::Error),
    /// A path, named by a worker or another program, outside the folder where it must be.
    #[error("`{path}` does not lie inside `{folder}`")]
    Outside {
        /// The path.
        path: PathBuf,
        /// Where it should be.
        folder: PathBuf,
    },
    /// A file of the store that is far larger than any that it makes.
    #[error("`{path}` is larger than {most} bytes, more than the store ever writes there")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit in bytes.
        most: u64,
    },
    /// A file that changed while it was read.
    #[error("`{path}` changed while it was read: run the command again when it is whole")]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// A file that is mostly holes.
    #[error("`{path}` is not whole: {holes} of its {len} bytes were never written (is it still being downloaded?)")]
    Holes {
        /// The file.
        path: PathBuf,
        /// Bytes in holes.
        holes: u64,
        /// Its length.
        len: u64,
    },
    /// A path to which nothing can be exported.
    #[error("`{path}` cannot be exported to: {reason}")]
    Destination {
        /// The destination.
        path: PathBuf,
        /// Why.
        reason: &'static str,
    },
    /// A file system without locks.
    #[error(
        "the file system of `{path}` offers no file locks ({source}): mount it with locks, or keep the store on \
         another disk with --store"
    )]
    NoLocks {
        /// The lock's file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
}

impl From<outside::Error> for Error {
    fn from(error: outside::Error) -> Self {
        match error {
            outside::Error::Io(error) => Self::Io(error),
            refused => Self::Refused(refused),
        }
    }
}

fn moved(quarantine: Option<&PathBuf>) -> String {
    quarantine.map_or_else(String::new, |path| format!(" and has been moved to `{}`", path.display()))
}
