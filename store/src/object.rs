//! Objects: bytes in, digest out.

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::digest::Digest;
use crate::error::{Error, Result};
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
        let digest = Digest::of(bytes);
        if !self.has(&digest) {
            let draft = publish::draft(&layout::tmp(self.root()), bytes)?;
            self.publish_object(&draft, &digest)?;
        }
        Ok(digest)
    }

    /// Stores a copy of a file, durably.
    pub fn put_file(&self, path: &Path) -> Result<Digest> {
        let draft = layout::tmp(self.root()).join(publish::unique());
        fs_err::copy(path, &draft)?;
        publish::sync_file(&draft)?;
        // Hashing what was copied, not the source: the source may change in between.
        let digest = hash_file(&draft)?;
        self.publish_object(&draft, &digest)?;
        Ok(digest)
    }

    /// Returns an object's bytes, verified.
    pub fn read(&self, digest: &Digest) -> Result<Vec<u8>> {
        let path = self.object_path(digest);
        let bytes = fs_err::read(&path)?;
        if Digest::of(&bytes) == *digest {
            return Ok(bytes);
        }
        let quarantine = layout::quarantine(self.root(), digest);
        fs_err::rename(&path, &quarantine)?;
        Err(Error::Corrupt { digest: *digest, quarantine })
    }

    fn publish_object(&self, draft: &Path, digest: &Digest) -> Result<()> {
        self.name_object(draft, digest)?;
        publish::sync_folder(self.object_path(digest).parent().expect("objects lie in a folder"))
    }

    /// Names a durable draft; the caller makes the folder durable.
    pub(crate) fn name_object(&self, draft: &Path, digest: &Digest) -> Result<()> {
        let path = self.object_path(digest);
        if path.exists() {
            fs_err::remove_file(draft)?;
            return Ok(());
        }
        publish::make_read_only(draft)?;
        publish::rename(draft, &path)
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
}
