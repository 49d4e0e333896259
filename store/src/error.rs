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
    #[error(
        "the store at `{root}` has format {found}, this program reads format {known}: use the program that made it, \
         or another folder with --store"
    )]
    Format {
        /// The store.
        root: PathBuf,
        /// Its version.
        found: String,
        /// Ours.
        known: u32,
    },
    /// An object's bytes do not match its name.
    #[error("object {digest} was damaged{}; run `apply` again to make it anew", moved(.quarantine.as_ref()))]
    Corrupt {
        /// The object.
        digest: Digest,
        /// Where it lies now; it could not be moved where the store is read-only.
        quarantine: Option<PathBuf>,
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
    /// A link where the store makes a file or a folder.
    #[error("`{path}` is a link, and a store follows none of its own: put what it leads to in its place")]
    Link {
        /// The link.
        path: PathBuf,
    },
    /// Results that are referred to are to be removed while another process may be using them.
    #[error("an apply is at work on this store, and may need what is to go: wait for its end, or stop it")]
    InUse,
    /// A pipe, a device, a folder where the store makes a file.
    #[error("`{path}` is not a file")]
    NotAFile {
        /// Its path.
        path: PathBuf,
    },
    /// A file of the user's that is none.
    #[error(transparent)]
    Refused(outside::Error),
    /// A path that a worker or another program named, and that lies elsewhere.
    #[error("`{path}` does not lie inside `{folder}`")]
    Outside {
        /// The path.
        path: PathBuf,
        /// Where it should be.
        folder: PathBuf,
    },
    /// A file of the store's own that is far larger than any that it makes.
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
    /// A file that for the most part was never written.
    #[error("`{path}` is not whole: {holes} of its {len} bytes were never written (is it still being downloaded?)")]
    Holes {
        /// The file.
        path: PathBuf,
        /// Bytes in holes.
        holes: u64,
        /// Its length.
        len: u64,
    },
    /// A destination of an export that cannot be one.
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
        /// What the system said.
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
