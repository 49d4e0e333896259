//! One process computes a fingerprint; the others wait and take its record.
//!
//! All lock one file, each fingerprint its own byte of it, far beyond the end: no file is made or left behind. The locks are
//! those of an open file, so they die with their process, and two threads exclude each other, too.

use std::fs::File;
use std::os::fd::AsRawFd;

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
        self.lock_byte(fingerprint, libc::F_OFD_SETLK)
    }

    /// Takes the lock of a fingerprint, and waits for it if need be. Blocks the thread.
    pub fn lock_stage(&self, fingerprint: &Digest) -> Result<StageLock> {
        loop {
            // It is not taken when a signal has come.
            if let Some(lock) = self.lock_byte(fingerprint, libc::F_OFD_SETLKW)? {
                return Ok(lock);
            }
        }
    }

    fn lock_byte(&self, fingerprint: &Digest, command: libc::c_int) -> Result<Option<StageLock>> {
        let path = layout::stage_locks(self.root());
        let file = fs_err::OpenOptions::new().create(true).append(true).open(path)?.into_parts().0;
        // SAFETY: zeros are a lock of nothing.
        let mut range: libc::flock = unsafe { std::mem::zeroed() };
        range.l_type = libc::F_WRLCK as libc::c_short;
        range.l_whence = libc::SEEK_SET as libc::c_short;
        range.l_start = place(fingerprint);
        range.l_len = 1;
        // SAFETY: the file is open, and the range outlives the call.
        if unsafe { libc::fcntl(file.as_raw_fd(), command, &raw const range) } == 0 {
            return Ok(Some(StageLock { _file: file }));
        }
        let error = std::io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EAGAIN | libc::EACCES | libc::EINTR) => Ok(None),
            _ => Err(error.into()),
        }
    }
}

/// Returns a fingerprint's byte, from the first 62 bits of the digest. Two that share one would only wait for each other.
fn place(fingerprint: &Digest) -> i64 {
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
        let held = store.lock_stage(&key).unwrap();
        assert!(store.try_lock_stage(&key).unwrap().is_none());
        assert!(store.try_lock_stage(&Digest::of(b"other")).unwrap().is_some());
        drop(held);
        assert!(store.try_lock_stage(&key).unwrap().is_some());
    }
}
