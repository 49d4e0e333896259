//! A cache for answers of workers, in a folder of the user's own.
//!
//! ```text
//! r1flow answer 1 b3:<64 hex>      digest of all that follows
//! <the question, and the program that was asked>
//! <the answer>
//! ```
//! An answer is used if its checksum is right, its question is the same, and only the user can write to the folder. The
//! cache is only for speed: without a folder, or with one that others can write to, the worker is asked each time.

use std::fs::{DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Once;

use store::{Digest, Made, unique};

const HEAD: &str = "r1flow answer 1";
/// Most bytes that are read; a worker's answer is shorter.
const LONGEST: u64 = 64 << 20;

/// The cache's folder, or none.
#[derive(Clone, Debug)]
pub struct CacheDir(Option<PathBuf>);

impl CacheDir {
    /// Returns a cache in a folder, which is created for the user alone when first needed. It is not used while it
    /// belongs to another user or others can write to it.
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self(Some(folder.into()))
    }

    /// Returns a cache that keeps nothing.
    pub fn none() -> Self {
        Self(None)
    }

    /// Returns the answer to a question, if it is kept under `name`. Name and question are one line each.
    pub(super) fn read(&self, name: &str, question: &str) -> Option<Vec<u8>> {
        let folder = self.0.as_ref()?;
        // Mostly the error is that nothing is cached yet.
        let text = read(folder, name).map_err(|error| tell(&error)).ok()?;
        answer(&text, question).map(<[u8]>::to_vec)
    }

    /// Keeps the answer to a question. A failure is only logged.
    pub(super) fn write(&self, name: &str, question: &str, answer: &[u8]) {
        let Some(folder) = &self.0 else { return };
        if let Err(error) = write(folder, name, &framed(question, answer)) {
            tell(&error);
        }
    }
}

fn tell(error: &io::Error) {
    static ONCE: Once = Once::new();
    if error.kind() == io::ErrorKind::PermissionDenied && error.raw_os_error().is_none() {
        ONCE.call_once(|| tracing::warn!("{error}"));
    } else {
        tracing::debug!(%error, "an answer of the worker is not kept");
    }
}

fn framed(question: &str, answer: &[u8]) -> Vec<u8> {
    let rest = [question.as_bytes(), b"\n", answer].concat();
    [format!("{HEAD} {}\n", Digest::of(&rest)).as_bytes(), &rest].concat()
}

/// Returns the answer in a cached text, if the text is whole and for this question.
fn answer<'a>(text: &'a [u8], question: &str) -> Option<&'a [u8]> {
    let rest = text.strip_prefix(HEAD.as_bytes())?.strip_prefix(b" ")?;
    let at = rest.iter().position(|byte| *byte == b'\n')?;
    let (digest, rest) = (&rest[..at], &rest[at + 1..]);
    if digest != Digest::of(rest).to_string().as_bytes() {
        return None;
    }
    rest.strip_prefix(question.as_bytes())?.strip_prefix(b"\n")
}

fn read(folder: &Path, name: &str) -> io::Result<Vec<u8>> {
    check_folder(folder)?;
    let file = open(OpenOptions::new().read(true), &folder.join(name))?;
    let mut text = Vec::new();
    file.take(LONGEST).read_to_end(&mut text)?;
    Ok(text)
}

fn write(folder: &Path, name: &str, text: &[u8]) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    check_folder(folder)?;
    let (mut file, draft) = Made::file(folder.join(format!("{name}.{}.draft", unique())))?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    file.write_all(text)?;
    draft.keep_as(&folder.join(name))
}

/// Opens a file that belongs to the user, without following links and without blocking.
fn open(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let file = options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_file() && is_mine(&metadata) {
        Ok(file)
    } else {
        Err(io::Error::other("it is not a regular file, or belongs to another user"))
    }
}

fn check_folder(folder: &Path) -> io::Result<()> {
    let metadata = folder.metadata()?;
    let reason = if !is_mine(&metadata) {
        "belongs to another user"
    } else if metadata.mode() & 0o022 != 0 {
        "can be written by other users"
    } else {
        return Ok(());
    };
    let folder = folder.display();
    let help = format!("`chmod 700 {folder}` as its owner, or another XDG_CACHE_HOME, makes commands quicker");
    let message = format!("the cache `{folder}` {reason} and is not used: {help}");
    Err(io::Error::new(io::ErrorKind::PermissionDenied, message))
}

/// Returns whether a file belongs to the user.
fn is_mine(metadata: &Metadata) -> bool {
    // SAFETY: it has no arguments and cannot fail.
    metadata.uid() == unsafe { libc::geteuid() }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().mode() & 0o777
    }

    #[test]
    fn an_answer_is_kept_for_its_question_and_its_user() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("cache/r1flow");
        let cache = CacheDir::at(&folder);
        assert_eq!(cache.read("kinds", "kinds of x"), None);
        cache.write("kinds", "kinds of x", b"[1]\n[2]");
        assert_eq!(cache.read("kinds", "kinds of x").unwrap(), b"[1]\n[2]");
        assert_eq!(cache.read("kinds", "kinds of y"), None);
        assert_eq!(cache.read("kinds", "kinds of"), None);
        assert_eq!((mode(&folder), mode(&folder.join("kinds"))), (0o700, 0o600));
        assert_eq!(fs_err::read_dir(&folder).unwrap().count(), 1);
        CacheDir::none().write("kinds", "kinds of x", b"");
        assert_eq!(CacheDir::none().read("kinds", "kinds of x"), None);
    }

    #[test]
    fn no_flipped_bit_and_no_cut_is_believed() {
        let text = framed("kinds of x", b"{\"kinds\":[\"grpo\"]}");
        assert!(answer(&text, "kinds of x").is_some());
        for bit in 0..8 * text.len() {
            let mut flipped = text.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(answer(&flipped, "kinds of x"), None, "bit {bit}");
        }
        for end in 0..text.len() {
            assert_eq!(answer(&text[..end], "kinds of x"), None, "cut at {end}");
        }
    }

    #[test]
    fn a_folder_that_others_can_write_to_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        let cache = CacheDir::at(dir.path());
        cache.write("kinds", "q", b"a");
        for unsafe_mode in [0o770, 0o702, 0o1777] {
            fs_err::set_permissions(dir.path(), std::fs::Permissions::from_mode(unsafe_mode)).unwrap();
            assert_eq!(cache.read("kinds", "q"), None, "{unsafe_mode:o}");
            cache.write("checked", "q", b"a");
            assert!(!dir.path().join("checked").exists(), "{unsafe_mode:o}");
        }
        fs_err::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(cache.read("kinds", "q").unwrap(), b"a");
    }

    #[test]
    fn a_link_is_neither_read_nor_written_through() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("cache");
        let cache = CacheDir::at(&folder);
        cache.write("kinds", "q", b"a");
        let other = dir.path().join("other");
        fs_err::rename(folder.join("kinds"), &other).unwrap();
        symlink(&other, folder.join("kinds")).unwrap();
        assert_eq!(cache.read("kinds", "q"), None);
        let theirs = fs_err::read(&other).unwrap();
        // The link is replaced, not its target.
        cache.write("kinds", "q", b"b");
        assert_eq!(cache.read("kinds", "q").unwrap(), b"b");
        assert_eq!(fs_err::read(&other).unwrap(), theirs);
    }
}
