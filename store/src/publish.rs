//! Publication: how a file gets its final name, so that no reader sees half of it, even after a power cut.
//!
//! A reader sees whole files because a file is renamed when it is complete. A power cut can take files that were not
//! synced ([`Unsynced`]), so code that follows a reference checks that the file exists and has the right length. Under
//! simulated power cuts on ext4, leaving out any of the syncs below lost acknowledged objects; with all of them none
//! was lost.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::Store;
use crate::error::{Error, Result};
use crate::root::Root;

/// Number of files that are synced in parallel.
const SIDE_BY_SIDE: usize = 8;

/// Returns a name that no other thread or process uses.
pub fn unique() -> String {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    format!("{nanos:x}-{:x}-{:x}", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed))
}

impl Store {
    /// Publishes a small file atomically and durably, replacing the one that has its name.
    pub(crate) fn replace(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        let draft = self.draft(bytes)?;
        self.root.rename(&draft, path)?;
        Unsynced::of(&self.root, [path.to_owned()]).sync()
    }

    /// Writes `bytes` to a file that has no final name yet.
    pub(crate) fn draft(&self, bytes: &[u8]) -> Result<PathBuf> {
        let draft = self.scratch_name("draft")?;
        self.root.write_new(&draft, bytes)?;
        Ok(draft)
    }
}

/// Returns the mode of a file that is never written again: read-only, for everyone that the user's umask allows.
pub(crate) fn read_only_mode() -> u32 {
    static UMASK: OnceLock<u32> = OnceLock::new();
    0o444 & !*UMASK.get_or_init(umask)
}

/// Reads the umask from `/proc`: `umask(2)` would change it for a moment, also for other threads.
fn umask() -> u32 {
    let told = fs_err::read_to_string("/proc/self/status").unwrap_or_default();
    let told = told.lines().find_map(|line| u32::from_str_radix(line.strip_prefix("Umask:")?.trim(), 8).ok());
    told.unwrap_or_else(|| {
        let mask = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
        rustix::process::umask(mask);
        mask.as_raw_mode()
    })
}

/// Files of a store that have their final names, but that a power cut may still take.
#[derive(Debug, Default)]
#[must_use = "a power cut may take these until they are synced"]
pub struct Unsynced {
    root: Option<Arc<Root>>,
    files: BTreeSet<PathBuf>,
}

impl FromIterator<Self> for Unsynced {
    fn from_iter<I: IntoIterator<Item = Self>>(each: I) -> Self {
        let mut all = Self::default();
        each.into_iter().for_each(|one| all.extend(one));
        all
    }
}

impl Unsynced {
    pub(crate) fn of(root: &Arc<Root>, files: impl IntoIterator<Item = PathBuf>) -> Self {
        Self { root: Some(Arc::clone(root)), files: files.into_iter().collect() }
    }

    /// Adds the files of `other`, which must be of the same store.
    pub fn extend(&mut self, other: Self) {
        self.root = self.root.take().or(other.root);
        self.files.extend(other.files);
    }

    /// Makes files and names durable, including those that another process wrote first and may not have synced yet.
    pub fn sync(self) -> Result<()> {
        let Some(root) = self.root else { return Ok(()) };
        // The folders above a file may be new, too: `checkpoints/ab/<key>/<n>.json`.
        let folders: BTreeSet<&Path> = self.files.iter().flat_map(|file| file.ancestors().skip(1)).collect();
        sync_each(&self.files.iter().map(PathBuf::as_path).collect::<Vec<_>>(), |file| {
            Ok(root.open_file(file)?.sync_all()?)
        })?;
        sync_each(&folders.into_iter().collect::<Vec<_>>(), |folder| root.sync_folder(folder))?;
        root.sync_above()
    }
}

/// Syncs files or folders, several in parallel: most of the time is waiting for the disk, which completes several at
/// once.
fn sync_each(paths: &[&Path], sync: impl Fn(&Path) -> Result<()> + Sync) -> Result<()> {
    let in_turn = |paths: &[&Path]| paths.iter().try_for_each(|path| unless_gone(sync(path)));
    if paths.len() < SIDE_BY_SIDE {
        return in_turn(paths);
    }
    std::thread::scope(|scope| {
        let shares = paths.chunks(paths.len().div_ceil(SIDE_BY_SIDE));
        let threads: Vec<_> = shares.map(|share| scope.spawn(|| in_turn(share))).collect();
        let ends = threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)));
        ends.collect()
    })
}

/// Ignores a file that was removed or moved since: there is nothing left to sync.
fn unless_gone(synced: Result<()>) -> Result<()> {
    match synced {
        Err(Error::Io(error)) if error.kind() == ErrorKind::NotFound => Ok(()),
        synced => synced,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_umask_is_that_of_the_process() {
        let dir = tempfile::tempdir().unwrap();
        fs_err::write(dir.path().join("file"), b"").unwrap();
        let mode =
            std::os::unix::fs::PermissionsExt::mode(&fs_err::metadata(dir.path().join("file")).unwrap().permissions());
        assert_eq!(read_only_mode(), mode & 0o444);
    }
}
