//! Trajectories: training as a chain of segments between checkpoints.
//!
//! Checkpoints are kept under (prefix fingerprint, step). The prefixes at steps n and n + 1 differ only if a
//! `from-step` is n. So an action has few prefixes, and each is a folder whose entries are named by their steps.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use store::{CheckpointRecord, Digest, Store};

use crate::action::Action;

/// Steps of a stage that can be run again and compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Steps done before it: 0, or those of a checkpoint that is kept.
    pub from: u64,
    /// The step at its end, and the digest of the training state there; `None` if it ends with the stage.
    pub to: Option<(u64, Digest)>,
}

impl Segment {
    /// Returns whether this step is its last.
    pub(crate) fn ends_at(&self, step: u64) -> bool {
        self.to.is_some_and(|(last, _)| last == step)
    }
}

/// Returns the steps of the furthest checkpoint in the store that an action can resume from.
pub fn resumable(store: &Store, action: &Action) -> Result<Option<u64>, store::Error> {
    Ok(find_checkpoint(store, action, u64::MAX)?.map(|checkpoint| checkpoint.step))
}

/// Returns the furthest usable checkpoint of an action with at most `most` steps.
pub fn find_checkpoint(store: &Store, action: &Action, most: u64) -> Result<Option<CheckpointRecord>, store::Error> {
    for (key, steps) in prefixes(action, most).into_iter().rev() {
        for step in store.checkpoint_steps(&key)?.into_iter().rev().filter(|step| steps.contains(step)) {
            if let Some(checkpoint) = store.checkpoint(&key, step)? {
                return Ok(Some(checkpoint));
            }
        }
    }
    Ok(None)
}

/// Returns the segments of an action that can be run again: one from its beginning and one from each checkpoint that is
/// kept, to the next step whose state is on record.
pub fn segments(store: &Store, action: &Action) -> Result<Vec<Segment>, store::Error> {
    let (mut starts, mut states) = (vec![0], BTreeMap::new());
    for (key, steps) in prefixes(action, u64::MAX) {
        for (step, digest) in store.checkpoint_digests(&key)?.into_iter().filter(|(step, _)| steps.contains(step)) {
            states.insert(step, digest);
            starts.extend(store.checkpoint(&key, step)?.map(|_| step));
        }
    }
    // A segment to the last step is compared by its outputs, not by a state.
    let end = action.extent().unwrap_or(0);
    states.retain(|step, _| *step < end);
    starts.retain(|start| *start < end.max(1));
    let next = |from: u64| states.range(from + 1..).next().map(|(step, digest)| (*step, *digest));
    Ok(starts.into_iter().map(|from| Segment { from, to: next(from) }).collect())
}

/// Returns the prefix fingerprints of an action for up to `most` steps, each with the range of steps that it covers.
pub(crate) fn prefixes(action: &Action, most: u64) -> Vec<(Digest, RangeInclusive<u64>)> {
    let limit = action.extent().unwrap_or(u64::MAX).min(most);
    let mut bounds = action.from_steps();
    bounds.retain(|bound| *bound < limit);
    bounds.push(limit);
    let lower = std::iter::once(0).chain(bounds.iter().copied());
    lower.zip(&bounds).map(|(lower, upper)| (action.prefix_fingerprint(*upper), lower + 1..=*upper)).collect()
}
