//! What a store has fetched from the hub.
//!
//! ```text
//! .r1flow/hub/models--org--name/
//! ├── refs/main             the commit of the branch when it was last fetched
//! ├── snapshots/<commit>/   links to the files that are needed; for one folder, `<commit>%2Ffolder`
//! └── checked/<commit>      the hashes of the files, and which files have been checked (`checked.rs`)
//! ```
//! A snapshot is published whole or not at all. It does not count if its links are broken, because the cache was
//! emptied, or if its bytes are not the hub's. `hub` itself may be a link to another disk; the folders below it are
//! created here, and a link in their place is not followed. A damaged snapshot is not removed but renamed.

use std::fs::DirBuilder;
use std::io::{self, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use engine::workflow::hub::{Fetched, HubId};
use store::{Made, unique};

use super::checked::Checked;
use super::names::{BlobHash, Commit, RepoPath};
use super::settings::{repo, small_text};

/// Size limit in bytes of a `checked` list; the hub lists at most a hundred thousand files.
const LIST_BYTES: u64 = 64 << 20;
const REFS: &str = "refs";
const SNAPSHOTS: &str = "snapshots";
const CHECKED: &str = "checked";

/// Returns the snapshot of an input, if all its files are still there with the hub's bytes.
pub(crate) fn find(store: &Path, id: &HubId) -> Option<Fetched> {
    let commit = commit(store, id)?;
    let snapshot = there(store, id, SNAPSHOTS)?.join(name(id, &commit));
    let known = checked(store, id, &commit);
    let mut now = known.clone().unwrap_or_default();
    if known.is_none() {
        // The store is older than these lists: the names of the blobs in the cache are the expected hashes.
        for (name, path) in entries(&snapshot).ok()? {
            let target = fs_err::canonicalize(&path).ok()?;
            let hash = target.file_name().and_then(|name| BlobHash::parse(name.to_str()?));
            if !is_right(&mut now, &name, &path, hash.as_ref()) {
                return None;
            }
        }
    }
    if !holds(&snapshot, &mut now) {
        return None;
    }
    if Some(&now) != known.as_ref()
        && let Err(error) = remember(store, id, &commit, &now)
    {
        tracing::debug!(%error, "which files are right is not remembered");
    }
    let path = fs_err::canonicalize(&snapshot).ok()?.join(&id.folder);
    Some(Fetched { commit: commit.to_string(), path })
}

/// Returns the commit to which this store pins an input's revision.
pub(super) fn commit(store: &Path, id: &HubId) -> Option<Commit> {
    if id.is_commit() {
        return Commit::parse(&id.revision);
    }
    let text = small_text(&there(store, id, REFS)?.join(escaped(&id.revision)))?;
    Commit::parse(text.trim())
}

/// Returns the list of checked files of a commit; `None` if there is none.
pub(super) fn checked(store: &Path, id: &HubId, commit: &Commit) -> Option<Checked> {
    let list = there(store, id, CHECKED)?.join(name(id, commit));
    Checked::parse(&outside::read_text(&list, LIST_BYTES, "").ok()?)
}

/// Publishes a snapshot of `files`, all of which have been checked, and pins the revision to its commit.
pub(super) fn publish(
    store: &Path,
    id: &HubId,
    commit: &Commit,
    files: &[(RepoPath, PathBuf)],
    mut checked: Checked,
) -> io::Result<Fetched> {
    let snapshot = room(store, id, SNAPSHOTS)?.join(name(id, commit));
    // A valid snapshot stays, because other processes may be reading it.
    if !holds(&snapshot, &mut checked) {
        link(&snapshot, files)?;
    }
    remember(store, id, commit, &checked)?;
    if !id.is_commit() {
        let reference = room(store, id, REFS)?.join(escaped(&id.revision));
        replace(draft_of(&reference), &reference, commit.as_str())?;
    }
    Ok(Fetched { commit: commit.to_string(), path: fs_err::canonicalize(snapshot)?.join(&id.folder) })
}

/// Builds a snapshot under a draft name and renames it into place; a damaged one is renamed first.
fn link(snapshot: &Path, files: &[(RepoPath, PathBuf)]) -> io::Result<()> {
    let draft = Made::folder(draft_of(snapshot))?;
    for (name, file) in files {
        let link = draft.path().join(name.as_str());
        fs_err::create_dir_all(link.parent().expect("it lies in the draft"))?;
        symlink(fs_err::canonicalize(file)?, link)?;
    }
    if snapshot.symlink_metadata().is_ok() {
        fs_err::rename(snapshot, snapshot.with_added_extension(format!("{}.old", unique())))?;
    }
    draft.keep_as(snapshot)
}

/// Returns whether a snapshot has exactly the files of the list, with the right bytes.
fn holds(snapshot: &Path, checked: &mut Checked) -> bool {
    let Ok(entries) = entries(snapshot) else { return false };
    if entries.is_empty() || !entries.iter().map(|(name, _)| name).eq(checked.names()) {
        return false;
    }
    entries.iter().all(|(name, path)| {
        let hash = checked.hash(name).cloned();
        is_right(checked, name, path, hash.as_ref())
    })
}

fn is_right(checked: &mut Checked, name: &RepoPath, path: &Path, hash: Option<&BlobHash>) -> bool {
    match checked.check(name, path, hash) {
        Ok(true) => true,
        Ok(false) => {
            tracing::warn!("`{}` has other bytes than the hub, and counts as not fetched", path.display());
            false
        }
        Err(error) => {
            tracing::debug!(%error, "a snapshot is not whole");
            false
        }
    }
}

/// Returns the files and links of a snapshot by name, sorted; fails on a name that no file on a hub has.
fn entries(snapshot: &Path) -> io::Result<Vec<(RepoPath, PathBuf)>> {
    fn collect(folder: &Path, prefix: &str, entries: &mut Vec<(RepoPath, PathBuf)>) -> io::Result<()> {
        for entry in fs_err::read_dir(folder)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| RepoPath::parse(&format!("{prefix}{}", name.to_str()?)));
            let name = name.ok_or_else(|| io::Error::other(format!("`{}` is nothing of ours", path.display())))?;
            if fs_err::symlink_metadata(&path)?.is_dir() {
                collect(&path, &format!("{name}/"), entries)?;
            } else {
                entries.push((name, path));
            }
        }
        Ok(())
    }
    let mut found = Vec::new();
    if !fs_err::symlink_metadata(snapshot)?.is_dir() {
        return Err(io::Error::other(format!("`{}` is no folder", snapshot.display())));
    }
    collect(snapshot, "", &mut found)?;
    found.sort();
    Ok(found)
}

fn remember(store: &Path, id: &HubId, commit: &Commit, checked: &Checked) -> io::Result<()> {
    let list = room(store, id, CHECKED)?.join(name(id, commit));
    replace(draft_of(&list), &list, &checked.text())
}

/// Returns the number of files at `path` and their bytes; fails on a broken link.
pub(crate) fn size(path: &Path) -> io::Result<(usize, u64)> {
    let metadata = fs_err::metadata(path)?;
    if metadata.is_file() {
        return Ok((1, metadata.len()));
    }
    fs_err::read_dir(path)?.try_fold((0, 0), |(files, bytes), entry| {
        let (more, size) = size(&entry?.path())?;
        Ok((files + more, bytes + size))
    })
}

/// Returns a repository's folder in the store, and the folder `which` in it.
fn rooms(store: &Path, id: &HubId, which: &str) -> [PathBuf; 2] {
    let root = store.join("hub").join(repo(id, &id.revision).folder_name());
    let room = root.join(which);
    [root, room]
}

/// Returns the folder `which` of a repository, if it exists and neither folder is a link.
fn there(store: &Path, id: &HubId, which: &str) -> Option<PathBuf> {
    let rooms = rooms(store, id, which);
    let is_ours = |path: &PathBuf| path.symlink_metadata().is_ok_and(|found| found.is_dir());
    let [_, room] = rooms.iter().all(is_ours).then_some(rooms)?;
    Some(room)
}

/// Returns the folder `which` of a repository, and creates it if it is missing; refuses a link in its place.
fn room(store: &Path, id: &HubId, which: &str) -> io::Result<PathBuf> {
    fs_err::create_dir_all(store.join("hub"))?;
    let rooms = rooms(store, id, which);
    for folder in &rooms {
        match DirBuilder::new().create(folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        if !fs_err::symlink_metadata(folder)?.is_dir() {
            let reason = format!("`{}` is a link or a file where a folder of the store should be", folder.display());
            return Err(io::Error::other(reason));
        }
    }
    let [_, room] = rooms;
    Ok(room)
}

/// Replaces a small file atomically: writes `draft`, whose name is new, and renames it.
pub(super) fn replace(draft: PathBuf, path: &Path, text: &str) -> io::Result<()> {
    let (mut file, made) = Made::file(draft)?;
    file.write_all(text.as_bytes())?;
    made.keep_as(path)
}

fn draft_of(path: &Path) -> PathBuf {
    path.with_added_extension(format!("{}.draft", unique()))
}

fn name(id: &HubId, commit: &Commit) -> String {
    let folder = if id.folder.is_empty() { String::new() } else { format!("/{}", id.folder) };
    escaped(&format!("{commit}{folder}"))
}

/// Returns a file name for a path. Different paths get different names, because an id contains no `%`.
fn escaped(path: &str) -> String {
    path.replace('/', "%2F")
}
