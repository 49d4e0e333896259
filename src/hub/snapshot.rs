//! What a store has fetched.
//!
//! ```text
//! .r1flow/hub/models--org--name/
//! ├── refs/main             the commit that the branch stood for when it was last fetched
//! ├── snapshots/<commit>/   links to the files that are needed; of a folder, `<commit>%2Ffolder`
//! └── checked/<commit>      which bytes they have, and which of them have been looked at (`checked.rs`)
//! ```
//! A snapshot is there whole or not at all. One whose links lead nowhere, because the cache was emptied, does not
//! count, nor does one of other bytes than the hub's. `hub` itself may be a link to another disk; what lies below is
//! made here, and a link in its place is not followed. A snapshot that is spoilt is not removed: it makes room under
//! another name.

use std::fs::DirBuilder;
use std::io::{self, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use engine::workflow::hub::{Fetched, HubId};
use store::{Made, unique};

use super::checked::Checked;
use super::names::{BlobHash, Commit, RepoPath};
use super::settings::{repo, small_text};

/// Bytes of a list of what has been checked; the hub lists at most a hundred thousand files.
const LIST_BYTES: u64 = 64 << 20;
const REFS: &str = "refs";
const SNAPSHOTS: &str = "snapshots";
const CHECKED: &str = "checked";

/// Returns what has been fetched of an input, if all of it is still there and has the bytes of the hub.
pub(crate) fn find(store: &Path, id: &HubId) -> Option<Fetched> {
    let commit = commit(store, id)?;
    let snapshot = there(store, id, SNAPSHOTS)?.join(name(id, &commit));
    let known = checked(store, id, &commit);
    let mut now = known.clone().unwrap_or_default();
    if known.is_none() {
        // A store of before there were lists: the names in the cache say what the bytes should be.
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

/// Returns the commit that an input's revision stands for in this store.
pub(super) fn commit(store: &Path, id: &HubId) -> Option<Commit> {
    if id.is_commit() {
        return Commit::parse(&id.revision);
    }
    let text = small_text(&there(store, id, REFS)?.join(escaped(&id.revision)))?;
    Commit::parse(text.trim())
}

/// Returns what is known of the files at a commit; nothing where there is no list.
pub(super) fn checked(store: &Path, id: &HubId, commit: &Commit) -> Option<Checked> {
    let list = there(store, id, CHECKED)?.join(name(id, commit));
    Checked::parse(&outside::read_text(&list, LIST_BYTES, "").ok()?)
}

/// Puts a snapshot of `files`, all of which have been checked, into its place, and lets the revision stand for it.
pub(super) fn publish(
    store: &Path,
    id: &HubId,
    commit: &Commit,
    files: &[(RepoPath, PathBuf)],
    mut checked: Checked,
) -> io::Result<Fetched> {
    let snapshot = room(store, id, SNAPSHOTS)?.join(name(id, commit));
    // Others may be reading one that is right.
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

/// Makes a snapshot beside its place and renames it; one that is spoilt makes room.
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

/// Returns whether a snapshot has exactly the files of a list, with the bytes that it names.
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

/// Returns the files of a snapshot by name, sorted; fails where there is anything but folders, files and links.
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

/// Returns the number of files at `path` and their bytes; fails where a link leads nowhere.
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

/// Returns the folders that lead to one of ours, the outermost first.
fn rooms(store: &Path, id: &HubId, which: &str) -> [PathBuf; 2] {
    let root = store.join("hub").join(repo(id, &id.revision).folder_name());
    let room = root.join(which);
    [root, room]
}

/// Returns one of our folders, if it is there and no link.
fn there(store: &Path, id: &HubId, which: &str) -> Option<PathBuf> {
    let rooms = rooms(store, id, which);
    let is_ours = |path: &PathBuf| path.symlink_metadata().is_ok_and(|found| found.is_dir());
    let [_, room] = rooms.iter().all(is_ours).then_some(rooms)?;
    Some(room)
}

/// Returns one of our folders, which is made where there is none; a link in its place is refused.
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

/// Gives a small file another text, all of it or none, by way of a draft whose name is new.
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

/// One name of a file for a path, and another for another; an id has no `%` in it.
fn escaped(path: &str) -> String {
    path.replace('/', "%2F")
}
