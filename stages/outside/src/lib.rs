//! Files that come from outside: opened only if they are regular files, and never read beyond a limit.
//!
//! This crate does not parse files. A path is opened without blocking, and the type of the opened file is checked, not
//! that of the path. So a named pipe cannot hang a stage, a device cannot fill memory, and neither can replace a file
//! between the check and the read. A link to a file counts as a file, because the hub's folders consist of links.
#![warn(missing_docs)]

use std::fs::{File, FileType};
use std::io::Read;
use std::os::unix::fs::{FileExt, FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The first bytes of a pointer of Git LFS.
const POINTER: &[u8; 23] = b"version https://git-lfs";

/// Why a file from outside is not read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system returned an error; the message names the path.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The path exists, but is not a regular file.
    #[error("`{}` is {what}, not a file; help: put a regular file, or a link to one, there", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
        /// What it is instead.
        what: &'static str,
    },
    /// The file has more bytes than a file of this sort may have.
    #[error("`{}` is larger than {most} bytes, the most that is read of such a file; help: {help}", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit, in bytes.
        most: u64,
        /// Help for the user.
        help: &'static str,
    },
    /// The file is a pointer of Git LFS: the repository was cloned without its large files.
    #[error("`{}` is a pointer of Git LFS, not the file itself; help: `git lfs pull` in its folder fetches the file", .0.display())]
    Pointer(PathBuf),
    /// The file is not UTF-8.
    #[error("`{}` is not UTF-8: the byte at {at} does not belong there; help: save it as UTF-8", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
        /// Number of valid bytes before the first invalid one.
        at: usize,
    },
}

impl From<Error> for std::io::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Io(error) => error,
            refused => Self::new(std::io::ErrorKind::InvalidInput, refused),
        }
    }
}

/// Opens a file for reading. A folder, a named pipe, a device or a socket is refused at once.
pub fn open(path: &Path) -> Result<fs_err::File, Error> {
    // Without `O_NONBLOCK`, opening a named pipe without a writer would block.
    let mut options = std::fs::OpenOptions::new();
    let file = match options.read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path) {
        Ok(file) => file,
        // A socket cannot be opened at all, with an unclear error; other errors are clear.
        Err(error) => return Err(refusal(path, error)),
    };
    match sort(file.metadata()?.file_type()) {
        None if is_pointer(&file) => Err(Error::Pointer(path.to_owned())),
        None => Ok(fs_err::File::from_parts::<&Path>(file, path)),
        Some(what) => Err(Error::NotAFile { path: path.to_owned(), what }),
    }
}

/// Returns whether a file begins as the pointers of Git LFS do. Its position stays.
fn is_pointer(file: &File) -> bool {
    let mut start = [0; POINTER.len()];
    file.read_exact_at(&mut start, 0).is_ok() && start == *POINTER
}

/// Reads a text file of at most `most` bytes; `help` is the advice in the error for a larger one.
pub fn read_text(path: &Path, most: u64, help: &'static str) -> Result<String, Error> {
    text(path, open(path)?.file(), most, help)
}

/// Like [`read_text`], but returns `None` if the path does not exist.
pub fn read_text_if_there(path: &Path, most: u64, help: &'static str) -> Result<Option<String>, Error> {
    match open(path) {
        Err(Error::Io(error)) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        opened => text(path, opened?.file(), most, help).map(Some),
    }
}

/// Reads up to the limit without checking the size first, so that the limit also holds for a file that grows meanwhile.
fn text(path: &Path, file: &File, most: u64, help: &'static str) -> Result<String, Error> {
    let mut bytes = Vec::new();
    file.take(most.saturating_add(1)).read_to_end(&mut bytes).map_err(|error| named(path, error))?;
    if bytes.len() as u64 > most {
        return Err(Error::TooLarge { path: path.to_owned(), most, help });
    }
    String::from_utf8(bytes)
        .map_err(|error| Error::NotText { path: path.to_owned(), at: error.utf8_error().valid_up_to() })
}

fn refusal(path: &Path, error: std::io::Error) -> Error {
    match fs_err::metadata(path).ok().and_then(|data| sort(data.file_type())) {
        Some(what) => Error::NotAFile { path: path.to_owned(), what },
        None => Error::Io(named(path, error)),
    }
}

/// Returns the name of a file type that is not a regular file.
fn sort(kind: FileType) -> Option<&'static str> {
    let table = [
        (kind.is_dir(), "a folder"),
        (kind.is_fifo(), "a named pipe"),
        (kind.is_socket(), "a socket"),
        (kind.is_char_device() || kind.is_block_device(), "a device"),
    ];
    table.into_iter().find(|(is, _)| *is).map(|(_, what)| what)
}

/// Adds the path to an error, and keeps the system's error as its source.
fn named(path: &Path, source: std::io::Error) -> std::io::Error {
    std::io::Error::new(source.kind(), Named { path: path.to_owned(), source })
}

#[derive(Debug, thiserror::Error)]
#[error("failed to read `{}`: {source}", path.display())]
struct Named {
    path: PathBuf,
    source: std::io::Error,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(path: &Path) -> String {
        read_text(path, 8, "shorten it").unwrap_err().to_string()
    }

    #[test]
    fn what_is_no_file_is_refused_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        let name = std::ffi::CString::new(pipe.to_str().unwrap()).unwrap();
        // SAFETY: the name is a C string that outlives the call.
        assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
        let socket = dir.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let table = [
            (dir.path(), "a folder"),
            (&pipe, "a named pipe"),
            (&socket, "a socket"),
            (Path::new("/dev/zero"), "a device"),
        ];
        for (path, what) in table {
            let message = message(path);
            assert!(message.contains(&format!("`{}` is {what}, not a file", path.display())), "{message}");
        }
    }

    #[test]
    fn a_limit_is_kept_to_the_byte_and_a_link_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("file"), dir.path().join("link"));
        fs_err::write(&file, "12345678").unwrap();
        std::os::unix::fs::symlink("file", &link).unwrap();
        assert_eq!(read_text(&link, 8, "").unwrap(), "12345678");
        fs_err::write(&file, "123456789").unwrap();
        let message = message(&link);
        assert!(message.contains("larger than 8 bytes") && message.ends_with("help: shorten it"), "{message}");
        assert_eq!(read_text_if_there(&dir.path().join("none"), 8, "").unwrap(), None);
    }

    #[test]
    fn a_pointer_of_git_lfs_is_no_file_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("model.safetensors");
        fs_err::write(&file, "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n").unwrap();
        let told = open(&file).unwrap_err().to_string();
        assert!(told.contains("is a pointer of Git LFS") && told.contains("`git lfs pull`"), "{told}");
        fs_err::write(&file, "version https://example.org").unwrap();
        open(&file).unwrap();
    }

    #[test]
    fn what_is_no_text_is_told_with_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs_err::write(&file, b"ab\xff").unwrap();
        assert!(message(&file).contains("not UTF-8: the byte at 2"), "{}", message(&file));
    }
}
