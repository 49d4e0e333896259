//! A content-addressed store of artifacts, checkpoints and the records that connect them to actions.
//!
//! **Files are the truth.** Objects are immutable, read-only, named by the BLAKE3 of their bytes, and published by
//! write, fsync, rename, fsync of the folder: a reader sees a whole object or none. sled keeps an index that may be
//! deleted at any moment; that changes speed only.
//!
//! ```text
//! .r1flow/
//! ├── format.toml                       version of this layout; an unknown one is refused
//! ├── objects/ab/<62 hex>               bytes, 0444; trees (manifests of folders) are objects too
//! ├── records.jsonl                     a line for each stage done: fingerprint → action and outputs, checksummed
//! ├── checkpoints/ab/<62 hex>/<n>.json  prefix fingerprint, step → tree; `<n>.digest` once it is no longer kept
//! ├── rows/ab/<62 hex>/<62 hex>.json    row key → parts of a growing set of rows
//! ├── attempts/<engine>/<stage>-<n>/    where a worker writes; swept when its engine is gone
//! ├── runs/<id>/                        history, kept by the engine
//! ├── locks/{stages, collection}        one process computes a fingerprint; objects are being removed
//! ├── quarantine/                       objects whose bytes did not match their name
//! ├── tmp/                              half-written files; meaningless after a crash
//! └── index/                            sled: digests of input files by stat, records by stage
//! ```
//! What this crate does not know: workflows, kinds, and when something is out of date.

mod attempt;
mod checkpoint;
mod collect;
mod digest;
mod error;
mod hash;
mod index;
mod journal;
mod layout;
mod lock;
mod object;
mod publish;
mod record;
mod rows;
mod stream;
mod tree;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use attempt::AttemptDir;
pub use checkpoint::CheckpointRecord;
pub use collect::{Alive, Collected, Hold, Keep};
pub use digest::{Digest, ParseDigestError};
pub use error::{Error, Result};
pub use lock::StageLock;
pub use publish::Unsynced;
pub use record::{OutputRecord, Outputs, Record, Source};
pub use rows::RowsRecord;
pub use tree::{Member, Tree, TreeRef};

use attempt::Attempts;
use index::Index;
use journal::Journal;

/// A store on the local file system; cheap to clone and to share between threads.
#[derive(Clone, Debug)]
pub struct Store {
    root: Arc<PathBuf>,
    index: Arc<Index>,
    journal: Arc<Journal>,
    attempts: Arc<Attempts>,
}

impl Store {
    /// Opens the store at `root`, and makes it when there is none.
    pub fn open(root: &Path) -> Result<Self> {
        layout::create(root)?;
        Self::at(root)
    }

    /// Opens the store at `root` if there is one.
    pub fn find(root: &Path) -> Result<Option<Self>> {
        if layout::exists(root) { Self::at(root).map(Some) } else { Ok(None) }
    }

    fn at(root: &Path) -> Result<Self> {
        layout::check_version(root)?;
        let root = fs_err::canonicalize(root)?;
        Ok(Self {
            index: Arc::new(Index::new(layout::index(&root))),
            journal: Arc::new(Journal::new(layout::journal(&root))),
            attempts: Arc::default(),
            root: Arc::new(root),
        })
    }

    /// Returns the store's folder, absolute.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the folder of run histories.
    pub fn runs_dir(&self) -> PathBuf {
        layout::runs(&self.root)
    }
}
