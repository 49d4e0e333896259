//! Objects: bytes in, digest out.

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::publish::Unsynced;
use crate::{Store, layout, publish};

impl Store {
    /// Returns where an object lies, present or not.
    pub fn object_path(&self, digest: &Digest) -> PathBuf {
        layout::object(self.root(), digest)
    }

    /// Returns whether an object is present.
    pub fn has(&self, digest: &Digest) -> bool {
        self.object_path(digest).exists()
    }

    /// Stores `bytes`, durably.
    pub fn put_bytes(&self, bytes: &[u8]) -> Result<Digest> {
        let (digest, unsynced) = self.write_in(bytes)?;
        unsynced.sync()?;
        Ok(digest)
    }

    /// Stores `bytes`; like [`Store::move_in`], durably only once what is returned has been synced.
    pub fn write_in(&self, bytes: &[u8]) -> Result<(Digest, Unsynced)> {
        let digest = Digest::of(bytes);
        if !self.is_intact(&digest)? {
            let draft = layout::tmp(self.root()).join(publish::unique());
            fs_err::write(&draft, bytes)?;
            self.name_object(&draft, &digest)?;
        }
        Ok((digest, Unsynced::of([self.object_path(&digest)])))
    }

    /// Stores a copy of a file, durably.
    pub fn put_file(&self, path: &Path) -> Result<Digest> {
        let draft = layout::tmp(self.root()).join(publish::unique());
        fs_err::copy(path, &draft)?;
        // Hashing what was copied, not the source: the source may change in between.
        let digest = hash_file(&draft)?;
        self.name_object(&draft, &digest)?;
        Unsynced::of([self.object_path(&digest)]).sync()?;
        Ok(digest)
    }

    /// Returns an object's bytes, verified.
    pub fn read(&self, digest: &Digest) -> Result<Vec<u8>> {
        let path = self.object_path(digest);
        let bytes = fs_err::read(&path)?;
        if Digest::of(&bytes) == *digest {
            return Ok(bytes);
        }
        Err(self.corrupt(digest)?)
    }

    /// Moves a damaged object aside and returns what to say of it.
    pub(crate) fn corrupt(&self, digest: &Digest) -> Result<Error> {
        Ok(Error::Corrupt { digest: *digest, quarantine: self.quarantine(digest)? })
    }

    /// Returns whether an object is present with the bytes of its name; one with others is moved aside. Large objects are
    /// hashed again only when something about the file has changed.
    pub(crate) fn is_intact(&self, digest: &Digest) -> Result<bool> {
        let path = self.object_path(digest);
        if !path.exists() {
            return Ok(false);
        }
        if self.hash_path(&path)? == *digest {
            return Ok(true);
        }
        self.quarantine(digest)?;
        Ok(false)
    }

    fn quarantine(&self, digest: &Digest) -> Result<PathBuf> {
        let aside = layout::quarantine(self.root(), digest);
        fs_err::rename(self.object_path(digest), &aside)?;
        Ok(aside)
    }

    /// Gives a draft its name; the caller syncs it. What lies there already stays, unless it was damaged.
    pub(crate) fn name_object(&self, draft: &Path, digest: &Digest) -> Result<()> {
        if self.is_intact(digest)? {
            fs_err::remove_file(draft)?;
            return Ok(());
        }
        publish::make_read_only(draft)?;
        publish::rename(draft, &self.object_path(digest))
    }

    /// Fails, with the object moved aside, unless it has the bytes of its name.
    pub(crate) fn check_object(&self, digest: &Digest) -> Result<()> {
        if self.hash_path(&self.object_path(digest))? == *digest { Ok(()) } else { Err(self.corrupt(digest)?) }
    }

    /// Does the same as [`Store::check_object`] without trust in what is remembered of large files.
    pub(crate) fn check_bytes(&self, digest: &Digest) -> Result<()> {
        if hash_file(&self.object_path(digest))? == *digest { Ok(()) } else { Err(self.corrupt(digest)?) }
    }
}

/// Returns the digest of a file's bytes; large files are mapped and hashed on all cores.
pub(crate) fn hash_file(path: &Path) -> Result<Digest> {
    const LARGE: u64 = 4 << 20;
    let mut file = fs_err::File::open(path)?;
    let mut hasher = blake3::Hasher::new();
    if file.metadata()?.len() >= LARGE {
        hasher.update_mmap_rayon(path)?;
    } else {
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        hasher.update(&bytes);
    }
    Ok(hasher.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_bytes_are_stored_once_and_read_only() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let digest = store.put_bytes(b"hello").unwrap();
        assert_eq!(store.put_bytes(b"hello").unwrap(), digest);
        assert_eq!(store.read(&digest).unwrap(), b"hello");
        assert!(fs_err::metadata(store.object_path(&digest)).unwrap().permissions().readonly());
        assert_eq!(fs_err::read_dir(layout::tmp(store.root())).unwrap().count(), 0);
    }

    #[test]
    fn a_file_is_named_by_its_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let path = dir.path().join("file");
        let bytes = vec![7; 5 << 20];
        fs_err::write(&path, &bytes).unwrap();
        assert_eq!(store.put_file(&path).unwrap(), Digest::of(&bytes));
        assert_eq!(hash_file(&path).unwrap(), Digest::of(&bytes));
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
}
