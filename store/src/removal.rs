//! Removal: the only module of the project that removes files and folders, and its rules.
//!
//! 1. **A clean-up removes only a name that this very call has created.** [`Made`] is such a name: making it fails if
//!    the name is taken, and dropping it removes the file or folder unless it was kept.
//! 2. **Inside a store** only paths that the store itself builds are removed, without following a link ([`Root`]).
//!
//! `clippy.toml` bans the calls everywhere else.
#![expect(clippy::disallowed_methods, reason = "this module is the one that keeps the rule")]

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, openat};
use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::root::{FOLDER, Root, named, names, split};

/// A file or folder that did not exist before; removed when dropped.
#[derive(Debug)]
#[must_use = "it is removed when dropped"]
pub struct Made {
    path: Option<PathBuf>,
    sort: Sort,
}

#[derive(Clone, Copy, Debug)]
enum Sort {
    File,
    /// With everything in it.
    Folder,
    /// Only if it is empty: another process may be using it by now.
    Parent,
}

impl Made {
    /// Makes a folder. Fails if the name is taken.
    pub fn folder(path: PathBuf) -> io::Result<Self> {
        fs_err::create_dir(&path)?;
        Ok(Self { path: Some(path), sort: Sort::Folder })
    }

    /// Makes an empty file and opens it for reading and writing. Fails if the name is taken, even by a link.
    pub fn file(path: PathBuf) -> io::Result<(fs_err::File, Self)> {
        let file = fs_err::OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
        Ok((file, Self { path: Some(path), sort: Sort::File }))
    }

    /// Makes the missing parent folders of `path`, and returns them with the innermost first.
    pub(crate) fn parents(path: &Path) -> io::Result<Vec<Self>> {
        let above = path.ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty());
        let missing: Vec<&Path> = above.take_while(|folder| folder.symlink_metadata().is_err()).collect();
        let mut made = Vec::new();
        for folder in missing.into_iter().rev() {
            match fs_err::create_dir(folder) {
                Ok(()) => made.insert(0, Self { path: Some(folder.to_owned()), sort: Sort::Parent }),
                // Another process has just made it.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Ok(made)
    }

    /// Returns its path.
    pub fn path(&self) -> &Path {
        self.path.as_deref().expect("it has a path until it is dropped or kept")
    }

    /// Empties a folder.
    pub fn empty(&mut self) -> io::Result<()> {
        std::fs::remove_dir_all(self.path())?;
        fs_err::create_dir(self.path())
    }

    /// Keeps it under another name, replacing a file of that name.
    pub fn keep_as(self, path: &Path) -> io::Result<()> {
        fs_err::rename(self.path(), path)?;
        self.keep();
        Ok(())
    }

    /// Keeps it.
    pub fn keep(mut self) {
        self.path = None;
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        let Some(path) = &self.path else { return };
        let removed = match self.sort {
            Sort::File => std::fs::remove_file(path),
            Sort::Folder => std::fs::remove_dir_all(path),
            Sort::Parent => match std::fs::remove_dir(path) {
                Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
                removed => removed,
            },
        };
        if let Err(error) = removed
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, path = %path.display(), "what was begun here stays behind");
        }
    }
}

impl Root {
    /// Removes the name of a file or link. Returns whether it was there.
    pub(crate) fn remove_file(&self, inside: &Path) -> Result<bool> {
        let (above, name) = split(inside);
        let folder = match self.folder(above) {
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            folder => folder?,
        };
        match rustix::fs::unlinkat(folder, name, AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(named(errno.into(), "remove", &self.path().join(inside)).into()),
        }
    }

    /// Removes a folder with everything in it, or a file; links are removed, not followed.
    pub(crate) fn remove_tree(&self, inside: &Path) -> Result<()> {
        match self.folder(split(inside).0) {
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            folder => self.remove_from(&folder?, inside),
        }
    }

    /// Removes an entry of an open folder, with everything below it.
    fn remove_from(&self, folder: &OwnedFd, inside: &Path) -> Result<()> {
        let failed = |errno: Errno| Err(named(errno.into(), "remove", &self.path().join(inside)).into());
        let name = split(inside).1;
        match rustix::fs::unlinkat(folder, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            // It is a folder: Linux reports `EISDIR`, POSIX specifies `EPERM`.
            Err(Errno::ISDIR | Errno::PERM) => {}
            Err(errno) => return failed(errno),
        }
        let below = match openat(folder, name, FOLDER | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()) {
            Ok(below) => below,
            Err(Errno::NOENT) => return Ok(()),
            Err(Errno::NOTDIR | Errno::LOOP) => return failed(Errno::PERM),
            Err(errno) => return failed(errno),
        };
        let entries = names(&below, inside);
        for (entry, _) in entries.map_err(|error| named(error, "list", &self.path().join(inside)))? {
            self.remove_from(&below, &entry)?;
        }
        match rustix::fs::unlinkat(folder, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => failed(errno),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_there_before_is_never_removed() {
        let dir = tempfile::tempdir().unwrap();
        let (theirs, link) = (dir.path().join("theirs"), dir.path().join("link"));
        fs_err::write(&theirs, b"1").unwrap();
        std::os::unix::fs::symlink(&theirs, &link).unwrap();
        for path in [&theirs, &link, dir.path()] {
            assert!(Made::folder(path.to_owned()).is_err() && Made::file(path.to_owned()).is_err());
        }
        let made = Made::parents(&dir.path().join("a/b/c")).unwrap();
        assert_eq!(made.len(), 2);
        fs_err::write(dir.path().join("a/other"), b"2").unwrap();
        drop(made);
        assert!(!dir.path().join("a/b").exists() && dir.path().join("a/other").exists());
        let folder = Made::folder(dir.path().join("new")).unwrap();
        fs_err::write(folder.path().join("half"), b"").unwrap();
        let (_, kept) = Made::file(dir.path().join("kept")).unwrap();
        kept.keep();
        drop(folder);
        assert!(!dir.path().join("new").exists() && dir.path().join("kept").exists() && theirs.exists());
    }
}
