//! Scratch: one folder per process for files that have no final name yet.
//!
//! ```text
//! attempts/<unique>.lock          locked (flock) by a process for as long as it lives
//! attempts/<unique>/zero-3/       the folder of an attempt, where a worker writes
//! attempts/<unique>/draft-4       a file before it has its final name
//! ```
//! A lock that can be taken has no owner, so its folder was left by a killed process and may be removed.

use std::collections::BTreeSet;
use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use rustix::fs::FileType;

use crate::error::{Error, Result};
use crate::lock::{lock_error, locked};
use crate::path::below;
use crate::root::Root;
use crate::{Store, layout, publish};

const LOCK: &str = "lock";

/// The scratch folder of one process; it is made with the first file.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    owned: OnceLock<Owned>,
    count: AtomicU64,
}

#[derive(Debug)]
struct Owned {
    root: Arc<Root>,
    folder: PathBuf,
    _locked: File,
}

impl Drop for Owned {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.root, &self.folder) {
            tracing::warn!(%error, "the folder of this process stays until the next `apply` or `gc`");
        }
    }
}

/// A folder for one attempt at a stage, on the store's own file system; removed when dropped.
#[derive(Debug)]
pub struct AttemptDir {
    root: Arc<Root>,
    inside: PathBuf,
    path: PathBuf,
}

impl AttemptDir {
    /// Returns the folder, absolute.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for AttemptDir {
    fn drop(&mut self) {
        if let Err(error) = self.root.remove_tree(&self.inside) {
            tracing::warn!(%error, "an attempt's folder stays until its engine ends");
        }
    }
}

impl Store {
    /// Makes a folder for one attempt at a stage.
    pub fn new_attempt_dir(&self, stage: &str) -> Result<AttemptDir> {
        let inside = self.scratch_name(&stage.replace('/', "~"))?;
        self.root.make_new_folder(&inside)?;
        Ok(AttemptDir { path: self.root.path().join(&inside), root: Arc::clone(&self.root), inside })
    }

    /// Removes a folder or file that a worker has made inside one of this process's attempts. Fails if the path is
    /// elsewhere, by its name or through a link.
    pub fn discard(&self, path: &Path) -> Result<()> {
        let folder = self.scratch.owned.get().map(|owned| self.root.path().join(&owned.folder));
        let inside = folder.as_ref().and_then(|folder| below(folder, path));
        // The first name is the attempt's own folder.
        if inside.is_none_or(|inside| inside.components().count() < 2) {
            return Err(Error::Outside { path: path.to_owned(), folder: self.root.path().join(layout::attempts()) });
        }
        self.root.remove_tree(below(self.root.path(), path).expect("the scratch folder lies in the store"))
    }

    /// Returns a new path in this process's own folder.
    pub(crate) fn scratch_name(&self, name: &str) -> Result<PathBuf> {
        let folder = &self.owned_scratch()?.folder;
        let number = self.scratch.count.fetch_add(1, Ordering::Relaxed);
        Ok(folder.join(format!("{name}-{number}")))
    }

    /// Announces that this process is at work, which it must do before it looks for existing results: from then on no
    /// collection removes results that are referred to ([`crate::Keep::only`]). Blocks the thread while a collection is
    /// running.
    pub fn announce(&self) -> Result<()> {
        let _hold = self.hold()?;
        self.owned_scratch().map(drop)
    }

    fn owned_scratch(&self) -> Result<&Owned> {
        if let Some(owned) = self.scratch.owned.get() {
            return Ok(owned);
        }
        let made = self.own_scratch()?;
        // If two threads made a folder, the second's is removed again when dropped.
        Ok(self.scratch.owned.get_or_init(|| made))
    }

    fn own_scratch(&self) -> Result<Owned> {
        loop {
            let folder = layout::attempts().join(publish::unique());
            let lock = lock_of(&folder);
            let file = self.root.create_new(&lock)?;
            locked(file.lock(), &self.root.path().join(&lock))?;
            // Before it was locked, a sweep of another process may have removed it.
            let found = self.root.stat(&lock)?;
            if found.is_some_and(|found| file.metadata().is_ok_and(|mine| mine.ino() == found.st_ino)) {
                self.root.make_new_folder(&folder)?;
                return Ok(Owned { root: Arc::clone(&self.root), folder, _locked: file });
            }
        }
    }

    /// Removes the folders of processes that were killed, and returns how many processes there were.
    pub fn sweep_attempts(&self) -> Result<usize> {
        let mut swept = 0;
        for folder in self.scratch_folders()? {
            // The lock is held until the folder is gone: a process that has just made this lock file and waits for the
            // lock then sees that the file was removed.
            let _held = match self.owner(&folder)? {
                Owner::Lives => continue,
                Owner::Killed(lock) => Some(lock),
                Owner::None => None,
            };
            remove(&self.root, &folder)?;
            swept += 1;
        }
        Ok(swept)
    }

    /// Returns whether another process is at work here.
    pub fn is_in_use(&self) -> Result<bool> {
        let own = self.scratch.owned.get().map(|owned| owned.folder.as_path());
        for folder in self.scratch_folders()? {
            if own != Some(&folder) && matches!(self.owner(&folder)?, Owner::Lives) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Returns whether the process with this scratch folder is alive.
    pub(crate) fn lives(&self, process: &str) -> Result<bool> {
        Ok(matches!(self.owner(&layout::attempts().join(process))?, Owner::Lives))
    }

    /// Returns the scratch folders of all processes, including those that only have a lock or only a folder.
    fn scratch_folders(&self) -> Result<BTreeSet<PathBuf>> {
        let folder_of = |(path, file_type): (PathBuf, FileType)| {
            let is_lock = path.extension().is_some_and(|extension| extension == LOCK);
            if is_lock { Some(path.with_extension("")) } else { (file_type == FileType::Directory).then_some(path) }
        };
        Ok(self.root.entries(layout::attempts())?.into_iter().filter_map(folder_of).collect())
    }

    fn owner(&self, folder: &Path) -> Result<Owner> {
        let lock = lock_of(folder);
        let file = match self.root.open_file(&lock) {
            Err(Error::Io(error)) if error.kind() == ErrorKind::NotFound => return Ok(Owner::None),
            file => file?,
        };
        match file.try_lock() {
            Ok(()) => Ok(Owner::Killed(file)),
            Err(TryLockError::WouldBlock) => Ok(Owner::Lives),
            Err(TryLockError::Error(error)) => Err(lock_error(error, &self.root.path().join(&lock))),
        }
    }
}

/// The owner of a scratch folder.
enum Owner {
    Lives,
    /// A killed process; its lock is held until this is dropped.
    Killed(File),
    /// There is no lock, which is made before the folder and removed after it.
    None,
}

fn lock_of(folder: &Path) -> PathBuf {
    folder.with_added_extension(LOCK)
}

/// Removes the folder, then the lock: a lock without a folder is found by the next sweep.
fn remove(root: &Root, folder: &Path) -> Result<()> {
    root.remove_tree(folder)?;
    root.remove_file(&lock_of(folder)).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_no_owner_is_swept() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let mine = store.new_attempt_dir("distill/small").unwrap();
        fs_err::write(mine.path().join("half"), b"").unwrap();
        assert_eq!(store.sweep_attempts().unwrap(), 0);
        let other = Store::open(dir.path()).unwrap();
        assert!(mine.path().join("half").exists() && other.is_in_use().unwrap() && !store.is_in_use().unwrap());

        // What killed processes leave: the same files without a process that holds the lock, or a folder alone.
        let attempts = store.root().join("attempts");
        for folder in ["1/zero-1", "2/zero-1"] {
            fs_err::create_dir_all(attempts.join(folder)).unwrap();
            fs_err::write(attempts.join(folder).join("half"), b"").unwrap();
        }
        fs_err::write(attempts.join("1.lock"), b"").unwrap();
        assert_eq!(store.sweep_attempts().unwrap(), 2);
        drop(mine);
        drop(store);
        assert_eq!(fs_err::read_dir(attempts).unwrap().count(), 0);
    }

    /// A new process makes its lock file, takes the lock, then makes its folder. If it could take the lock during a
    /// sweep, it would lose the folder.
    #[test]
    fn a_lock_is_held_until_its_folder_is_gone() {
        const FILES: usize = 2_000;
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let (folder, lock) = (dir.path().join("attempts/1"), dir.path().join("attempts/1.lock"));
        fs_err::create_dir_all(&folder).unwrap();
        for file in 0..FILES {
            fs_err::write(folder.join(file.to_string()), b"").unwrap();
        }
        fs_err::write(&lock, b"").unwrap();
        let taken_late = std::thread::scope(|scope| {
            let sweep = scope.spawn(|| store.sweep_attempts().unwrap());
            let mut taken_late = 0;
            while !sweep.is_finished() {
                // Checked first: a lock that is taken before the sweep begins only makes the sweep skip it.
                let is_begun = fs_err::read_dir(&folder).map_or(0, Iterator::count) < FILES;
                let is_taken = fs_err::File::open(&lock).is_ok_and(|lock| lock.try_lock().is_ok());
                taken_late += usize::from(is_begun && is_taken && lock.exists());
            }
            taken_late
        });
        assert_eq!(taken_late, 0);
    }

    #[test]
    fn an_attempt_removes_nothing_but_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let outside = dir.path().join("outside");
        fs_err::create_dir_all(outside.join("a")).unwrap();
        let attempt = store.new_attempt_dir("a").unwrap();
        fs_err::create_dir_all(attempt.path().join("rows/1")).unwrap();
        std::os::unix::fs::symlink(&outside, attempt.path().join("link")).unwrap();
        for path in
            [outside.clone(), attempt.path().to_owned(), attempt.path().join(".."), attempt.path().join("link/a")]
        {
            assert!(store.discard(&path).is_err(), "{}", path.display());
        }
        store.discard(&attempt.path().join("rows/1")).unwrap();
        store.discard(&attempt.path().join("link")).unwrap();
        assert!(outside.join("a").exists() && attempt.path().join("rows").exists());
        assert!(!attempt.path().join("rows/1").exists() && !attempt.path().join("link").exists());
    }
}
