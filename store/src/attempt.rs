//! Folders of attempts: each belongs to the process that made it, and goes with it.
//!
//! ```text
//! attempts/<unique>.lock          flocked by an engine for as long as it lives
//! attempts/<unique>/zero-3/       where one of its workers writes
//! ```
//! A lock that can be taken belongs to nobody, so what lies beside it is rubbish of a process that was killed.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::Result;
use crate::{Store, layout, publish};

/// The attempts of one engine; nothing on disk before the first.
#[derive(Debug, Default)]
pub(crate) struct Attempts {
    owned: OnceLock<Owned>,
    count: AtomicU64,
}

#[derive(Debug)]
struct Owned {
    folder: PathBuf,
    lock: PathBuf,
    _locked: File,
}

impl Drop for Owned {
    fn drop(&mut self) {
        remove(&self.folder, &self.lock);
    }
}

/// A folder for one attempt at a stage, on the store's own file system; removed when dropped.
#[derive(Debug)]
pub struct AttemptDir(PathBuf);

impl AttemptDir {
    /// Returns the folder.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for AttemptDir {
    fn drop(&mut self) {
        if let Err(error) = fs_err::remove_dir_all(&self.0) {
            tracing::warn!(%error, "an attempt's folder stays until its engine ends");
        }
    }
}

impl Store {
    /// Makes a folder for one attempt at a stage.
    pub fn new_attempt_dir(&self, stage: &str) -> Result<AttemptDir> {
        let owned = if let Some(owned) = self.attempts.owned.get() {
            owned
        } else {
            let made = self.own_attempts()?;
            // Whoever comes second removes his again.
            self.attempts.owned.get_or_init(|| made)
        };
        let number = self.attempts.count.fetch_add(1, Ordering::Relaxed);
        let path = owned.folder.join(format!("{}-{number}", stage.replace('/', "~")));
        fs_err::create_dir(&path)?;
        Ok(AttemptDir(path))
    }

    fn own_attempts(&self) -> Result<Owned> {
        let folder = layout::attempts(self.root()).join(publish::unique());
        let lock = folder.with_extension("lock");
        // Locked before it has its name: nobody ever sees it unlocked while its owner lives.
        let draft = layout::tmp(self.root()).join(publish::unique());
        let file = fs_err::File::create(&draft)?.into_parts().0;
        file.lock()?;
        fs_err::rename(&draft, &lock)?;
        fs_err::create_dir(&folder)?;
        Ok(Owned { folder, lock, _locked: file })
    }

    /// Removes the folders of processes that were killed, and returns how many processes there were.
    pub fn sweep_attempts(&self) -> Result<usize> {
        let mut swept = 0;
        self.each_lock(|lock, is_owned| {
            if !is_owned {
                remove(&lock.with_extension(""), lock);
                swept += 1;
            }
        })?;
        Ok(swept)
    }

    /// Returns whether a process, this one included, has attempts here.
    pub fn has_attempts(&self) -> Result<bool> {
        let mut has_any = false;
        self.each_lock(|_, is_owned| has_any |= is_owned)?;
        Ok(has_any)
    }

    /// Calls `take` with every lock, and whether its owner lives; of one that has none it is held meanwhile.
    fn each_lock(&self, mut take: impl FnMut(&Path, bool)) -> Result<()> {
        for entry in fs_err::read_dir(layout::attempts(self.root()))? {
            let lock = entry?.path();
            if lock.extension().is_none_or(|extension| extension != "lock") {
                continue;
            }
            // Its owner may be done with it just now.
            let Ok(file) = File::open(&lock) else { continue };
            match file.try_lock() {
                Ok(()) => take(&lock, false),
                Err(TryLockError::WouldBlock) => take(&lock, true),
                Err(TryLockError::Error(error)) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// Removes folder, then lock: a lock without a folder is swept again, a folder without a lock would stay.
fn remove(path: &Path, lock: &Path) {
    let removed = if path.exists() { fs_err::remove_dir_all(path) } else { Ok(()) };
    if let Err(error) = removed.and_then(|()| fs_err::remove_file(lock)) {
        tracing::warn!(%error, "an attempt's folder stays behind");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nobody_owns_is_swept() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let mine = store.new_attempt_dir("distill/small").unwrap();
        fs_err::write(mine.path().join("half"), b"").unwrap();
        assert_eq!(store.sweep_attempts().unwrap(), 0);
        assert!(mine.path().join("half").exists() && store.has_attempts().unwrap());

        // What a killed process leaves: the same files, and nobody who holds the lock.
        let attempts = layout::attempts(store.root());
        fs_err::create_dir_all(attempts.join("1/zero-1")).unwrap();
        fs_err::write(attempts.join("1/zero-1/half"), b"").unwrap();
        fs_err::write(attempts.join("1.lock"), b"").unwrap();
        assert_eq!(store.sweep_attempts().unwrap(), 1);
        drop(mine);
        drop(store);
        assert_eq!(fs_err::read_dir(attempts).unwrap().count(), 0);
    }
}
