//! The stat cache: digests of large files by their identity (path, inode, length, times).
//!
//! ```text
//! digests    <check, 16 hex> <identity, 64 hex> <digest, 64 hex> \n
//! ```
//! Every process may append a line and reads the lines of the others: a `plan` beside an `apply` hashes nothing again.
//! A torn or damaged line does not match its check and counts as absent. The file may be deleted at any moment. When it
//! grows too large, its older half is dropped.

use std::collections::HashMap;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, PoisonError};

use crate::digest::Digest;
use crate::error::Result;
use crate::layout;
use crate::root::Root;

const CHECK: usize = 16;
const HEX: usize = 64;
const LINE: usize = CHECK + 1 + HEX + 1 + HEX + 1;
/// Enough for some hundred thousand files.
const MOST_BYTES: u64 = 16 << 20;

#[derive(Debug, Default)]
pub(crate) struct Digests(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    by_identity: HashMap<Digest, Digest>,
    /// Bytes of the cache's file that have been read.
    read: u64,
    /// The inode of that file: it changes when the older half is dropped.
    inode: u64,
}

impl Digests {
    pub(crate) fn get(&self, root: &Root, identity: &Digest) -> Option<Digest> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.by_identity.contains_key(identity)
            && let Err(error) = known.catch_up(root)
        {
            tracing::debug!(%error, "digests of large files are not remembered");
        }
        known.by_identity.get(identity).copied()
    }

    pub(crate) fn put(&self, root: &Root, identity: &Digest, digest: &Digest) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).by_identity.insert(*identity, *digest);
        if let Err(error) = append(root, identity, digest) {
            tracing::debug!(%error, "the digest of a large file is not remembered");
        }
    }
}

impl Known {
    fn catch_up(&mut self, root: &Root) -> Result<()> {
        let Some(found) = root.stat(layout::digests())? else { return Ok(()) };
        if found.st_ino != self.inode || (found.st_size as u64) < self.read {
            (self.inode, self.read) = (found.st_ino, 0);
        }
        let len = (found.st_size as u64).min(2 * MOST_BYTES);
        if len <= self.read {
            return Ok(());
        }
        let mut bytes = vec![0; (len - self.read) as usize];
        root.open_file(layout::digests())?.read_exact_at(&mut bytes, self.read)?;
        self.read += (bytes.len() / LINE * LINE) as u64;
        self.by_identity.extend(bytes.chunks_exact(LINE).filter_map(parse));
        Ok(())
    }
}

fn append(root: &Root, identity: &Digest, digest: &Digest) -> Result<()> {
    let mut file = root.append(layout::digests())?;
    let len = file.metadata()?.len();
    if len >= MOST_BYTES {
        file = halve(root, len)?;
    }
    let rest = format!("{} {}\n", &*identity.digits(), &*digest.digits());
    let check = &Digest::of(rest.as_bytes()).hex()[..CHECK];
    // A torn line is filled up with line breaks, so that every line begins at a multiple of `LINE`.
    let torn = "\n".repeat((LINE - len as usize % LINE) % LINE);
    // One write, so that the lines of two processes do not mix.
    Ok(file.write_all(format!("{torn}{check} {rest}").as_bytes())?)
}

fn halve(root: &Root, len: u64) -> Result<std::fs::File> {
    let start = len / 2 / LINE as u64 * LINE as u64;
    let mut bytes = vec![0; (len - start) as usize];
    root.open_file(layout::digests())?.read_exact_at(&mut bytes, start)?;
    let draft = layout::digests().with_added_extension(crate::publish::unique());
    let file = root.write_new(&draft, &bytes)?;
    root.rename(&draft, layout::digests())?;
    Ok(file)
}

fn parse(line: &[u8]) -> Option<(Digest, Digest)> {
    let line = std::str::from_utf8(line).ok()?;
    let (check, rest) = line.split_at_checked(CHECK + 1)?;
    if check != format!("{} ", &Digest::of(rest.as_bytes()).hex()[..CHECK]) {
        return None;
    }
    let (identity, digest) = rest.trim_end().split_once(' ')?;
    Some((Digest::from_hex(identity)?, Digest::from_hex(digest)?))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "tests remove what they have made")]

    use super::*;

    #[test]
    fn every_process_sees_what_another_has_found_and_believes_no_spoilt_line() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::open(dir.path()).unwrap();
        let (one, two) = (Digests::default(), Digests::default());
        let [a, b, c] = [b"a", b"b", b"c"].map(|name| Digest::of(name));
        assert_eq!(two.get(&root, &a), None);
        one.put(&root, &a, &b);
        assert_eq!(two.get(&root, &a), Some(b));
        let path = dir.path().join("digests");
        let whole = fs_err::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut spoilt = whole.clone();
            spoilt[at] ^= 1;
            fs_err::write(&path, &spoilt).unwrap();
            assert_eq!(Digests::default().get(&root, &a), None, "{at}");
        }
        // A line that follows half a line is found.
        fs_err::write(&path, &whole[..whole.len() / 2]).unwrap();
        one.put(&root, &b, &c);
        let third = Digests::default();
        assert_eq!((third.get(&root, &a), third.get(&root, &b)), (None, Some(c)));
        fs_err::remove_file(&path).unwrap();
        assert_eq!(Digests::default().get(&root, &b), None);
        one.put(&root, &c, &a);
        assert_eq!(Digests::default().get(&root, &c), Some(a));
    }

    #[test]
    fn an_old_half_goes_when_the_file_is_large() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::open(dir.path()).unwrap();
        fs_err::write(dir.path().join("digests"), vec![b'\n'; MOST_BYTES as usize / LINE * LINE + LINE]).unwrap();
        let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
        Digests::default().put(&root, &a, &b);
        assert!(fs_err::metadata(dir.path().join("digests")).unwrap().len() < MOST_BYTES * 2 / 3);
        assert_eq!(Digests::default().get(&root, &a), Some(b));
    }
}
