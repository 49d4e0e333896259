//! Publication: how a file gets its final name so that no reader and no power cut ever sees half of it.
//!
//! A reader sees whole files because a file is renamed when it is whole. A power cut is another matter: it can take what
//! was not synced ([`Unsynced`]), so whoever is told that something is there looks whether it is, and how long it is.
//! Measured on ext4 under simulated power cuts, each step left out loses acknowledged objects; together they lost none.

use std::collections::BTreeSet;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::error::Result;

/// Files that are synced at the same time.
const SIDE_BY_SIDE: usize = 8;

/// Returns a name that no other thread or process uses.
pub(crate) fn unique() -> String {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    format!("{nanos:x}-{:x}-{:x}", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed))
}

/// Writes `bytes` to a new file under `tmp` and makes them durable; the name is not yet final.
pub(crate) fn draft(tmp: &Path, bytes: &[u8]) -> Result<PathBuf> {
    let path = tmp.join(unique());
    let mut file = fs_err::File::create(&path)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    Ok(path)
}

/// Gives a durable file its final name. An object that is there already stays: equal names are equal bytes.
pub(crate) fn rename(draft: &Path, path: &Path) -> Result<()> {
    match std::fs::rename(draft, path) {
        // Mostly the folder is there already.
        Err(error) if error.kind() == ErrorKind::NotFound => {
            fs_err::create_dir_all(path.parent().expect("final names lie in a folder"))?;
            fs_err::rename(draft, path)?;
        }
        Err(_) => fs_err::rename(draft, path)?,
        Ok(()) => {}
    }
    Ok(())
}

/// Makes the names in `folder` durable, and the folder's own name in its parent.
pub(crate) fn sync_folder(folder: &Path) -> Result<()> {
    fs_err::File::open(folder)?.sync_all()?;
    if let Some(parent) = folder.parent() {
        fs_err::File::open(parent)?.sync_all()?;
    }
    Ok(())
}

/// Publishes small mutable-by-replacement metadata (records, actions) in one step.
pub(crate) fn replace(tmp: &Path, path: &Path, bytes: &[u8]) -> Result<()> {
    let draft = draft(tmp, bytes)?;
    rename(&draft, path)?;
    sync_folder(path.parent().expect("final names lie in a folder"))
}

pub(crate) fn make_read_only(path: &Path) -> Result<()> {
    fs_err::set_permissions(path, std::fs::Permissions::from_mode(0o444))?;
    Ok(())
}

/// Files with their final names that a power cut may still take.
#[derive(Debug, Default)]
#[must_use = "a power cut may take these until they are synced"]
pub struct Unsynced(BTreeSet<PathBuf>);

impl FromIterator<Self> for Unsynced {
    fn from_iter<I: IntoIterator<Item = Self>>(each: I) -> Self {
        Self(each.into_iter().flat_map(|one| one.0).collect())
    }
}

impl Unsynced {
    pub(crate) fn of(files: impl IntoIterator<Item = PathBuf>) -> Self {
        Self(files.into_iter().collect())
    }

    /// Adds the files of another.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Makes files and names durable; those of whoever was first, too, for his own sync may be yet to come.
    pub fn sync(self) -> Result<()> {
        let files: BTreeSet<&Path> = self.0.iter().map(PathBuf::as_path).collect();
        let folders = parents(&files);
        // A folder may be as new as what is in it.
        let above = parents(&folders);
        [files, folders, above].into_iter().try_for_each(|paths| sync_each(&Vec::from_iter(paths)))
    }
}

fn parents<'a>(paths: &BTreeSet<&'a Path>) -> BTreeSet<&'a Path> {
    paths.iter().filter_map(|path| path.parent()).collect()
}

/// Syncs files or folders, some side by side: it is waiting for the disk for the most part, which finishes several at once.
fn sync_each(paths: &[&Path]) -> Result<()> {
    let in_turn = |paths: &[&Path]| paths.iter().try_for_each(|path| Ok(fs_err::File::open(path)?.sync_all()?));
    if paths.len() < SIDE_BY_SIDE {
        return in_turn(paths);
    }
    std::thread::scope(|scope| {
        let shares = paths.chunks(paths.len().div_ceil(SIDE_BY_SIDE));
        let threads: Vec<_> = shares.map(|share| scope.spawn(move || in_turn(share))).collect();
        let ends = threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)));
        ends.collect()
    })
}
