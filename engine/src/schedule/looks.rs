//! Queries to the store and to the worker, off the engine's thread: which stages are fresh, which could not run, and
//! from which step training can resume.
//!
//! One query runs at a time, and only the dispatcher acts on its result.

use std::path::PathBuf;
use std::sync::Arc;

use petgraph::graph::NodeIndex;
use store::{Digest, Outputs, Store};
use tokio::task::JoinSet;

use super::Error;
use crate::action::Action;
use crate::prefix::resumable;
use crate::worker::ask::{self, Ask};
use crate::worker::cache::CacheDir;
use crate::worker::check::Checked;

/// The result of a query.
pub(super) enum Found {
    /// Stages with their fingerprints, and their outputs if they are fresh.
    Fresh(Vec<(NodeIndex, Digest, Option<Outputs>)>),
    /// What the worker finds about stages.
    Checked(Vec<(NodeIndex, Checked)>),
    /// Stages, and the steps of the checkpoint that each can resume from.
    Resumable(Vec<(NodeIndex, Option<u64>)>),
}

/// The query that is running, if any.
#[derive(Default)]
pub(super) struct Looks {
    looks: JoinSet<Result<Found, Error>>,
    /// Stages that the running query checks for freshness.
    unsettled: Vec<NodeIndex>,
}

impl Looks {
    pub(super) fn is_empty(&self) -> bool {
        self.looks.is_empty()
    }

    /// Stops waiting for the running query, however long it may take, and returns the stages that it leaves unsettled.
    pub(super) fn abandon(&mut self) -> Vec<NodeIndex> {
        self.looks.detach_all();
        std::mem::take(&mut self.unsettled)
    }

    /// Waits for the result of the running query; `None` if there is none. Cancel safe: it can be dropped and called
    /// again.
    pub(super) async fn next(&mut self) -> Option<Result<Found, Error>> {
        let found = self.looks.join_next().await?;
        self.unsettled.clear();
        Some(found.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic())))
    }

    /// Starts a query: which of these stages are fresh?
    pub(super) fn fresh(&mut self, store: Store, stages: Vec<(NodeIndex, Digest)>) {
        self.unsettled = stages.iter().map(|(node, _)| *node).collect();
        self.looks.spawn_blocking(move || {
            let look =
                |(node, fingerprint): (NodeIndex, Digest)| Ok((node, fingerprint, store.fresh_outputs(&fingerprint)?));
            Ok(Found::Fresh(stages.into_iter().map(look).collect::<Result<_, store::Error>>()?))
        });
    }

    /// Starts a query to the worker: what does it find about these stages?
    pub(super) fn checked(
        &mut self,
        (worker, cache_dir): (PathBuf, CacheDir),
        (nodes, asks): (Vec<NodeIndex>, Vec<Ask>),
    ) {
        self.looks.spawn_blocking(move || {
            let answers = ask::check(&worker, &cache_dir, asks.into_iter())?;
            Ok(Found::Checked(nodes.into_iter().zip(answers).collect()))
        });
    }

    /// Starts a query: from which step can each of these stages resume?
    pub(super) fn resumable(&mut self, store: Store, stages: Vec<(NodeIndex, Arc<Action>)>) {
        self.looks.spawn_blocking(move || {
            let look = |(node, action): (NodeIndex, Arc<Action>)| Ok((node, resumable(&store, &action)?));
            Ok(Found::Resumable(stages.into_iter().map(look).collect::<Result<_, store::Error>>()?))
        });
    }
}
