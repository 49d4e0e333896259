//! Folders of attempts: each belongs to the process that made it, and goes with it.
//!
//! ```text
//! attempts/zero-…/        where a worker writes
//! attempts/zero-….lock    flocked by the engine for as long as it lives
//! ```
//! A lock that can be taken belongs to nobody, so what lies beside it is rubbish of a process that was killed.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::{Store, layout, publish};

/// A folder for one attempt at a stage, on the store's own file system; removed when dropped.
#[derive(Debug)]
pub struct AttemptDir {
    path: PathBuf,
    lock: PathBuf,
    _locked: File,
}

impl AttemptDir {
    /// Returns the folder.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for AttemptDir {
    fn drop(&mut self) {
        remove(&self.path, &self.lock);
    }
}

impl Store {
    /// Makes a folder for one attempt at a stage.
    pub fn new_attempt_dir(&self, stage: &str) -> Result<AttemptDir> {
        let name = format!("{}-{}", stage.replace('/', "~"), publish::unique());
        let attempts = layout::attempts(self.root());
        let lock = attempts.join(format!("{name}.lock"));
        // Locked before it has its name: nobody ever sees it unlocked while its owner lives.
        let draft = layout::tmp(self.root()).join(publish::unique());
        let file = fs_err::File::create(&draft)?.into_parts().0;
        file.lock()?;
        fs_err::rename(&draft, &lock)?;
        let path = attempts.join(name);
        fs_err::create_dir_all(&path)?;
        Ok(AttemptDir { path, lock, _locked: file })
    }

    /// Removes the folders of processes that were killed, and returns how many there were.
    pub fn sweep_attempts(&self) -> Result<usize> {
        let mut swept = 0;
        for entry in fs_err::read_dir(layout::attempts(self.root()))? {
            let lock = entry?.path();
            if lock.extension().is_none_or(|extension| extension != "lock") {
                continue;
            }
            // Its owner may be done with it just now.
            let Ok(file) = File::open(&lock) else { continue };
            match file.try_lock() {
                Ok(()) => {
                    remove(&lock.with_extension(""), &lock);
                    swept += 1;
                }
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(error.into()),
            }
        }
        Ok(swept)
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
        assert!(mine.path().join("half").exists());

        // What a killed process leaves: the same files, and nobody who holds the lock.
        let attempts = layout::attempts(store.root());
        fs_err::create_dir(attempts.join("zero-1")).unwrap();
        fs_err::write(attempts.join("zero-1/half"), b"").unwrap();
        fs_err::write(attempts.join("zero-1.lock"), b"").unwrap();
        assert_eq!(store.sweep_attempts().unwrap(), 1);
        drop(mine);
        assert_eq!(fs_err::read_dir(attempts).unwrap().count(), 0);
    }
}
