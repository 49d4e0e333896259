//! One process computes a fingerprint; the others wait and use its record.
//!
//! Each fingerprint locks a byte of one file, far beyond its end, so no file per lock is made or left behind. They are
//! open-file-description locks: they end with their process, and two threads exclude each other, too. Stages that train
//! the same first steps share a *trail*: one process at a time works on it, and the others resume from its checkpoints.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::{Store, layout};

/// An exclusive lock on a fingerprint or a trail; released when dropped.
#[derive(Debug)]
pub struct StageLock {
    _file: File,
}

/// The trails that this process has locked. Its stages share the lock of a trail, because the engine itself keeps them
/// apart.
#[derive(Debug, Default)]
pub(crate) struct Trails(Mutex<HashMap<Digest, Weak<StageLock>>>);

impl Store {
    /// Takes the lock of a fingerprint, or returns `None` if another thread or process has it.
    pub fn try_lock_stage(&self, fingerprint: &Digest) -> Result<Option<StageLock>> {
        self.lock_byte(fingerprint)
    }

    /// Takes the lock of a trail, or returns `None` if another process has it.
    pub fn try_lock_trail(&self, trail: &Digest) -> Result<Option<Arc<StageLock>>> {
        let mut trails = self.trails.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lock) = trails.get(trail).and_then(Weak::upgrade) {
            return Ok(Some(lock));
        }
        let lock = self.lock_byte(&Digest::of(format!("trail {trail}").as_bytes()))?.map(Arc::new);
        trails.retain(|_, lock| lock.strong_count() > 0);
        trails.extend(lock.as_ref().map(|lock| (*trail, Arc::downgrade(lock))));
        Ok(lock)
    }

    fn lock_byte(&self, name: &Digest) -> Result<Option<StageLock>> {
        let file = self.root.append(layout::stage_locks())?;
        // SAFETY: all zeros is a valid `flock`.
        let mut range: libc::flock = unsafe { std::mem::zeroed() };
        range.l_type = libc::F_WRLCK as libc::c_short;
        range.l_whence = libc::SEEK_SET as libc::c_short;
        range.l_start = byte_of(name);
        range.l_len = 1;
        loop {
            // SAFETY: the file is open, and the range outlives the call.
            if unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const range) } == 0 {
                return Ok(Some(StageLock { _file: file }));
            }
            let error = io::Error::last_os_error();
            match error.raw_os_error() {
                Some(libc::EINTR) => {}
                Some(libc::EAGAIN | libc::EACCES) => return Ok(None),
                _ => return Err(lock_error(error, &self.root.path().join(layout::stage_locks()))),
            }
        }
    }
}

/// Adds the lock's path to an error, and reports a file system without locks as such.
pub(crate) fn locked<T>(result: io::Result<T>, path: &Path) -> Result<T> {
    result.map_err(|error| lock_error(error, path))
}

pub(crate) fn lock_error(source: io::Error, path: &Path) -> Error {
    match source.raw_os_error() {
        Some(libc::ENOLCK | libc::EOPNOTSUPP | libc::ENOSYS | libc::EINVAL) => {
            Error::NoLocks { path: path.to_owned(), source }
        }
        _ => crate::root::named(source, "lock", path).into(),
    }
}

/// Returns the byte to lock, from the first 62 bits of the digest. Two fingerprints with the same byte would only wait
/// for each other.
fn byte_of(fingerprint: &Digest) -> i64 {
    let first = &fingerprint.digits()[..16];
    (u64::from_str_radix(first, 16).expect("a digest is hex") >> 2).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holder_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let key = Digest::of(b"stage");
        let held = store.try_lock_stage(&key).unwrap().unwrap();
        assert!(store.try_lock_stage(&key).unwrap().is_none());
        assert!(store.try_lock_stage(&Digest::of(b"other")).unwrap().is_some());
        drop(held);
        assert!(store.try_lock_stage(&key).unwrap().is_some());
    }

    #[test]
    fn a_trail_is_shared_in_a_process_and_by_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let (mine, theirs) = (Store::open(dir.path()).unwrap(), Store::open(dir.path()).unwrap());
        let trail = Digest::of(b"trail");
        let first = mine.try_lock_trail(&trail).unwrap().unwrap();
        let second = mine.try_lock_trail(&trail).unwrap().unwrap();
        assert!(theirs.try_lock_trail(&trail).unwrap().is_none());
        assert!(theirs.try_lock_trail(&Digest::of(b"other")).unwrap().is_some());
        drop(first);
        assert!(theirs.try_lock_trail(&trail).unwrap().is_none(), "the second is still at it");
        drop(second);
        assert!(theirs.try_lock_trail(&trail).unwrap().is_some());
    }

    #[test]
    fn a_file_system_without_locks_is_named_with_the_cure() {
        let error = lock_error(io::Error::from_raw_os_error(libc::ENOLCK), Path::new("/s/locks/stages")).to_string();
        assert!(error.contains("`/s/locks/stages` offers no file locks") && error.contains("--store"), "{error}");
    }
}
