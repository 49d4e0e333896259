//! Checks that cached files have the bytes that the hub names, and remembers which files have been checked.
//!
//! ```text
//! r1flow checked 1
//! <hash> <device>:<inode>:<size>:<mtime>:<ctime> <name>      a line for each file; `-` for an unknown value
//! ```
//! The idea to know: hashing a model takes half a minute, so a file is hashed once and then recognised by its stat
//! identity. If this list is missing or damaged, everything is hashed again and nothing else is lost. A change that
//! leaves the identity as it was, as on a failing disk, is not detected here.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::names::{BlobHash, RepoPath};
use crate::ui::{self, bytes};

const HEAD: &str = "r1flow checked 1";
const UNKNOWN: &str = "-";
/// A file that changed this recently may change again within the clock's resolution, so its identity proves nothing.
const SETTLED: Duration = Duration::from_secs(2);
/// In bytes: a file of this size takes so long to hash that the user gets a note.
const LONG: u64 = 1 << 30;

/// The stat values that change when a file is written again.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Identity(String);

impl Identity {
    fn of(file: &Metadata) -> Self {
        let (mtime, ctime) = ((file.mtime(), file.mtime_nsec()), (file.ctime(), file.ctime_nsec()));
        let numbers = (file.dev(), file.ino(), file.size());
        let text =
            format!("{}:{}:{}:{}.{:09}:{}.{:09}", numbers.0, numbers.1, numbers.2, mtime.0, mtime.1, ctime.0, ctime.1);
        Self(text)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    /// `None` if no hash is known; then the bytes cannot be checked.
    hash: Option<BlobHash>,
    /// The identity of the file that had the right bytes; `None` if the file had changed too recently.
    identity: Option<Identity>,
}

/// The files of a snapshot, with their hashes and the identities of those that have been checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Checked(BTreeMap<RepoPath, Entry>);

impl Checked {
    /// Parses a list; returns `None` for any other text.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let lines = text.strip_suffix('\n')?.strip_prefix(HEAD)?;
        let entry = |line: &str| {
            let mut parts = line.splitn(3, ' ');
            let (hash, identity, name) = (parts.next()?, parts.next()?, parts.next()?);
            let hash = if hash == UNKNOWN { None } else { Some(BlobHash::parse(hash)?) };
            let identity = (identity != UNKNOWN).then(|| Identity(identity.to_owned()));
            Some((RepoPath::parse(name)?, Entry { hash, identity }))
        };
        lines.split('\n').skip(1).map(entry).collect::<Option<_>>().map(Self)
    }

    /// Returns the list as the text of its file.
    pub(super) fn text(&self) -> String {
        let mut text = format!("{HEAD}\n");
        for (name, Entry { hash, identity }) in &self.0 {
            let hash = hash.as_ref().map_or(UNKNOWN, BlobHash::as_str);
            let identity = identity.as_ref().map_or(UNKNOWN, |identity| &identity.0);
            text.extend([hash, " ", identity, " ", name.as_str(), "\n"]);
        }
        text
    }

    pub(super) fn names(&self) -> impl ExactSizeIterator<Item = &RepoPath> {
        self.0.keys()
    }

    /// Returns the hash of a file's bytes, if it is known.
    pub(super) fn hash(&self, name: &RepoPath) -> Option<&BlobHash> {
        self.0.get(name)?.hash.as_ref()
    }

    /// Keeps only the files whose names satisfy `is_meant`.
    pub(super) fn retain(&mut self, is_meant: impl Fn(&RepoPath) -> bool) {
        self.0.retain(|name, _| is_meant(name));
    }

    /// Returns whether the file at `path` has the bytes of `hash`, and if so records it. Without a hash the file is
    /// trusted.
    pub(super) fn check(&mut self, name: &RepoPath, path: &Path, hash: Option<&BlobHash>) -> io::Result<bool> {
        let metadata = fs_err::metadata(path)?;
        if !metadata.is_file() {
            return Ok(false);
        }
        let identity = Identity::of(&metadata);
        let known = self.0.get(name).filter(|entry| entry.hash.as_ref() == hash);
        if known.is_some_and(|entry| entry.identity.as_ref() == Some(&identity)) {
            return Ok(true);
        }
        if let Some(hash) = hash {
            if metadata.len() >= LONG {
                ui::note(&format!("checking `{name}`, {}", bytes(metadata.len())));
            }
            if !has_bytes(path, hash)? {
                return Ok(false);
            }
        }
        let after = fs_err::metadata(path)?;
        let is_settled = after.modified().is_ok_and(is_past) && is_past(ctime(&after));
        let identity = (is_settled && Identity::of(&after) == identity).then_some(identity);
        self.0.insert(name.clone(), Entry { hash: hash.cloned(), identity });
        Ok(true)
    }

    /// Records a file that was written here with verified bytes.
    pub(super) fn made(&mut self, name: &RepoPath, path: &Path, hash: &BlobHash) -> io::Result<()> {
        let identity = Some(Identity::of(&fs_err::metadata(path)?));
        self.0.insert(name.clone(), Entry { hash: Some(hash.clone()), identity });
        Ok(())
    }
}

fn ctime(file: &Metadata) -> SystemTime {
    let (seconds, nanoseconds) = (file.ctime().unsigned_abs(), file.ctime_nsec().unsigned_abs());
    SystemTime::UNIX_EPOCH + Duration::new(seconds, u32::try_from(nanoseconds).unwrap_or(0))
}

fn is_past(time: SystemTime) -> bool {
    SystemTime::now().duration_since(time).is_ok_and(|age| age > SETTLED)
}

/// Returns whether the bytes at `path` have this hash.
pub(super) fn has_bytes(path: &Path, hash: &BlobHash) -> io::Result<bool> {
    let mut file = outside::open(path)?.into_parts().0;
    let found = if hash.is_sha256() {
        hex(hashed(Sha256::new(), &mut file)?)
    } else {
        // git hashes a file's bytes after this header.
        let size = file.metadata()?.len();
        hex(hashed(Sha1::new_with_prefix(format!("blob {size}\0")), &mut file)?)
    };
    Ok(found == hash.as_str())
}

fn hashed<D: Digest>(mut hasher: D, file: &mut File) -> io::Result<D> {
    let mut buffer = vec![0; 1 << 20];
    loop {
        match io::Read::read(file, &mut buffer) {
            Ok(0) => return Ok(hasher),
            Ok(count) => hasher.update(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn hex(hasher: impl Digest) -> String {
    hasher.finalize().iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `git hash-object` and `sha256sum` print for `hello\n`.
    const SHA1: &str = "ce013625030ba8dba906f756967f9e9ca394464a";
    const SHA256: &str = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";

    fn name(text: &str) -> RepoPath {
        RepoPath::parse(text).unwrap()
    }

    /// Writes a file whose modification time is an hour ago.
    fn settled(path: &Path, text: &str) {
        fs_err::write(path, text).unwrap();
        let hour_ago = SystemTime::now() - Duration::from_hours(1);
        File::options().write(true).open(path).unwrap().set_modified(hour_ago).unwrap();
    }

    #[test]
    fn bytes_have_the_hashes_of_git_and_of_large_files() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        fs_err::write(&path, "hello\n").unwrap();
        let [sha1, sha256] = [SHA1, SHA256].map(|hash| BlobHash::parse(hash).unwrap());
        assert!(has_bytes(&path, &sha1).unwrap() && has_bytes(&path, &sha256).unwrap());
        fs_err::write(&path, "hellp\n").unwrap();
        assert!(!has_bytes(&path, &sha1).unwrap() && !has_bytes(&path, &sha256).unwrap());
    }

    #[test]
    fn a_list_is_read_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        fs_err::write(&path, "hello\n").unwrap();
        let mut checked = Checked::default();
        checked.made(&name("a/b c.json"), &path, &BlobHash::parse(SHA1).unwrap()).unwrap();
        assert!(checked.check(&name("d"), &path, None).unwrap());
        assert_eq!(Checked::parse(&checked.text()), Some(checked.clone()));
        assert_eq!(Checked::parse(&Checked::default().text()), Some(Checked::default()));
        for text in ["", "x\n", HEAD, &checked.text()[..40], &checked.text().replace(SHA1, &SHA1.replace('c', "x"))] {
            assert_eq!(Checked::parse(text), None, "{text}");
        }
        assert_eq!(Checked::parse(&checked.text().replace("a/b", "../b")), None);
    }

    #[test]
    fn a_file_that_has_changed_is_hashed_again() {
        let dir = tempfile::tempdir().unwrap();
        let (path, name, hash) = (dir.path().join("x"), name("x"), BlobHash::parse(SHA256).unwrap());
        settled(&path, "hello\n");
        let mut checked = Checked::default();
        assert!(checked.check(&name, &path, Some(&hash)).unwrap());
        // Its ctime is recent, so no identity is recorded.
        assert_eq!(checked.0[&name].identity, None);
        checked.made(&name, &path, &hash).unwrap();
        // A changed file has another length or ctime, although its modification time is old.
        settled(&path, "hello");
        assert!(!checked.check(&name, &path, Some(&hash)).unwrap());
        settled(&path, "hellp\n");
        assert!(!checked.check(&name, &path, Some(&hash)).unwrap());
        settled(&path, "hello\n");
        assert!(checked.check(&name, &path, Some(&hash)).unwrap());
        // The list's entry has another hash, so the file is hashed again.
        assert!(!checked.check(&name, &path, BlobHash::parse(&"0a".repeat(32)).as_ref()).unwrap());
    }
}
