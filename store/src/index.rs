//! sled as a derived index: records by stage.
//!
//! The index is never the truth. It is opened at first use. If that fails (another process has it, or it is damaged,
//! and then sled may panic), everything still works from the files, only slower. A damaged index is removed and
//! rebuilt: it holds nothing that the journal does not.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use rustix::fs::FileType;

use crate::root::Root;
use crate::{layout, publish};

/// The trees of the index.
#[derive(Debug)]
pub(crate) struct Open {
    /// Always `Some` until it is dropped.
    sled: Option<Sled>,
}

#[derive(Debug)]
struct Sled {
    db: sled::Db,
    /// `stage \0 finished \0 offset in the journal` → empty; the empty key → bytes of the journal that it covers, and
    /// the number of entries.
    stages: sled::Tree,
}

/// An index that is opened at first use.
#[derive(Debug)]
pub(crate) struct Index {
    root: Arc<Root>,
    open: OnceLock<Option<Open>>,
}

impl Index {
    pub(crate) fn new(root: Arc<Root>) -> Self {
        Self { root, open: OnceLock::new() }
    }

    /// Returns the index, or `None` if it cannot be opened now.
    pub(crate) fn get(&self) -> Option<&Open> {
        self.open.get_or_init(|| open_or_rebuild(&self.root)).as_ref()
    }
}

impl Open {
    /// Runs a query on sled. A failure of sled, whether an error or a panic, is returned as text.
    pub(crate) fn ask<T>(&self, question: impl FnOnce(&sled::Tree) -> sled::Result<T>) -> Result<T, String> {
        guarded(|| question(&self.sled.as_ref().expect("it is not dropped").stages))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let sled = self.sled.take();
        // sled syncs its file when the last handle is dropped, and panics where it cannot.
        let close = || sled.map_or(Ok(()), |sled| sled.db.flush().map(drop));
        if let Err(error) = guarded(close) {
            tracing::debug!(error, "the index was not flushed; it will be built anew");
        }
    }
}

fn guarded<T>(work: impl FnOnce() -> sled::Result<T>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(done) => done.map_err(|error| error.to_string()),
        Err(_) => Err("sled panicked".to_owned()),
    }
}

fn open_or_rebuild(root: &Root) -> Option<Open> {
    let path = root.path().join(layout::index());
    // sled follows links: one that another program put there could point to any file.
    let has_links =
        |folder: &Path| crate::Result::Ok(root.entries(folder)?.iter().any(|(_, sort)| *sort == FileType::Symlink));
    let opened = match has_links(layout::index()) {
        Ok(false) => try_open(&path),
        Ok(true) => Err(Failure::Damaged("it holds links".to_owned())),
        Err(crate::Error::Link { path }) => Err(Failure::Damaged(format!("`{}` is a link", path.display()))),
        Err(error) => {
            tracing::debug!(%error, "there is no index");
            return None;
        }
    };
    match opened {
        Ok(open) => Some(open),
        Err(Failure::Busy) => None,
        Err(Failure::Damaged(reason)) => {
            tracing::warn!(reason, "the index is damaged and is built anew");
            // If the process is killed between these lines, the next `gc` removes it.
            let aside = Path::new("quarantine").join(format!("index-{}", publish::unique()));
            root.rename(layout::index(), &aside).ok()?;
            root.remove_tree(&aside).ok()?;
            try_open(&path).ok()
        }
    }
}

enum Failure {
    Busy,
    Damaged(String),
}

fn try_open(path: &Path) -> Result<Open, Failure> {
    let opened = catch_unwind(AssertUnwindSafe(|| {
        let db = sled::Config::new().path(path).cache_capacity(64 << 20).flush_every_ms(None).open()?;
        let stages = db.open_tree("records")?;
        Ok(Open { sled: Some(Sled { db, stages }) })
    }));
    match opened {
        Ok(Ok(open)) => Ok(open),
        Ok(Err(error)) if is_elsewhere(&error) => Err(Failure::Busy),
        Ok(Err(error)) => Err(Failure::Damaged(error.to_string())),
        Err(_) => Err(Failure::Damaged("sled panicked".to_owned())),
    }
}

/// Returns whether an error means no damage: another process has the index (sled reports this in the text of an I/O
/// error), or the disk cannot be written to.
fn is_elsewhere(error: &sled::Error) -> bool {
    use std::io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem, StorageFull};
    let sled::Error::Io(io) = error else { return false };
    io.to_string().contains("could not acquire lock")
        || matches!(io.kind(), PermissionDenied | ReadOnlyFilesystem | StorageFull)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(dir: &Path) -> Index {
        Index::new(Arc::new(Root::open(dir).unwrap()))
    }

    #[test]
    fn a_second_handle_works_without() {
        let dir = tempfile::tempdir().unwrap();
        let first = index(dir.path());
        assert!(first.get().is_some());
        assert!(index(dir.path()).get().is_none());
    }

    #[test]
    fn rubbish_does_no_harm() {
        let dir = tempfile::tempdir().unwrap();
        fs_err::create_dir_all(dir.path().join("index")).unwrap();
        fs_err::write(dir.path().join("index/conf"), b"rubbish").unwrap();
        fs_err::write(dir.path().join("index/db"), vec![0xAB; 4096]).unwrap();
        let index = index(dir.path());
        assert!(index.get().is_some());
    }

    #[test]
    fn a_link_in_it_is_not_followed() {
        let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs_err::create_dir_all(dir.path().join("index")).unwrap();
        std::os::unix::fs::symlink(outside.path().join("db"), dir.path().join("index/db")).unwrap();
        assert!(index(dir.path()).get().is_some());
        assert_eq!(fs_err::read_dir(dir.path().join("quarantine")).unwrap().count(), 0);
        assert_eq!(fs_err::read_dir(outside.path()).unwrap().count(), 0);
    }

    #[test]
    fn an_index_that_cannot_be_written_is_not_damaged() {
        let refused = |kind| is_elsewhere(&sled::Error::Io(std::io::Error::from(kind)));
        assert!(refused(std::io::ErrorKind::ReadOnlyFilesystem) && refused(std::io::ErrorKind::PermissionDenied));
        assert!(!refused(std::io::ErrorKind::InvalidData) && !is_elsewhere(&sled::Error::ReportableBug(String::new())));
    }
}
