//! One process computes a fingerprint; the others wait and take its record.
//!
//! flock, because it dies with its process: there are no stale locks to break.

use std::fs::File;

use crate::digest::Digest;
use crate::error::Result;
use crate::{Store, layout};

/// The right to compute a fingerprint, until dropped.
#[derive(Debug)]
pub struct StageLock {
    _file: File,
}

impl Store {
    /// Takes the lock of a fingerprint, or returns nothing when another process has it.
    pub fn try_lock_stage(&self, fingerprint: &Digest) -> Result<Option<StageLock>> {
        let file = self.lock_file(fingerprint)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(StageLock { _file: file })),
            Err(std::fs::TryLockError::WouldBlock) => Ok(None),
            Err(std::fs::TryLockError::Error(error)) => Err(error.into()),
        }
    }

    /// Takes the lock of a fingerprint, and waits for it if need be. Blocks the thread.
    pub fn lock_stage(&self, fingerprint: &Digest) -> Result<StageLock> {
        let file = self.lock_file(fingerprint)?;
        file.lock()?;
        Ok(StageLock { _file: file })
    }

    fn lock_file(&self, fingerprint: &Digest) -> Result<File> {
        let path = layout::lock(self.root(), fingerprint);
        Ok(fs_err::OpenOptions::new().create(true).append(true).open(path)?.into_parts().0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holder_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let key = Digest::of(b"stage");
        let held = store.lock_stage(&key).unwrap();
        assert!(store.try_lock_stage(&key).unwrap().is_none());
        assert!(store.try_lock_stage(&Digest::of(b"other")).unwrap().is_some());
        drop(held);
        assert!(store.try_lock_stage(&key).unwrap().is_some());
    }
}
