//! Inputs from the Hugging Face hub: from an id in a workflow to a folder of plain files.
//!
//! ```text
//! settings.rs  the variables HF_HOME, HF_TOKEN and so on
//! names.rs     commits, hashes and names of files, parsed
//! client.rs    requests: the token, redirects, timeouts
//! redirect.rs  where a redirect leads
//! remote.rs    the files of a repository, and which of them are needed
//! transfer.rs  downloads into the cache that Hugging Face's programs share
//! checked.rs   whether cached bytes are those that the hub names
//! snapshot.rs  what a store has fetched: branches and their commits, folders of links into the cache
//! trouble.rs   what may go wrong, and what to do about it
//! ```
//! The idea to know: a store pins each branch to the commit that it found, until the user runs `r1flow fetch`. Workers
//! get a folder with exactly the files that are needed, whatever else the cache has, so that its digest is the same
//! everywhere. Only this folder uses HTTP, and only to fetch something.

mod checked;
mod client;
mod names;
mod redirect;
mod remote;
mod settings;
mod snapshot;
mod transfer;
mod trouble;

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use engine::workflow::hub::{Fetched, HubId};

pub(crate) use settings::Settings;
pub(crate) use snapshot::find;
pub(crate) use trouble::Trouble;

use crate::ui::{self, bytes, count};
use checked::Checked;
use client::Client;
use names::{BlobHash, Commit, RepoPath};
use transfer::Transfer;

/// Files in the cache, by their names in a repository.
type Files = Vec<(RepoPath, PathBuf)>;

/// The result of fetching an input.
pub(crate) struct FetchedInput {
    pub(crate) fetched: Fetched,
    /// The commit whose files the store had before.
    pub(crate) before: Option<String>,
    pub(crate) files: usize,
    pub(crate) bytes: u64,
}

/// Fetches the missing files of an input, at the commit that the store has pinned, if there is one.
pub(crate) fn fetch_missing(settings: &Settings, store: &Path, id: &HubId) -> Result<FetchedInput, Trouble> {
    fetch(settings, store, id, snapshot::commit(store, id))
}

/// Fetches an input at the newest commit of its branch, or offline at the known commit.
pub(crate) fn fetch_newest(settings: &Settings, store: &Path, id: &HubId) -> Result<FetchedInput, Trouble> {
    let known = snapshot::commit(store, id).filter(|_| id.is_commit() || settings.is_offline);
    fetch(settings, store, id, known)
}

fn fetch(settings: &Settings, store: &Path, id: &HubId, known: Option<Commit>) -> Result<FetchedInput, Trouble> {
    let before = find(store, id);
    let whole = before.clone().filter(|_| known.is_some());
    let fetched = match whole {
        Some(whole) => whole,
        None => bring(settings, store, id, known)?,
    };
    let (files, bytes) = snapshot::size(&fetched.path).map_err(|error| Trouble::store(&fetched.path, &error))?;
    Ok(FetchedInput { fetched, before: before.map(|before| before.commit), files, bytes })
}

/// Downloads a repository's files into the cache (unless offline), and publishes a snapshot of them in the store.
fn bring(settings: &Settings, store: &Path, id: &HubId, known: Option<Commit>) -> Result<Fetched, Trouble> {
    // A file may be the same as at the last commit, so what is known of its bytes is reused.
    let last = snapshot::commit(store, id).and_then(|commit| snapshot::checked(store, id, &commit));
    let mut checked = last.unwrap_or_default();
    let (commit, files) = if settings.is_offline {
        let (commit, files) = settings.cached(id, known)?;
        check(id, &files, &mut checked)?;
        (commit, files)
    } else {
        download(settings, id, known, &mut checked)?
    };
    let names: HashSet<&RepoPath> = files.iter().map(|(name, _)| name).collect();
    checked.retain(|name| names.contains(name));
    snapshot::publish(store, id, &commit, &files, checked).map_err(|error| Trouble::store(store, &error))
}

/// Downloads a repository's missing files into the cache. Returns the commit, and all files by name in the repository.
fn download(
    settings: &Settings,
    id: &HubId,
    known: Option<Commit>,
    checked: &mut Checked,
) -> Result<(Commit, Files), Trouble> {
    settings.cache()?;
    let client = Client::new(settings)?;
    let listing = remote::list(&client, id, known.as_ref())?;
    let transfer = Transfer::new(&client, id, &listing.commit)?;
    let places: Vec<Option<PathBuf>> = listing.files.iter().map(|file| transfer.find(file, checked)).collect();
    let missing: Vec<_> =
        listing.files.iter().zip(&places).filter(|(_, place)| place.is_none()).map(|(file, _)| file).collect();
    if !missing.is_empty() {
        transfer.make_sure_of_room(&missing)?;
        let size = missing.iter().fold(0_u64, |sum, file| sum.saturating_add(file.size));
        let (commit, number) = (&listing.commit.as_str()[..12], count(missing.len(), "file"));
        ui::note(&format!("fetching {id} at {commit}: {number}, {}", bytes(size)));
    }
    let mut files = Vec::with_capacity(listing.files.len());
    for (file, place) in listing.files.iter().zip(places) {
        let place = place.map_or_else(|| transfer.fetch(file, checked), Ok)?;
        files.push((file.path.clone(), place));
    }
    transfer.write_ref()?;
    Ok((listing.commit, files))
}

/// Checks files that other programs have put into the cache against the hashes in their blobs' names. On a disk without
/// symbolic links the files have no such names; then the user gets a note.
fn check(id: &HubId, files: &Files, checked: &mut Checked) -> Result<(), Trouble> {
    let mut unknown = 0;
    for (name, path) in files {
        let disk = |error: std::io::Error| Trouble::disk(path, &error);
        let target = fs_err::canonicalize(path).map_err(disk)?;
        let hash = target.file_name().and_then(|name| BlobHash::parse(name.to_str()?));
        unknown += usize::from(hash.is_none());
        if !checked.check(name, path, hash.as_ref()).map_err(disk)? {
            return Err(Trouble::spoilt_cache(&target));
        }
    }
    if unknown > 0 {
        let files = count(unknown, "file");
        ui::note(&format!(
            "{files} of {id} in the cache cannot be checked: nothing there says which bytes they should have"
        ));
    }
    Ok(())
}
