//! Objects: bytes in, digest out.

use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::FileType;

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::hash::{hash_file, read_at_most};
use crate::publish::{Unsynced, read_only_mode};
use crate::{Store, layout};

/// Limit for objects that are read whole: manifests, reports, curves, configurations.
const MOST_BYTES: u64 = 1 << 30;

impl Store {
    /// Returns the path of an object, present or not.
    pub fn object_path(&self, digest: &Digest) -> PathBuf {
        self.root.path().join(layout::object(digest))
    }

    /// Returns whether an object is present.
    pub fn has(&self, digest: &Digest) -> bool {
        self.object_path(digest).symlink_metadata().is_ok_and(|found| found.is_file())
    }

    /// Stores `bytes`, durably.
    pub fn put_bytes(&self, bytes: &[u8]) -> Result<Digest> {
        let (digest, unsynced) = self.write_in(bytes)?;
        unsynced.sync()?;
        Ok(digest)
    }

    /// Stores `bytes`. As with [`Store::move_in`], they are durable only once the returned [`Unsynced`] has been
    /// synced.
    pub fn write_in(&self, bytes: &[u8]) -> Result<(Digest, Unsynced)> {
        let digest = Digest::of(bytes);
        if !self.is_intact(&digest)? {
            let draft = self.draft(bytes)?;
            self.name_object(&draft, &digest)?;
        }
        Ok((digest, Unsynced::of(&self.root, [layout::object(&digest)])))
    }

    /// Returns an object's bytes, verified; fails above 1 GiB, for which there is [`Store::open_checked`].
    pub fn read(&self, digest: &Digest) -> Result<Vec<u8>> {
        let file = self.open_object(digest)?;
        let bytes = read_at_most(&file, &self.object_path(digest), MOST_BYTES)?;
        if Digest::of(&bytes) == *digest { Ok(bytes) } else { Err(self.corrupt(digest)?) }
    }

    pub(crate) fn open_object(&self, digest: &Digest) -> Result<File> {
        self.root.open_file(&layout::object(digest))
    }

    /// Moves a damaged object to quarantine and returns the error that reports it.
    pub(crate) fn corrupt(&self, digest: &Digest) -> Result<Error> {
        Ok(Error::Corrupt { digest: *digest, quarantine: self.quarantine(digest)? })
    }

    /// Returns whether an object is present and its bytes match its name. One that does not match, or is not a file, is
    /// moved to quarantine. Large objects are hashed again only if their stat has changed.
    pub(crate) fn is_intact(&self, digest: &Digest) -> Result<bool> {
        let Some(found) = self.root.stat(&layout::object(digest))? else { return Ok(false) };
        let is_file = FileType::from_raw_mode(found.st_mode) == FileType::RegularFile;
        if is_file && self.has_its_bytes(digest, Store::hash_large)? {
            return Ok(true);
        }
        self.quarantine(digest)?;
        Ok(false)
    }

    fn has_its_bytes(&self, digest: &Digest, hash: impl Fn(&Self, &File, &Path) -> Result<Digest>) -> Result<bool> {
        Ok(hash(self, &self.open_object(digest)?, &self.object_path(digest))? == *digest)
    }

    /// Moves an object to quarantine and returns its path there; `None` if the store is read-only.
    fn quarantine(&self, digest: &Digest) -> Result<Option<PathBuf>> {
        use std::io::ErrorKind::{NotFound, PermissionDenied, ReadOnlyFilesystem};
        let aside = layout::quarantine(digest);
        match self.root.rename(&layout::object(digest), &aside) {
            Err(Error::Io(error)) if matches!(error.kind(), PermissionDenied | ReadOnlyFilesystem) => Ok(None),
            // If it is gone, another process has moved it first.
            Err(Error::Io(error)) if error.kind() != NotFound => Err(error.into()),
            _ => Ok(Some(self.root.path().join(aside))),
        }
    }

    /// Renames a draft to its object's path; the caller syncs it. An intact object of that name stays, and the draft is
    /// removed.
    pub(crate) fn name_object(&self, draft: &Path, digest: &Digest) -> Result<()> {
        if self.is_intact(digest)? {
            return self.root.remove_file(draft).map(drop);
        }
        self.root.open_file(draft)?.set_permissions(PermissionsExt::from_mode(read_only_mode()))?;
        self.root.rename(draft, &layout::object(digest))
    }

    /// Fails unless an object's bytes match its name; a damaged one is moved to quarantine.
    pub(crate) fn check_object(&self, digest: &Digest) -> Result<()> {
        if self.has_its_bytes(digest, Store::hash_large)? { Ok(()) } else { Err(self.corrupt(digest)?) }
    }

    /// Does the same as [`Store::check_object`], but reads large files even if the stat cache has their digests.
    pub(crate) fn check_bytes(&self, digest: &Digest) -> Result<()> {
        let hash = |_: &Self, file: &File, path: &Path| hash_file(file, path);
        if self.has_its_bytes(digest, hash)? { Ok(()) } else { Err(self.corrupt(digest)?) }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "tests remove what they have made")]

    use super::*;

    #[test]
    fn equal_bytes_are_stored_once_and_read_only() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let digest = store.put_bytes(b"hello").unwrap();
        assert_eq!(store.put_bytes(b"hello").unwrap(), digest);
        assert_eq!(store.read(&digest).unwrap(), b"hello");
        let mode = fs_err::metadata(store.object_path(&digest)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, read_only_mode());
        let left = |store: &Store| {
            let folders = store.root.entries(layout::attempts()).unwrap();
            folders.iter().map(|(folder, _)| store.root.entries(folder).map_or(0, |all| all.len())).sum::<usize>()
        };
        assert_eq!(left(&store), 0);
    }

    #[test]
    fn damage_is_found_and_moved_aside() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let digest = store.put_bytes(b"hello").unwrap();
        let path = store.object_path(&digest);
        fs_err::remove_file(&path).unwrap();
        fs_err::write(&path, b"hellp").unwrap();
        assert!(matches!(store.read(&digest), Err(Error::Corrupt { .. })));
        assert!(!store.has(&digest));
        assert_eq!(store.put_bytes(b"hello").unwrap(), digest);
        assert_eq!(store.read(&digest).unwrap(), b"hello");
    }

    #[test]
    fn what_was_altered_is_replaced_when_it_is_made_again() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let digest = store.put_bytes(b"hello").unwrap();
        let path = store.object_path(&digest);
        for spoilt in [&b"hellp"[..], b"hel"] {
            fs_err::remove_file(&path).unwrap();
            fs_err::write(&path, spoilt).unwrap();
            assert!(matches!(store.check_object(&digest), Err(Error::Corrupt { .. })));
            fs_err::write(&path, spoilt).unwrap();
            assert_eq!(store.put_bytes(b"hello").unwrap(), digest);
            assert_eq!(store.read(&digest).unwrap(), b"hello");
        }
    }

    #[test]
    fn a_link_or_pipe_in_the_place_of_an_object_is_moved_aside_and_what_it_leads_to_stays() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let theirs = dir.path().join("theirs");
        fs_err::write(&theirs, b"hello").unwrap();
        let digest = Digest::of(b"hello");
        let path = store.object_path(&digest);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(&theirs, &path).unwrap();
        assert!(!store.has(&digest) && store.read(&digest).is_err());
        assert_eq!(store.put_bytes(b"hello").unwrap(), digest);
        assert!(path.symlink_metadata().unwrap().is_file());
        fs_err::remove_file(&path).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, &path, FileType::Fifo, 0o600.into(), 0).unwrap();
        assert!(store.read(&digest).is_err());
        assert_eq!(store.put_bytes(b"hello").unwrap(), digest);
        assert_eq!(fs_err::read(&theirs).unwrap(), b"hello");
    }
}
