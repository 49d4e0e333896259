//! Inputs from the Hugging Face hub: from an id in a workflow to a folder of plain files.
//!
//! ```text
//! settings.rs  what HF_HOME, HF_TOKEN and their like say
//! remote.rs    what a repository has, as the hub tells, and what of that is needed
//! transfer.rs  bytes, into the cache that all programs of Hugging Face share
//! snapshot.rs  what a store has fetched: branches and their commits, folders of links into the cache
//! trouble.rs   what may go wrong, and what to do about it
//! ```
//! The idea to know: a store keeps for each branch the commit that it found, and goes on with that until somebody says
//! `r1flow fetch`. Workers get a folder that holds exactly the files that are needed, whatever else the cache has, so
//! that its digest is the same everywhere. Only this folder speaks HTTP, and only when something is to be fetched.

mod remote;
mod settings;
mod snapshot;
mod transfer;
mod trouble;

use std::path::{Path, PathBuf};

use engine::workflow::hub::{Fetched, HubId};

pub(crate) use settings::Settings;
pub(crate) use snapshot::find;
pub(crate) use trouble::Trouble;

use crate::ui::{self, bytes, count};
use transfer::Client;

/// What came of fetching an input.
pub(crate) struct Outcome {
    pub(crate) fetched: Fetched,
    /// The commit whose files the store had before.
    pub(crate) before: Option<String>,
    pub(crate) files: usize,
    pub(crate) bytes: u64,
}

/// Fetches what is missing of an input, at the commit that the store has already found if there is one.
pub(crate) fn fetch_missing(settings: &Settings, store: &Path, id: &HubId) -> Result<Outcome, Trouble> {
    fetch(settings, store, id, snapshot::commit(store, id))
}

/// Fetches an input, and asks the hub whether its branch has moved.
pub(crate) fn fetch_newest(settings: &Settings, store: &Path, id: &HubId) -> Result<Outcome, Trouble> {
    let known = snapshot::commit(store, id).filter(|_| id.is_commit() || settings.is_offline);
    fetch(settings, store, id, known)
}

fn fetch(settings: &Settings, store: &Path, id: &HubId, known: Option<String>) -> Result<Outcome, Trouble> {
    let before = find(store, id);
    let whole = before.clone().filter(|_| known.is_some());
    let fetched = match (whole, settings.is_offline) {
        (Some(whole), _) => whole,
        (None, true) => {
            let (commit, files) = settings.cached(id, known)?;
            publish(store, id, &commit, &files)?
        }
        (None, false) => {
            let (commit, files) = download(settings, id, known)?;
            publish(store, id, &commit, &files)?
        }
    };
    let (files, bytes) = snapshot::size(&fetched.path).map_err(|error| Trouble::disk(&fetched.path, &error))?;
    Ok(Outcome { fetched, before: before.map(|before| before.commit), files, bytes })
}

/// Brings a repository's files into the cache; returns them with their names in the repository.
fn download(
    settings: &Settings,
    id: &HubId,
    known: Option<String>,
) -> Result<(String, Vec<(String, PathBuf)>), Trouble> {
    let client = Client::new(settings);
    let listing = remote::list(&client, id, known.as_deref())?;
    let commit = &listing.commit;
    let missing = listing.files.iter().filter(|file| !client.is_there(id, commit, file));
    let (number, size) = missing.fold((0, 0), |(number, size), file| (number + 1, size + file.size));
    if number > 0 {
        ui::note(&format!("fetching {id} at {}: {}, {}", &commit[..12], count(number, "file"), bytes(size)));
    }
    let mut files = Vec::with_capacity(listing.files.len());
    for file in &listing.files {
        files.push((file.path.clone(), client.fetch(id, commit, file)?));
    }
    settings.write_ref(id, commit)?;
    Ok((listing.commit, files))
}

fn publish(store: &Path, id: &HubId, commit: &str, files: &[(String, PathBuf)]) -> Result<Fetched, Trouble> {
    snapshot::publish(store, id, commit, files).map_err(|error| Trouble::disk(store, &error))
}
