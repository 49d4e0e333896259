//! Digests of files, with a cache by stat for large ones.
//!
//! Files are read, not memory-mapped: one that is truncated meanwhile gives an error, not a signal. Large files are
//! read and hashed on all cores, one subtree of BLAKE3's tree at a time on each.
//!
//! **What the cache promises.** A file that was hashed before counts as unchanged while its path, device, inode,
//! length, mtime and ctime are the same. Its digest is remembered only if its last change is more than two seconds old
//! and no process has it open for writing. If the system cannot tell, dirty pages are flushed first, so that a later
//! write through a mapping changes the times. The cache cannot notice a change below the file system, such as one of a
//! disk image.

use std::cell::RefCell;
use std::fs::{File, Metadata};
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::time::{Duration, SystemTime};

use blake3::hazmat::{ChainingValue, HasherExt, Mode, left_subtree_len, merge_subtrees_non_root, merge_subtrees_root};
use rustix::fs::SeekFrom;

use crate::Store;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::root::named;
use crate::walk::{Skip, walk};

/// Size in bytes below which hashing is cheaper than opening the cache.
const WORTH_REMEMBERING: u64 = 1 << 20;
/// A file that changed more recently may change again within the clock's resolution, so it is not remembered.
const SETTLED: Duration = Duration::from_secs(2);
/// Bytes that a core reads and hashes at a time: they stay in its cache.
const PIECE: u64 = 1 << 20;
/// Linux's constant, which the libc crate lacks.
const F_SETSIG: libc::c_int = 10;
/// From this size on, a file of mostly holes is refused: it was allocated and never filled.
const MAY_HAVE_HOLES: u64 = 1 << 30;

/// Opens a regular file for reading, following links. Anything else is refused without blocking.
pub(crate) fn open_file(path: &Path) -> Result<File> {
    Ok(outside::open(path)?.into_parts().0)
}

impl Store {
    /// Returns the digest of an open file, from the cache if the file is large and unchanged.
    pub(crate) fn hash_large(&self, file: &File, path: &Path) -> Result<Digest> {
        let metadata = file.metadata()?;
        if metadata.len() < WORTH_REMEMBERING {
            return hash_file(file, path);
        }
        let identity = identity(path, &metadata);
        if let Some(digest) = self.digests.get(&self.root, &identity) {
            return Ok(digest);
        }
        check_holes(file, &metadata, path)?;
        let age = metadata.modified().ok().and_then(|time| SystemTime::now().duration_since(time).ok());
        let is_settled = age.is_some_and(|age| age > SETTLED) && is_closed_to_writers(file);
        let digest = hash_file(file, path)?;
        if is_settled && is_closed_to_writers(file) && identity == self::identity(path, &file.metadata()?) {
            self.digests.put(&self.root, &identity, &digest);
        }
        Ok(digest)
    }
}

/// Returns the digest of an open file's bytes.
pub(crate) fn hash_file(file: &File, path: &Path) -> Result<Digest> {
    let len = file.metadata()?.len();
    let digest = if len <= 4 * PIECE {
        let mut hasher = blake3::Hasher::new();
        pieces(file, path, len, &mut hasher)?;
        hasher.finalize()
    } else {
        let left = left_subtree_len(len);
        let (left, right) = rayon::join(|| subtree(file, path, 0, left), || subtree(file, path, left, len - left));
        merge_subtrees_root(&left?, &right?, Mode::Hash)
    };
    // A file that grows is not complete yet.
    if file.metadata()?.len() == len { Ok(digest.into()) } else { Err(Error::Changed { path: path.to_owned() }) }
}

/// Returns the chaining value of a part of a file that is a subtree of BLAKE3's tree.
fn subtree(file: &File, path: &Path, start: u64, len: u64) -> Result<ChainingValue> {
    if len <= PIECE {
        let mut hasher = blake3::Hasher::new();
        hasher.set_input_offset(start);
        read_piece(file, path, start, len, &mut hasher)?;
        return Ok(hasher.finalize_non_root());
    }
    let left = left_subtree_len(len);
    let (left, right) =
        rayon::join(|| subtree(file, path, start, left), || subtree(file, path, start + left, len - left));
    Ok(merge_subtrees_non_root(&left?, &right?, Mode::Hash))
}

/// Hashes the first `len` bytes of a file, a piece at a time.
fn pieces(file: &File, path: &Path, len: u64, hasher: &mut blake3::Hasher) -> Result<()> {
    let mut start = 0;
    while start < len {
        let piece = (len - start).min(PIECE);
        read_piece(file, path, start, piece, hasher)?;
        start += piece;
    }
    Ok(())
}

fn read_piece(file: &File, path: &Path, start: u64, len: u64, hasher: &mut blake3::Hasher) -> Result<()> {
    thread_local! {
        static PIECE_BYTES: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    PIECE_BYTES.with_borrow_mut(|bytes| {
        bytes.resize(len as usize, 0);
        match file.read_exact_at(bytes, start) {
            Ok(()) => {
                hasher.update(bytes);
                Ok(())
            }
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                Err(Error::Changed { path: path.to_owned() })
            }
            Err(error) => Err(named(error, "read", path).into()),
        }
    })
}

/// Refuses a file that is mostly holes: hashing terabytes of zeros takes hours.
fn check_holes(file: &File, metadata: &Metadata, path: &Path) -> Result<()> {
    let len = metadata.len();
    if len < MAY_HAVE_HOLES || metadata.blocks() >= len / 512 {
        return Ok(());
    }
    let (mut at, mut holes) = (0, 0);
    // A file system that does not report holes reports a single one, at the end.
    while at < len {
        let Ok(hole) = rustix::fs::seek(file, SeekFrom::Hole(at)) else { break };
        let data = rustix::fs::seek(file, SeekFrom::Data(hole)).unwrap_or(len);
        holes += data.min(len) - hole.min(len);
        if holes > len / 2 {
            return Err(Error::Holes { path: path.to_owned(), holes, len });
        }
        at = data.max(at + 1);
    }
    Ok(())
}

/// Returns whether no process has the file open for writing or mapped as writable. The kernel grants a read lease only
/// then. Where leases do not exist, dirty pages are flushed, so that the next write through a mapping changes the
/// file's times.
fn is_closed_to_writers(file: &File) -> bool {
    // SAFETY: a plain system call on an open descriptor.
    let control = |command: libc::c_int, with: libc::c_int| unsafe { libc::fcntl(file.as_raw_fd(), command, with) };
    // A writer that opens the file during the lease causes a signal. The default signal would end the process.
    if control(F_SETSIG, libc::SIGURG) == 0 && control(libc::F_SETLEASE, libc::F_RDLCK) == 0 {
        control(libc::F_SETLEASE, libc::F_UNLCK);
        return true;
    }
    let is_open_for_writing = std::io::Error::last_os_error().raw_os_error() == Some(libc::EAGAIN);
    !is_open_for_writing && rustix::fs::fsync(file.as_fd()).is_ok()
}

/// Returns a digest of what would differ if the file had been written again: its stat, and its path.
fn identity(path: &Path, metadata: &Metadata) -> Digest {
    let mut identity = Vec::new();
    for number in [metadata.dev(), metadata.ino(), metadata.len()] {
        identity.extend(number.to_le_bytes());
    }
    for time in [metadata.mtime(), metadata.mtime_nsec(), metadata.ctime(), metadata.ctime_nsec()] {
        identity.extend(time.to_le_bytes());
    }
    identity.extend(path.as_os_str().as_bytes());
    Digest::of(&identity)
}

/// Returns a digest of the stat of a file, or of all files of a folder without those that are
/// [beside the data](crate::is_beside). It differs after any of them has been written again, and no file is read.
/// `reads` are names of files in the folder that count all the same.
pub fn stamp(path: &Path, reads: &[String]) -> Result<Digest> {
    let metadata = fs_err::metadata(path)?;
    if !metadata.is_dir() {
        return Ok(identity(path, &metadata));
    }
    let mut identities = Vec::new();
    for found in walk(path, Skip::Beside(reads))? {
        identities.extend_from_slice(identity(&found.path, &fs_err::metadata(&found.path)?).hex().as_bytes());
    }
    Ok(Digest::of(&identities))
}

/// Returns all bytes of a file; fails if it has more than `most`.
pub(crate) fn read_at_most(file: &File, path: &Path, most: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes).map_err(|error| named(error, "read", path))?;
    if bytes.len() as u64 > most { Err(Error::TooLarge { path: path.to_owned(), most }) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use std::fs::FileTimes;
    use std::io::{Seek, Write};

    use super::*;

    fn settled(path: &Path) {
        let file = File::options().write(true).open(path).unwrap();
        file.set_times(FileTimes::new().set_modified(SystemTime::now() - Duration::from_hours(1))).unwrap();
    }

    fn remembered(store: &Store, path: &Path) -> Option<Digest> {
        store.digests.get(&store.root, &identity(path, &fs_err::metadata(path).unwrap()))
    }

    #[test]
    fn a_digest_is_that_of_blake3_whatever_the_length() {
        let mut file = tempfile::tempfile().unwrap();
        let bytes: Vec<u8> = (0..(17_u64 << 20) + 5).map(|at| ((at * at) >> 7) as u8).collect();
        for len in [0, 1, 1_024, 1_025, PIECE, 4 * PIECE, 4 * PIECE + 1, 5 * PIECE, 16 * PIECE, (17 << 20) + 5] {
            file.set_len(0).unwrap();
            file.rewind().unwrap();
            file.write_all(&bytes[..len as usize]).unwrap();
            assert_eq!(hash_file(&file, Path::new("x")).unwrap(), Digest::of(&bytes[..len as usize]), "{len}");
        }
    }

    #[test]
    fn an_edit_of_equal_size_and_time_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let path = dir.path().join("data");
        let write = |byte: u8| {
            fs_err::write(&path, vec![byte; 2 << 20]).unwrap();
            settled(&path);
        };
        write(1);
        let first = store.hash_path(&path, &[]).unwrap();
        assert_eq!(store.hash_path(&path, &[]).unwrap(), first);
        assert_eq!(remembered(&store, &path), Some(first));
        write(2);
        assert_eq!(store.hash_path(&path, &[]).unwrap(), Digest::of(&vec![2; 2 << 20]));
    }

    #[test]
    fn what_may_still_be_written_is_not_remembered() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let path = dir.path().join("data");
        fs_err::write(&path, vec![1; 2 << 20]).unwrap();
        let writer = File::options().write(true).open(&path).unwrap();
        settled(&path);
        store.hash_path(&path, &[]).unwrap();
        assert_eq!(remembered(&store, &path), None);
        drop(writer);
        let digest = store.hash_path(&path, &[]).unwrap();
        assert_eq!(remembered(&store, &path), Some(digest));
    }

    #[test]
    fn what_is_cut_short_or_never_filled_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let path = dir.path().join("data");
        fs_err::write(&path, vec![1; 6 << 20]).unwrap();
        let file = open_file(&path).unwrap();
        File::options().write(true).open(&path).unwrap().set_len(3 << 20).unwrap();
        let cut = subtree(&file, &path, 2 << 20, 2 << 20);
        assert!(matches!(cut, Err(Error::Changed { .. })), "{cut:?}");
        File::options().write(true).open(&path).unwrap().set_len(1 << 42).unwrap();
        let sparse = store.hash_path(&path, &[]);
        assert!(matches!(sparse, Err(Error::Holes { .. })), "{sparse:?}");
    }

    #[test]
    fn what_is_no_file_is_refused_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let pipe = dir.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        for (path, what) in [(pipe.as_path(), "a named pipe"), (Path::new("/dev/zero"), "a device")] {
            let error = store.hash_path(path, &[]).unwrap_err().to_string();
            assert!(error.contains(&format!("is {what}, not a file")), "{error}");
        }
        let folder = dir.path().join("folder");
        fs_err::create_dir(&folder).unwrap();
        std::os::unix::fs::symlink(&pipe, folder.join("member")).unwrap();
        assert!(store.hash_path(&folder, &[]).unwrap_err().to_string().contains("neither a file nor a folder"));
    }

    #[test]
    fn what_is_beside_the_data_and_modes_are_not_part_of_an_input() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let folder = dir.path().join("model");
        fs_err::create_dir_all(&folder).unwrap();
        fs_err::write(folder.join("config.json"), b"{}").unwrap();
        let hashed = store.hash_path(&folder, &[]).unwrap();
        assert_eq!(store.hash_output(&folder).unwrap(), hashed);
        fs_err::create_dir_all(folder.join(".git/objects")).unwrap();
        for name in [".git/HEAD", ".DS_Store", "README.md", "LICENSE"] {
            fs_err::write(folder.join(name), b"x").unwrap();
        }
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs_err::set_permissions(folder.join("config.json"), executable).unwrap();
        assert_eq!(store.hash_path(&folder, &[]).unwrap(), hashed);
        assert_ne!(store.hash_output(&folder).unwrap(), hashed);
        // What a reader reads is part of it.
        let read = ["README.md".to_owned()];
        let with_readme = store.hash_path(&folder, &read).unwrap();
        assert_ne!(with_readme, hashed);
        fs_err::write(folder.join("README.md"), b"y").unwrap();
        assert_ne!(store.hash_path(&folder, &read).unwrap(), with_readme);
        fs_err::rename(folder.join("README.md"), folder.join("NOTICE")).unwrap();
        assert_eq!(store.hash_path(&folder, &read).unwrap(), hashed);
    }
}
