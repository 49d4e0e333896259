//! The newest run that attempted a stage.

use anyhow::Result;
use engine::history::{self, History};
use store::Store;

use super::look::Named;

/// Returns the newest run of the stage's workflow that attempted it, with the events about the stage. With `--set`, only
/// a run with these values counts.
pub(crate) fn last_attempt(store: &Store, named: &Named) -> Result<Option<History>> {
    let Some(source) = &named.source else { return Ok(None) };
    let has_sets = |history: &History| {
        let is_same = || history.begun().is_some_and(|begun| begun.sets == source.sets);
        source.sets.is_empty() || is_same() || named.fingerprint == history.attempted(&named.stage)
    };
    let fresh = named.fingerprint.filter(|_| named.record.is_some());
    // For a fresh stage, only attempts at the fresh result count.
    let is_meant = |history: &History| match (history.attempted(&named.stage), fresh) {
        (Some(attempted), Some(fresh)) => attempted == fresh,
        (attempted, None) => attempted.is_some(),
        (None, Some(_)) => false,
    };
    Ok(history::newest_first_about(store, &named.stage)?
        .find(|one| one.is_of(&source.file) && is_meant(one) && has_sets(one)))
}

/// Does the same as [`last_attempt`], but returns `None` if the stage is fresh or finished in that run.
pub(crate) fn unfinished(store: &Store, named: &Named) -> Result<Option<History>> {
    if named.record.is_some() {
        return Ok(None);
    }
    Ok(last_attempt(store, named)?.filter(|history| history.settled(&named.stage).is_none()))
}
