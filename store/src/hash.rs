//! Digests of input files and folders, with a cache by stat for what is large.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::digest::Digest;
use crate::error::Result;
use crate::object::hash_file;
use crate::{Store, tree};

/// Below this size hashing is cheaper than opening the index.
const WORTH_REMEMBERING: u64 = 1 << 20;
/// A file changed this recently may change again within the clock's resolution, so it is not remembered.
const SETTLED: Duration = Duration::from_secs(2);

impl Store {
    /// Returns the digest of a file's bytes, or of a folder's tree. Path, times and owner do not enter it.
    pub fn hash_path(&self, path: &Path) -> Result<Digest> {
        let metadata = fs_err::metadata(path)?;
        if metadata.is_dir() {
            return self.hash_folder(path);
        }
        self.hash_large(path, &metadata)
    }

    fn hash_folder(&self, path: &Path) -> Result<Digest> {
        // The tree's members are hashed one by one, so that large ones come from the cache.
        tree::hash_dir_with(path, |file, metadata| self.hash_large(file, metadata))
    }

    fn hash_large(&self, path: &Path, metadata: &std::fs::Metadata) -> Result<Digest> {
        if metadata.len() < WORTH_REMEMBERING {
            return hash_file(path);
        }
        let identity = identity(path, metadata);
        if let Some(digest) = self.index.digest_of(&identity) {
            return Ok(digest);
        }
        let digest = hash_file(path)?;
        let age = metadata.modified().ok().and_then(|time| SystemTime::now().duration_since(time).ok());
        let unchanged = identity == self::identity(path, &fs_err::metadata(path)?);
        if unchanged && age.is_some_and(|age| age > SETTLED) {
            self.index.remember_digest(&identity, &digest);
        }
        Ok(digest)
    }
}

/// What would differ if the file had been written again.
fn identity(path: &Path, metadata: &std::fs::Metadata) -> Vec<u8> {
    let mut identity = Vec::new();
    for number in [metadata.dev(), metadata.ino(), metadata.len()] {
        identity.extend(number.to_le_bytes());
    }
    for time in [metadata.mtime(), metadata.mtime_nsec(), metadata.ctime(), metadata.ctime_nsec()] {
        identity.extend(time.to_le_bytes());
    }
    identity.extend(path.as_os_str().as_bytes());
    identity
}

#[cfg(test)]
mod tests {
    use std::fs::FileTimes;

    use super::*;

    #[test]
    fn an_edit_of_equal_size_and_time_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let path = dir.path().join("data");
        let old = SystemTime::now() - Duration::from_hours(1);
        let write = |byte: u8| {
            fs_err::write(&path, vec![byte; 2 << 20]).unwrap();
            let file = std::fs::File::options().write(true).open(&path).unwrap();
            file.set_times(FileTimes::new().set_modified(old)).unwrap();
        };
        write(1);
        let first = store.hash_path(&path).unwrap();
        assert_eq!(store.hash_path(&path).unwrap(), first);
        assert_eq!(store.index.digest_of(&identity(&path, &fs_err::metadata(&path).unwrap())), Some(first));
        write(2);
        assert_eq!(store.hash_path(&path).unwrap(), Digest::of(&vec![2; 2 << 20]));
    }

    #[test]
    fn a_folder_hashes_as_its_tree() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let folder = dir.path().join("model");
        fs_err::create_dir_all(&folder).unwrap();
        fs_err::write(folder.join("config.json"), b"{}").unwrap();
        let hashed = store.hash_path(&folder).unwrap();
        assert_eq!(store.put_dir(&folder).unwrap().digest, hashed);
    }
}
