//! Looks into the store and questions to the worker, off the engine's thread: what is fresh, what could not run, from where
//! training can go on.
//!
//! One at a time, and what it finds is acted on by the dispatcher alone.

use std::path::PathBuf;
use std::sync::Arc;

use petgraph::graph::NodeIndex;
use store::{Digest, Outputs, Store};
use tokio::task::JoinSet;

use super::Error;
use crate::action::Action;
use crate::trajectory::resumable;
use crate::worker::ask;
use crate::worker::cache::CacheDir;
use crate::worker::protocol::{CheckRequest, Refusal};

/// What a look has found.
pub(super) enum Found {
    /// Of stages with their fingerprints, the outputs of those that are fresh.
    Fresh(Vec<(NodeIndex, Digest, Option<Outputs>)>),
    /// Stages that could not run, and why.
    Refused(Vec<(NodeIndex, Refusal)>),
    /// The steps that checkpoints have done of stages.
    Resumable(Vec<(NodeIndex, Option<u64>)>),
}

/// The look that is under way, if any.
#[derive(Default)]
pub(super) struct Looks {
    looks: JoinSet<Result<Found, Error>>,
    /// Stages of which it is to tell whether they are fresh.
    unsettled: Vec<NodeIndex>,
}

impl Looks {
    pub(super) fn is_empty(&self) -> bool {
        self.looks.is_empty()
    }

    /// Waits for it no longer, however long it may take, and returns the stages that it leaves unsettled.
    pub(super) fn abandon(&mut self) -> Vec<NodeIndex> {
        self.looks.detach_all();
        std::mem::take(&mut self.unsettled)
    }

    /// Waits for what is found; nothing where no look is under way. Safe to drop and call again.
    pub(super) async fn next(&mut self) -> Option<Result<Found, Error>> {
        let found = self.looks.join_next().await?;
        self.unsettled.clear();
        Some(found.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic())))
    }

    /// Looks which of these stages are fresh.
    pub(super) fn fresh(&mut self, store: Store, stages: Vec<(NodeIndex, Digest)>) {
        self.unsettled = stages.iter().map(|(node, _)| *node).collect();
        self.looks.spawn_blocking(move || {
            let look =
                |(node, fingerprint): (NodeIndex, Digest)| Ok((node, fingerprint, store.fresh_outputs(&fingerprint)?));
            Ok(Found::Fresh(stages.into_iter().map(look).collect::<Result<_, store::Error>>()?))
        });
    }

    /// Asks the worker which of these stages could not run.
    pub(super) fn refused(
        &mut self,
        (worker, cache_dir): (PathBuf, CacheDir),
        (nodes, requests): (Vec<NodeIndex>, Vec<CheckRequest>),
    ) {
        self.looks.spawn_blocking(move || {
            let answers = ask::check(&worker, &cache_dir, requests.into_iter())?;
            Ok(Found::Refused(
                nodes.into_iter().zip(answers).filter_map(|(node, answer)| Some((node, answer?))).collect(),
            ))
        });
    }

    /// Looks from where these stages could go on.
    pub(super) fn resumable(&mut self, store: Store, stages: Vec<(NodeIndex, Arc<Action>)>) {
        self.looks.spawn_blocking(move || {
            let look = |(node, action): (NodeIndex, Arc<Action>)| Ok((node, resumable(&store, &action)?));
            Ok(Found::Resumable(stages.into_iter().map(look).collect::<Result<_, store::Error>>()?))
        });
    }
}
