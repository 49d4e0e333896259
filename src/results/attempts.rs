//! The newest run in which a stage was at work.

use anyhow::Result;
use engine::history::{self, History};
use store::Store;

use super::look::Named;

/// Returns the newest run of its workflow in which a stage was at work, with what it tells of the stage.
pub(crate) fn last_attempt(store: &Store, named: &Named) -> Result<Option<History>> {
    let Some(source) = &named.source else { return Ok(None) };
    let fresh = named.fingerprint.filter(|_| named.record.is_some());
    // Of one that is fresh other attempts are no matter.
    let is_meant = |history: &History| match (history.attempted(&named.stage), fresh) {
        (Some(attempted), Some(fresh)) => attempted == fresh,
        (attempted, None) => attempted.is_some(),
        (None, Some(_)) => false,
    };
    Ok(history::newest_first_about(store, &named.stage)?.find(|one| one.is_of(&source.file) && is_meant(one)))
}

/// Returns the same if the stage did not come to its end there, nor is it fresh.
pub(crate) fn unfinished(store: &Store, named: &Named) -> Result<Option<History>> {
    if named.record.is_some() {
        return Ok(None);
    }
    Ok(last_attempt(store, named)?.filter(|history| history.settled(&named.stage).is_none()))
}
