//! sled as a derived index: digests of input files by stat, and records by stage.
//!
//! It is never the truth. It opens when first asked for something; when it cannot (another process holds it, or it is
//! damaged, and then sled may panic) everything still works from the files, only slower. A damaged index is moved
//! aside and built anew.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::digest::Digest;
use crate::publish;

/// The trees of the index.
#[derive(Debug)]
pub(crate) struct Open {
    db: sled::Db,
    /// Identity of an input file (path, device, inode, size, times) → digest.
    pub(crate) stat: sled::Tree,
    /// `stage \0 finished \0 place in the journal` → empty; the empty key → bytes of the journal that it covers.
    pub(crate) stages: sled::Tree,
}

/// An index that opens itself when needed.
#[derive(Debug)]
pub(crate) struct Index {
    path: PathBuf,
    open: OnceLock<Option<Open>>,
}

impl Index {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, open: OnceLock::new() }
    }

    /// Returns the index, or nothing when it cannot be had now.
    pub(crate) fn get(&self) -> Option<&Open> {
        self.open.get_or_init(|| open_or_rebuild(&self.path)).as_ref()
    }

    pub(crate) fn digest_of(&self, identity: &[u8]) -> Option<Digest> {
        let found = self.get()?.stat.get(identity).ok()??;
        <[u8; 32]>::try_from(found.as_ref()).ok().map(Digest::from)
    }

    pub(crate) fn remember_digest(&self, identity: &[u8], digest: &Digest) {
        if let Some(open) = self.get()
            && let Err(error) = open.stat.insert(identity, digest.as_bytes())
        {
            tracing::warn!(%error, "the index takes no more entries");
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Err(error) = self.db.flush() {
            tracing::warn!(%error, "the index was not flushed; it will be built anew");
        }
    }
}

fn open_or_rebuild(path: &Path) -> Option<Open> {
    match try_open(path) {
        Ok(open) => Some(open),
        Err(Failure::Busy) => None,
        Err(Failure::Damaged(reason)) => {
            let aside = path.with_file_name(format!("tmp/index-{}", publish::unique()));
            tracing::warn!(reason, "the index is damaged and is built anew");
            std::fs::rename(path, aside).ok()?;
            try_open(path).ok()
        }
    }
}

enum Failure {
    Busy,
    Damaged(String),
}

fn try_open(path: &Path) -> Result<Open, Failure> {
    let opened = catch_unwind(AssertUnwindSafe(|| {
        let db = sled::Config::new().path(path).cache_capacity(64 << 20).flush_every_ms(Some(1_000)).open()?;
        let stat = db.open_tree("stat")?;
        let stages = db.open_tree("records")?;
        Ok(Open { db, stat, stages })
    }));
    match opened {
        Ok(Ok(open)) => Ok(open),
        Ok(Err(error)) if is_lock(&error) => Err(Failure::Busy),
        Ok(Err(error)) => Err(Failure::Damaged(error.to_string())),
        Err(_) => Err(Failure::Damaged("sled panicked".to_owned())),
    }
}

/// sled reports a held lock as an I/O error whose text names it.
fn is_lock(error: &sled::Error) -> bool {
    matches!(error, sled::Error::Io(io) if io.to_string().contains("could not acquire lock"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_handle_works_without() {
        let dir = tempfile::tempdir().unwrap();
        let first = Index::new(dir.path().join("index"));
        first.remember_digest(b"x", &Digest::of(b"1"));
        let second = Index::new(dir.path().join("index"));
        assert!(second.get().is_none());
        second.remember_digest(b"x", &Digest::of(b"2"));
        assert_eq!(first.digest_of(b"x"), Some(Digest::of(b"1")));
    }

    #[test]
    fn rubbish_is_moved_aside() {
        let dir = tempfile::tempdir().unwrap();
        fs_err::create_dir_all(dir.path().join("tmp")).unwrap();
        fs_err::create_dir_all(dir.path().join("index")).unwrap();
        fs_err::write(dir.path().join("index/conf"), b"rubbish").unwrap();
        fs_err::write(dir.path().join("index/db"), vec![0xAB; 4096]).unwrap();
        let index = Index::new(dir.path().join("index"));
        index.remember_digest(b"x", &Digest::of(b"1"));
        assert_eq!(index.digest_of(b"x"), Some(Digest::of(b"1")));
    }
}
