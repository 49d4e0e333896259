//! Single files that grow beside the store, logs and curves: moved into it and out of it with bounded memory.
//!
//! A complete file is hard-linked, so that its bytes are on the disk once; of a file that still grows, the first bytes
//! are copied.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use crate::Store;
use crate::digest::Digest;
use crate::error::Result;
use crate::hash::open_file;
use crate::layout;
use crate::path::below;
use crate::publish::Unsynced;

/// Bytes in memory at once.
const CHUNK: usize = 1 << 18;

impl Store {
    /// Stores a file that will not be written again, by a hard link if the file system allows it, else by a copy. A
    /// linked file is read-only from then on. It is durable only once the returned [`Unsynced`] has been synced.
    pub fn link_in(&self, file: &Path) -> Result<(Digest, Unsynced)> {
        let draft = self.scratch_name("draft")?;
        let inside = below(self.root.path(), file);
        if inside.is_none_or(|inside| self.root.link(inside, &draft).is_err()) {
            return self.copy_in(file, u64::MAX);
        }
        let digest = stream(self.root.open_file(&draft)?, u64::MAX, |_| Ok(()))?.0;
        self.name_object(&draft, &digest)?;
        Ok((digest, Unsynced::of(&self.root, [layout::object(&digest)])))
    }

    /// Stores a copy of a file's first `len` bytes, or of all if there are fewer. It is durable only once the returned
    /// [`Unsynced`] has been synced.
    pub fn copy_in(&self, file: &Path, len: u64) -> Result<(Digest, Unsynced)> {
        let draft = self.scratch_name("draft")?;
        let mut copy = self.root.create_new(&draft)?;
        let (digest, _) = stream(open_file(file)?, len, |bytes| copy.write_all(bytes))?;
        self.name_object(&draft, &digest)?;
        Ok((digest, Unsynced::of(&self.root, [layout::object(&digest)])))
    }

    /// Copies an object to the file `to`, which is overwritten, and returns its length. Fails if the bytes do not match
    /// the name; the object is then moved to quarantine.
    pub fn copy_out(&self, digest: &Digest, to: &Path) -> Result<u64> {
        let mut copy = fs_err::File::create(to)?;
        let (found, len) = stream(self.open_object(digest)?, u64::MAX, |bytes| copy.write_all(bytes))?;
        if found == *digest { Ok(len) } else { Err(self.corrupt(digest)?) }
    }
}

/// Calls `take` with the first `len` bytes of a file, chunk by chunk, and returns their digest and number.
fn stream(file: File, len: u64, mut take: impl FnMut(&[u8]) -> std::io::Result<()>) -> std::io::Result<(Digest, u64)> {
    let (mut hasher, mut read) = (blake3::Hasher::new(), 0);
    let mut file = file.take(len);
    let mut chunk = vec![0; CHUNK];
    loop {
        let bytes = match file.read(&mut chunk) {
            Ok(0) => return Ok((hasher.finalize().into(), read)),
            Ok(number) => &chunk[..number],
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hasher.update(bytes);
        take(bytes)?;
        read += bytes.len() as u64;
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "tests remove what they have made")]

    use std::os::unix::fs::MetadataExt;

    use super::*;
    use crate::error::Error;

    #[test]
    fn a_linked_file_lies_on_the_disk_once_and_the_second_like_it_is_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let log = store.root().join("runs/1/log");
        fs_err::create_dir_all(log.parent().unwrap()).unwrap();
        fs_err::write(&log, b"a line\n").unwrap();
        for _ in 0..2 {
            let (digest, unsynced) = store.link_in(&log).unwrap();
            unsynced.sync().unwrap();
            assert_eq!(digest, Digest::of(b"a line\n"));
            assert_eq!(store.read(&digest).unwrap(), b"a line\n");
            let inode = |path: &Path| fs_err::metadata(path).unwrap().ino();
            assert_eq!(inode(&log), inode(&store.object_path(&digest)));
        }
        assert_eq!(fs_err::metadata(&log).unwrap().nlink(), 2, "no draft stays");
    }

    #[test]
    fn the_beginning_of_a_file_that_grows_comes_out_again() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let (curve, again) = (dir.path().join("curve"), dir.path().join("again"));
        let bytes: Vec<u8> = (0..3 * CHUNK).map(|at| at as u8).collect();
        fs_err::write(&curve, &bytes).unwrap();
        let first = 2 * CHUNK + 7;
        let (digest, unsynced) = store.copy_in(&curve, first as u64).unwrap();
        unsynced.sync().unwrap();
        assert_eq!(digest, Digest::of(&bytes[..first]));
        assert_eq!(store.copy_out(&digest, &again).unwrap(), first as u64);
        assert!(fs_err::read(&again).unwrap() == bytes[..first]);

        let object = store.object_path(&digest);
        fs_err::remove_file(&object).unwrap();
        fs_err::write(&object, b"other").unwrap();
        assert!(matches!(store.copy_out(&digest, &again), Err(Error::Corrupt { .. })));
    }
}
