//! Folders of programs: filling, measuring and removing them.
//!
//! A program may have left anything in its folder: links, folders that cannot be opened, a thousand folders in each
//! other. So each step goes through descriptors, follows no link, and holds few folders open.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};

use crate::program::File;

/// Folders in each other that are open at the same time.
const MAX_OPEN: usize = 32;

/// The folder that holds those of programs.
#[derive(Debug)]
pub(crate) struct Scratch {
    parent: OwnedFd,
    name: String,
    pub(crate) path: PathBuf,
    folder: OwnedFd,
}

impl Scratch {
    /// Makes a folder with a new name.
    pub(crate) fn create(at: &Path) -> io::Result<Self> {
        let parent = open_folder(rustix::fs::CWD, at)?;
        for number in 0.. {
            let name = format!("r1flow-jail-{}-{number}", std::process::id());
            match rustix::fs::mkdirat(&parent, &name, Mode::RWXU | Mode::XGRP | Mode::XOTH) {
                Err(rustix::io::Errno::EXIST) => {}
                made => {
                    made?;
                    let folder = open_folder(&parent, &name)?;
                    rustix::fs::fchmod(&folder, Mode::RWXU | Mode::XGRP | Mode::XOTH)?;
                    return Ok(Self { parent, path: at.join(&name), name, folder });
                }
            }
        }
        unreachable!("numbers do not run out");
    }

    /// Makes the folder of a slot.
    pub(crate) fn make(&self, slot: usize) -> io::Result<OwnedFd> {
        let name = slot_name(slot);
        // A guard that was killed may have left its program's.
        remove(self.folder.as_fd(), &name)?;
        rustix::fs::mkdirat(&self.folder, &name, Mode::RWXU)?;
        open_folder(&self.folder, &name)
    }

    /// Returns the path of a slot's folder.
    pub(crate) fn path_of(&self, slot: usize) -> PathBuf {
        self.path.join(slot_name(slot))
    }

    /// Removes the folder of a slot.
    pub(crate) fn clear(&self, slot: usize) -> io::Result<()> {
        remove(self.folder.as_fd(), &slot_name(slot))
    }

    /// Removes the folder with all that it holds.
    pub(crate) fn remove(&self) -> io::Result<()> {
        remove(self.parent.as_fd(), &self.name)
    }
}

fn slot_name(slot: usize) -> String {
    format!("program-{slot}")
}

/// Opens a folder, and no link to one.
pub(crate) fn open_folder(at: impl AsFd, name: impl rustix::path::Arg) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(at, name, flags, Mode::empty())?)
}

/// Returns whether a name stays in the folder that it is in.
pub(crate) fn is_inside(name: &Path) -> bool {
    let mut components = name.components();
    name.file_name().is_some() && components.all(|component| matches!(component, Component::Normal(_)))
}

/// Writes files into a new folder, which an owner gets with all that is in it.
pub(crate) fn fill(folder: &OwnedFd, files: &[File], owner: Option<u32>) -> io::Result<()> {
    let give = |file: BorrowedFd| -> io::Result<()> {
        let owner = owner.map(|id| (rustix::process::Uid::from_raw(id), rustix::process::Gid::from_raw(id)));
        Ok(rustix::fs::fchown(file, owner.map(|ids| ids.0), owner.map(|ids| ids.1))?)
    };
    give(folder.as_fd())?;
    for File { name, bytes, executable } in files {
        let name = Path::new(name);
        let mut at = folder.try_clone()?;
        for part in name.parent().into_iter().flat_map(Path::components) {
            let part: &Path = part.as_ref();
            match rustix::fs::mkdirat(&at, part, Mode::RWXU) {
                Ok(()) | Err(rustix::io::Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
            at = open_folder(&at, part)?;
            give(at.as_fd())?;
        }
        let mode = Mode::RUSR | Mode::WUSR | if *executable { Mode::XUSR } else { Mode::empty() };
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&at, name.file_name().unwrap_or_default(), flags, mode)?;
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            rest = &rest[rustix::io::write(&file, rest)?..];
        }
        give(file.as_fd())?;
    }
    Ok(())
}

/// What a folder takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) bytes: u64,
    pub(crate) files: u64,
}

/// Returns what a folder takes, or none where it is too deep to be measured.
pub(crate) fn measure(folder: BorrowedFd, depth: usize) -> Option<Taken> {
    let mut taken = Taken::default();
    let Ok(entries) = Dir::read_from(folder) else { return Some(taken) };
    for entry in entries.flatten() {
        if is_self(entry.file_name().to_bytes()) {
            continue;
        }
        // A file may go while it is looked at.
        let Ok(about) = rustix::fs::statat(folder, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW) else { continue };
        taken.bytes += about.st_blocks as u64 * 512;
        taken.files += 1;
        if FileType::from_raw_mode(about.st_mode) == FileType::Directory {
            if depth == 0 {
                return None;
            }
            if let Ok(inner) = open_folder(folder, entry.file_name()) {
                let inner = measure(inner.as_fd(), depth - 1)?;
                taken = Taken { bytes: taken.bytes + inner.bytes, files: taken.files + inner.files };
            }
        }
    }
    Some(taken)
}

/// Removes a folder with all that it holds, if it is there.
#[expect(clippy::disallowed_methods, reason = "the folder was made here, and nothing runs in it any more")]
fn remove(at: BorrowedFd, name: &str) -> io::Result<()> {
    let folder = match open_folder(at, name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        folder => folder?,
    };
    let mut moved = 0;
    // Deep folders are moved to the top, and met there in the next round.
    while empty(folder.as_fd(), folder.as_fd(), MAX_OPEN, &mut moved)? {}
    Ok(rustix::fs::unlinkat(at, name, AtFlags::REMOVEDIR)?)
}

/// Empties a folder. Returns whether something was moved to the top instead.
#[expect(clippy::disallowed_methods, reason = "see `remove`")]
fn empty(folder: BorrowedFd, top: BorrowedFd, depth: usize, moved: &mut u64) -> io::Result<bool> {
    let mut has_moved = false;
    let entries: Vec<_> = Dir::read_from(folder)?.collect::<Result<_, _>>()?;
    for entry in entries.iter().filter(|entry| !is_self(entry.file_name().to_bytes())) {
        let name = entry.file_name();
        match rustix::fs::unlinkat(folder, name, AtFlags::empty()) {
            Err(rustix::io::Errno::ISDIR) => {}
            done => {
                done?;
                continue;
            }
        }
        if depth == 0 {
            move_to_top(folder, name, top, moved)?;
            has_moved = true;
            continue;
        }
        rustix::fs::chmodat(folder, name, Mode::RWXU, AtFlags::empty())?;
        let inner = open_folder(folder, name)?;
        has_moved |= empty(inner.as_fd(), top, depth - 1, moved)?;
        rustix::fs::unlinkat(folder, name, AtFlags::REMOVEDIR)?;
    }
    Ok(has_moved)
}

/// Moves a folder to the top under a name that nothing there has.
fn move_to_top(folder: BorrowedFd, name: &CStr, top: BorrowedFd, moved: &mut u64) -> io::Result<()> {
    loop {
        *moved += 1;
        let new = format!(".moved-{moved}");
        if let Err(rustix::io::Errno::NOENT) = rustix::fs::statat(top, &new, AtFlags::SYMLINK_NOFOLLOW) {
            return Ok(rustix::fs::renameat(folder, name, top, new)?);
        }
    }
}

fn is_self(name: &[u8]) -> bool {
    matches!(name, b"." | b"..")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn depth(folder: &Path, number: usize) -> PathBuf {
        (0..number).fold(folder.to_owned(), |at, _| at.join("d"))
    }

    #[test]
    fn names_stay_inside() {
        for (name, inside) in
            [("a", true), ("a/b.py", true), ("a..b", true), ("", false), (".", false), ("..", false), ("/a", false)]
        {
            assert_eq!(is_inside(Path::new(name)), inside, "{name}");
        }
        assert!(!is_inside(Path::new("a/../b")));
    }

    #[test]
    fn a_folder_is_measured_with_what_is_in_it_but_not_behind_links() {
        let outer = tempfile::tempdir().unwrap();
        let folder = outer.path().join("folder");
        fs_err::create_dir_all(folder.join("inner")).unwrap();
        fs_err::write(outer.path().join("large"), vec![1; 1 << 20]).unwrap();
        rustix::fs::symlink(outer.path(), folder.join("link")).unwrap();
        fs_err::write(folder.join("inner/file"), vec![1; 100_000]).unwrap();
        let taken = measure(open_folder(rustix::fs::CWD, &folder).unwrap().as_fd(), 4).unwrap();
        assert_eq!(taken.files, 3);
        assert!((100_000..200_000).contains(&taken.bytes), "{taken:?}");
        assert_eq!(measure(open_folder(rustix::fs::CWD, &folder).unwrap().as_fd(), 0), None);
    }

    #[test]
    fn a_folder_is_removed_however_deep_it_is_and_whatever_was_made_of_it() {
        let outer = tempfile::tempdir().unwrap();
        let scratch = Scratch::create(outer.path()).unwrap();
        drop(scratch.make(3).unwrap());
        let folder = scratch.path_of(3);
        fs_err::create_dir_all(depth(&folder, 200)).unwrap();
        fs_err::create_dir_all(folder.join(".moved-1")).unwrap();
        fs_err::write(outer.path().join("outside"), "stays").unwrap();
        rustix::fs::symlink(outer.path().join("outside"), depth(&folder, 100).join("link")).unwrap();
        rustix::fs::chmod(depth(&folder, 50), Mode::empty()).unwrap();
        scratch.clear(3).unwrap();
        assert!(!folder.exists());
        scratch.remove().unwrap();
        assert_eq!(fs_err::read_dir(outer.path()).unwrap().count(), 1);
    }
}
