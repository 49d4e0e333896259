//! What a store has fetched.
//!
//! ```text
//! .r1flow/hub/models--org--name/
//! ├── refs/main             the commit that the branch stood for when it was last fetched
//! └── snapshots/<commit>/   links to the files that are needed; of a folder, `<commit>%2Ffolder`
//! ```
//! A snapshot is there whole or not at all. One whose links lead nowhere, because the cache was emptied, does not count.

use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use engine::workflow::hub::{Fetched, HubId};

use super::settings::repo;

/// Returns what has been fetched of an input, if all of it is still there.
pub(crate) fn find(store: &Path, id: &HubId) -> Option<Fetched> {
    let commit = commit(store, id)?;
    let snapshot = folder(store, id, &commit);
    let path = fs_err::canonicalize(&snapshot).ok()?.join(&id.folder);
    let (files, _) = size(&path).ok()?;
    (files > 0).then_some(Fetched { commit, path })
}

/// Returns the commit that an input's revision stands for in this store.
pub(super) fn commit(store: &Path, id: &HubId) -> Option<String> {
    if id.is_commit() {
        return Some(id.revision.clone());
    }
    fs_err::read_to_string(reference(store, id)).ok().map(|commit| commit.trim().to_owned())
}

/// Puts a snapshot of `files`, named as in the repository, into its place, and lets the revision stand for it.
pub(super) fn publish(store: &Path, id: &HubId, commit: &str, files: &[(String, PathBuf)]) -> io::Result<Fetched> {
    let snapshot = folder(store, id, commit);
    // Others may be reading one that is whole.
    if size(&snapshot).is_err() {
        link(&snapshot, files)?;
    }
    if !id.is_commit() {
        let reference = reference(store, id);
        fs_err::create_dir_all(reference.parent().expect("it lies among references"))?;
        let draft = draft_of(&reference);
        fs_err::write(&draft, commit)?;
        fs_err::rename(&draft, &reference)?;
    }
    Ok(Fetched { commit: commit.to_owned(), path: fs_err::canonicalize(snapshot)?.join(&id.folder) })
}

fn link(snapshot: &Path, files: &[(String, PathBuf)]) -> io::Result<()> {
    let draft = draft_of(snapshot);
    for folder in [&draft, snapshot] {
        if folder.exists() {
            fs_err::remove_dir_all(folder)?;
        }
    }
    for (name, file) in files {
        let link = draft.join(name);
        fs_err::create_dir_all(link.parent().expect("it lies in the draft"))?;
        symlink(fs_err::canonicalize(file)?, link)?;
    }
    fs_err::rename(&draft, snapshot)
}

fn draft_of(path: &Path) -> PathBuf {
    path.with_added_extension(format!("{}.draft", std::process::id()))
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

fn root(store: &Path, id: &HubId) -> PathBuf {
    store.join("hub").join(repo(id, &id.revision).folder_name())
}

fn reference(store: &Path, id: &HubId) -> PathBuf {
    root(store, id).join("refs").join(escaped(&id.revision))
}

fn folder(store: &Path, id: &HubId, commit: &str) -> PathBuf {
    let folder = if id.folder.is_empty() { String::new() } else { format!("/{}", id.folder) };
    root(store, id).join("snapshots").join(escaped(&format!("{commit}{folder}")))
}

/// One name of a file for a path, and another for another; an id has no `%` in it.
fn escaped(path: &str) -> String {
    path.replace('/', "%2F")
}
