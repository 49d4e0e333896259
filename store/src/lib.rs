//! A content-addressed store of artifacts, checkpoints and the records that connect them to actions.
//!
//! **Files are the truth.** Objects are immutable, read-only, named by the BLAKE3 of their bytes, and published by
//! rename, so a reader sees a whole object or none; they are synced afterwards ([`Unsynced`]). sled keeps an index that
//! may be deleted at any moment; that changes speed only.
//!
//! ```text
//! .r1flow/
//! ├── format.toml                       version of this layout; any other is refused
//! ├── objects/ab/<62 hex>               bytes, read-only; trees (manifests of folders) are objects too
//! ├── records.jsonl                     a line for each finished stage: fingerprint → action and outputs, checksummed
//! ├── collected                         objects that records name and `gc --only` has removed
//! ├── checkpoints/ab/<62 hex>/<n>.json  prefix fingerprint, step → tree; `<n>.digest` once it is no longer kept
//! ├── rows/ab/<62 hex>/<62 hex>.json    row key → parts of a growing set of rows
//! ├── attempts/<process>/               where a process and its workers write; removed after the process has ended
//! ├── runs/<id>/                        history, kept by the engine
//! ├── locks/{stages, collection}        locks of fingerprints and trails; of making and removing objects
//! ├── quarantine/                       objects whose bytes did not match their name
//! ├── digests                           digests of large files by stat
//! └── index/                            sled: records by stage
//! ```
//! Any of these except `format.toml` may be missing: a folder is made when it is needed. None may be a link. This crate
//! does not know workflows, kinds, or when a stage is out of date.

mod adopt;
mod audit;
mod checkpoint;
mod collect;
mod collected;
mod digest;
mod digests;
mod error;
mod export;
mod hash;
mod index;
mod journal;
mod layout;
mod lock;
mod object;
mod path;
mod publish;
mod record;
mod removal;
mod root;
mod rows;
mod scratch;
mod seal;
mod stream;
mod tree;
mod walk;
mod wish;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use audit::{Audit, Damage};
pub use checkpoint::CheckpointRecord;
pub use collect::{Alive, Collected, Hold, Keep};
pub use digest::{Digest, ParseDigestError};
pub use error::{Error, Result};
pub use hash::stamp;
pub use lock::StageLock;
pub use path::{MemberPath, NotInside};
pub use publish::{Unsynced, unique};
pub use record::{Glance, OutputRecord, Outputs, Record, Source};
pub use removal::Made;
pub use rows::RowsRecord;
pub use scratch::AttemptDir;
pub use seal::{is_sealed, seal};
pub use tree::{Member, Tree, TreeRef};
pub use walk::is_beside;
pub use wish::Wish;

use digests::Digests;
use index::Index;
use journal::Journal;
use lock::Trails;
use root::Root;
use scratch::Scratch;

/// A store on the local file system; cheap to clone and to share between threads.
#[derive(Clone, Debug)]
pub struct Store {
    root: Arc<Root>,
    index: Arc<Index>,
    journal: Arc<Journal>,
    digests: Arc<Digests>,
    trails: Arc<Trails>,
    scratch: Arc<Scratch>,
    marks: Arc<collect::Marks>,
}

impl Store {
    /// Opens the store at `root`, and makes it if there is none.
    pub fn open(root: &Path) -> Result<Self> {
        layout::create(root)?;
        Self::at(root)
    }

    /// Opens the store at `root`, or returns `None` if there is none.
    pub fn find(root: &Path) -> Result<Option<Self>> {
        if layout::exists(root) { Self::at(root).map(Some) } else { Ok(None) }
    }

    fn at(root: &Path) -> Result<Self> {
        let root = Arc::new(Root::open(root)?);
        layout::check(&root)?;
        Ok(Self {
            index: Arc::new(Index::new(Arc::clone(&root))),
            journal: Arc::new(Journal::new(Arc::clone(&root))),
            digests: Arc::default(),
            trails: Arc::default(),
            scratch: Arc::default(),
            marks: Arc::default(),
            root,
        })
    }

    /// Returns the store's folder, absolute.
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// Returns the folder of run histories, which may be missing.
    pub fn runs_dir(&self) -> PathBuf {
        self.root.path().join(layout::runs())
    }
}
