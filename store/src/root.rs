//! The folder of a store: the store reads, makes, moves and removes its own files only through this module.
//!
//! Paths are relative and are resolved without following links, so a store that another program made cannot lead
//! outside itself. The folder given by the user may be a link, and so may `hub/`, which the store does not make. The
//! kernel resolves a path in one call (`openat2`); if it cannot, names are opened one by one.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::error::{Error, Result};

/// Limit for files of the store that are read whole, such as checkpoint records: all real ones are smaller.
const MOST_BYTES: u64 = 256 << 20;
pub(crate) const FOLDER: OFlags = OFlags::DIRECTORY.union(OFlags::RDONLY);

/// An open folder, below which paths cannot lead outside.
#[derive(Debug)]
pub(crate) struct Root {
    path: PathBuf,
    fd: OwnedFd,
    /// Whether this process has made the folder's own name durable, by an fsync of its parent folder.
    is_named: AtomicBool,
}

impl Root {
    /// Opens a folder; `path` itself may be a link.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let path = fs_err::canonicalize(path)?;
        let fd = rustix::fs::openat(CWD, &path, FOLDER | OFlags::CLOEXEC, Mode::empty());
        let fd = fd.map_err(|errno| named(errno.into(), "open", &path))?;
        Ok(Self { path, fd, is_named: AtomicBool::new(false) })
    }

    /// Returns the folder's path, absolute.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens a regular file for reading. Anything else is refused without blocking: a pipe would wait for a writer.
    pub(crate) fn open_file(&self, inside: &Path) -> Result<File> {
        let file = File::from(self.resolve(inside, OFlags::RDONLY | OFlags::NONBLOCK)?);
        if file.metadata()?.is_file() { Ok(file) } else { Err(Error::NotAFile { path: self.path.join(inside) }) }
    }

    /// Returns the bytes of a small file, or `None` if it does not exist.
    pub(crate) fn read_if_there(&self, inside: &Path) -> Result<Option<Vec<u8>>> {
        let file = match self.open_file(inside) {
            Err(Error::Io(error)) if error.kind() == ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let mut bytes = Vec::new();
        file.take(MOST_BYTES + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| named(error, "read", &self.path.join(inside)))?;
        if bytes.len() as u64 > MOST_BYTES {
            return Err(Error::TooLarge { path: self.path.join(inside), most: MOST_BYTES });
        }
        Ok(Some(bytes))
    }

    /// Opens a file to append to, and makes it if it is missing.
    pub(crate) fn append(&self, inside: &Path) -> Result<File> {
        let flags = OFlags::RDWR | OFlags::APPEND | OFlags::CREATE | OFlags::NONBLOCK;
        let file = File::from(self.make(inside, flags)?);
        if file.metadata()?.is_file() { Ok(file) } else { Err(Error::NotAFile { path: self.path.join(inside) }) }
    }

    /// Makes a file, which must not exist yet.
    pub(crate) fn create_new(&self, inside: &Path) -> Result<File> {
        Ok(File::from(self.make(inside, OFlags::RDWR | OFlags::CREATE | OFlags::EXCL)?))
    }

    /// Makes a file with these bytes, which must not exist yet.
    pub(crate) fn write_new(&self, inside: &Path, bytes: &[u8]) -> Result<File> {
        let mut file = self.create_new(inside)?;
        file.write_all(bytes).map_err(|error| named(error, "write", &self.path.join(inside)))?;
        Ok(file)
    }

    /// Opens a folder.
    pub(crate) fn folder(&self, inside: &Path) -> Result<OwnedFd> {
        if inside.as_os_str().is_empty() {
            return self.fd.try_clone().map_err(Error::from);
        }
        self.resolve(inside, FOLDER)
    }

    /// Opens a folder, and makes it and its parents if they are missing.
    pub(crate) fn make_folder(&self, inside: &Path) -> Result<OwnedFd> {
        match self.folder(inside) {
            Err(Error::Io(error)) if error.kind() == ErrorKind::NotFound => {}
            folder => return folder,
        }
        let (above, name) = split(inside);
        let made = rustix::fs::mkdirat(self.make_folder(above)?, name, Mode::from_raw_mode(0o777));
        match made {
            // Another process may have made it first.
            Ok(()) | Err(Errno::EXIST) => self.folder(inside),
            Err(errno) => Err(named(errno.into(), "create", &self.path.join(inside)).into()),
        }
    }

    /// Makes a folder, which must not exist yet.
    pub(crate) fn make_new_folder(&self, inside: &Path) -> Result<()> {
        let (above, name) = split(inside);
        rustix::fs::mkdirat(self.make_folder(above)?, name, Mode::from_raw_mode(0o777))
            .map_err(|errno| named(errno.into(), "create", &self.path.join(inside)).into())
    }

    /// Makes the names in a folder durable.
    pub(crate) fn sync_folder(&self, inside: &Path) -> Result<()> {
        rustix::fs::fsync(self.folder(inside)?)
            .map_err(|errno| named(errno.into(), "sync", &self.path.join(inside)).into())
    }

    /// Makes the name of the root itself durable, once per process: another process may have made the root a moment
    /// ago.
    pub(crate) fn sync_above(&self) -> Result<()> {
        if !self.is_named.load(Ordering::Relaxed) {
            self.path.ancestors().skip(1).take(2).try_for_each(sync_folder)?;
            self.is_named.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Renames a file, replacing what has the new name. Makes the folder of the new name if it is missing.
    pub(crate) fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        let ((from_above, from_name), (to_above, to_name)) = (split(from), split(to));
        let (from_folder, to_folder) = (self.folder(from_above)?, self.make_folder(to_above)?);
        rustix::fs::renameat(from_folder, from_name, to_folder, to_name)
            .map_err(|errno| named(errno.into(), "rename", &self.path.join(from)).into())
    }

    /// Makes a hard link to a file, under a name that must not exist yet.
    pub(crate) fn link(&self, from: &Path, to: &Path) -> Result<()> {
        let ((from_above, from_name), (to_above, to_name)) = (split(from), split(to));
        let (from_folder, to_folder) = (self.folder(from_above)?, self.make_folder(to_above)?);
        rustix::fs::linkat(from_folder, from_name, to_folder, to_name, AtFlags::empty())
            .map_err(|errno| named(errno.into(), "link", &self.path.join(from)).into())
    }

    /// Returns the paths and types of a folder's entries; none if the folder does not exist.
    pub(crate) fn entries(&self, inside: &Path) -> Result<Vec<(PathBuf, FileType)>> {
        let folder = match self.folder(inside) {
            Err(Error::Io(error)) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            folder => folder?,
        };
        names(&folder, inside).map_err(|error| named(error, "list", &self.path.join(inside)).into())
    }

    /// Returns the stat of a path, of the link itself if it is one, or `None` if it does not exist.
    pub(crate) fn stat(&self, inside: &Path) -> Result<Option<rustix::fs::Stat>> {
        let (above, name) = split(inside);
        let folder = match self.folder(above) {
            Err(Error::Io(error)) if error.kind() == ErrorKind::NotFound => return Ok(None),
            folder => folder?,
        };
        match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(named(errno.into(), "stat", &self.path.join(inside)).into()),
        }
    }

    fn make(&self, inside: &Path, flags: OFlags) -> Result<OwnedFd> {
        match self.resolve(inside, flags) {
            Err(Error::Io(error)) if error.kind() == ErrorKind::NotFound => {
                self.make_folder(split(inside).0)?;
                self.resolve(inside, flags)
            }
            opened => opened,
        }
    }

    /// Opens a path without following a link anywhere in it.
    fn resolve(&self, inside: &Path, flags: OFlags) -> Result<OwnedFd> {
        let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NOCTTY;
        let mode = if flags.contains(OFlags::CREATE) { Mode::from_raw_mode(0o666) } else { Mode::empty() };
        let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let opened = rustix::fs::openat2(&self.fd, inside, flags, mode, beneath);
        let opened = match opened {
            // An old kernel, a sandbox without this call, or a rename elsewhere at the same moment.
            Err(Errno::NOSYS | Errno::PERM | Errno::AGAIN) => self.walk(inside, flags, mode),
            opened => opened,
        };
        opened.map_err(|errno| self.refusal(inside, errno))
    }

    fn walk(&self, inside: &Path, flags: OFlags, mode: Mode) -> rustix::io::Result<OwnedFd> {
        if inside.components().any(|name| !matches!(name, Component::Normal(_))) {
            return Err(Errno::XDEV);
        }
        let (above, name) = split(inside);
        let mut folder: Option<OwnedFd> = None;
        for name in above {
            let at = folder.as_ref().map_or(self.fd.as_fd(), AsFd::as_fd);
            let below = rustix::fs::openat(at, name, FOLDER | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
            folder = Some(below);
        }
        rustix::fs::openat(folder.as_ref().map_or(self.fd.as_fd(), AsFd::as_fd), name, flags, mode)
    }

    fn refusal(&self, inside: &Path, errno: Errno) -> Error {
        let path = self.path.join(inside);
        // Finds the first name that is a link. For a link in place of a folder the kernel reports `NOTDIR`.
        let link = matches!(errno, Errno::LOOP | Errno::NOTDIR).then(|| {
            let mut names: Vec<&Path> = inside.ancestors().collect();
            names.reverse();
            let mut paths = names.into_iter().skip(1).map(|name| self.path.join(name));
            paths.find(|path| path.symlink_metadata().is_ok_and(|found| found.is_symlink()))
        });
        match link.flatten() {
            Some(path) => Error::Link { path },
            None => named(errno.into(), "open", &path).into(),
        }
    }
}

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(folder: &Path) -> Result<()> {
    Ok(fs_err::File::open(folder)?.sync_all()?)
}

/// Returns the entries of an open folder with their paths below the root, and their types.
pub(crate) fn names(folder: &OwnedFd, inside: &Path) -> io::Result<Vec<(PathBuf, FileType)>> {
    let mut found = Vec::new();
    for entry in rustix::fs::Dir::read_from(folder)? {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name == OsStr::new(".") || name == OsStr::new("..") {
            continue;
        }
        let file_type = match entry.file_type() {
            FileType::Unknown => match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => FileType::from_raw_mode(stat.st_mode),
                Err(Errno::NOENT) => continue,
                Err(errno) => return Err(errno.into()),
            },
            known => known,
        };
        found.push((inside.join(name), file_type));
    }
    Ok(found)
}

/// Splits a path into its folder and its last name.
pub(crate) fn split(inside: &Path) -> (&Path, &OsStr) {
    (inside.parent().unwrap_or(Path::new("")), inside.file_name().unwrap_or_default())
}

/// Adds the operation and the path to an error, and keeps the system's error as its source.
pub(crate) fn named(source: io::Error, verb: &'static str, path: &Path) -> io::Error {
    io::Error::new(source.kind(), Named { source, verb, path: path.to_owned() })
}

#[derive(Debug, thiserror::Error)]
#[error("failed to {verb} `{path}`: {source}")]
struct Named {
    source: io::Error,
    verb: &'static str,
    path: PathBuf,
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn no_link_is_followed_whichever_way_a_path_is_resolved() {
        let dir = tempfile::tempdir().unwrap();
        let (store, outside) = (dir.path().join("store"), dir.path().join("outside"));
        for folder in [&store.join("a"), &outside.join("b")] {
            fs_err::create_dir_all(folder).unwrap();
        }
        fs_err::write(outside.join("b/file"), "theirs").unwrap();
        symlink(&outside, store.join("a/link")).unwrap();
        symlink(outside.join("b/file"), store.join("a/file")).unwrap();
        let root = Root::open(&store).unwrap();
        let is_refused = |result: Result<()>| assert!(matches!(result, Err(Error::Link { .. })), "{result:?}");
        let file = Path::new("a/link/b/file");
        is_refused(root.open_file(file).map(drop));
        is_refused(root.open_file(Path::new("a/file")).map(drop));
        is_refused(root.append(Path::new("a/file")).map(drop));
        is_refused(root.write_new(Path::new("a/link/new"), b"ours").map(drop));
        is_refused(root.remove_file(file).map(drop));
        is_refused(root.entries(Path::new("a/link")).map(drop));
        is_refused(root.make_folder(Path::new("a/link/c")).map(drop));
        root.write_new(Path::new("mine"), b"ours").unwrap();
        is_refused(root.link(Path::new("mine"), Path::new("a/link/mine")));
        is_refused(root.rename(Path::new("mine"), Path::new("a/link/mine")));
        let read = OFlags::RDONLY | OFlags::NOFOLLOW;
        assert!(root.walk(file, read, Mode::empty()).is_err());
        assert!(root.walk(Path::new("a/file"), read, Mode::empty()).is_err());
        assert!(root.walk(Path::new("mine"), read, Mode::empty()).is_ok());
        root.remove_tree(Path::new("a")).unwrap();
        assert_eq!(fs_err::read_to_string(outside.join("b/file")).unwrap(), "theirs");
        assert_eq!(fs_err::read_dir(&outside).unwrap().count(), 1);
    }

    #[test]
    fn what_is_no_file_is_refused_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::open(dir.path()).unwrap();
        rustix::fs::mknodat(CWD, dir.path().join("pipe"), FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        root.make_folder(Path::new("folder")).unwrap();
        for name in ["pipe", "folder"] {
            assert!(matches!(root.open_file(Path::new(name)), Err(Error::NotAFile { .. })), "{name}");
        }
        assert!(matches!(root.append(Path::new("pipe")), Err(Error::NotAFile { .. })));
        assert!(root.read_if_there(Path::new("none")).unwrap().is_none());
        assert!(root.entries(Path::new("none")).unwrap().is_empty());
    }
}
