//! Applying a workflow: one loop over one channel of events, and as many attempts side by side as there are slots.
//!
//! [`dispatcher`] decides what may start, [`retry`] sees one stage through its attempts.

mod dispatcher;
mod retry;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Instant;

use petgraph::Direction;
use petgraph::graph::NodeIndex;
use store::{Record, Store};
use tokio::sync::{mpsc, watch};

use crate::event::Event;
use crate::exec::Executor;
use crate::plan;
use crate::run::Run;
use crate::workflow::Workflow;
use dispatcher::Dispatcher;

/// Why an apply cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The plan cannot be made.
    #[error(transparent)]
    Plan(#[from] plan::Error),
    /// The store refused.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The run's history cannot be written.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// A stage that the user named is not there.
    #[error("the workflow has no stage `{name}`")]
    NoStage {
        /// What was asked for.
        name: String,
        /// Names that would do.
        known: Vec<String>,
    },
}

/// What a user may ask of running attempts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Halt {
    /// Go on.
    #[default]
    Run,
    /// Save a checkpoint and leave.
    Stop,
    /// Leave at once.
    Kill,
}

/// How to apply.
#[derive(Clone)]
pub struct Options {
    /// The worker's program.
    pub worker: PathBuf,
    /// Where workers run.
    pub executor: &'static dyn Executor,
    /// Attempts side by side.
    pub slots: usize,
    /// CPU threads of each.
    pub threads: usize,
    /// `cpu` or `cuda:N`.
    pub device: String,
    /// Run these stages and what they need; all, if empty.
    pub until: Vec<String>,
    /// Run these stages even if they are fresh.
    pub force: Vec<String>,
    /// Changed by the caller, for example at Ctrl-C.
    pub halt: watch::Receiver<Halt>,
}

/// What came of an apply.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// The run's id.
    pub run: String,
    /// Stages that ran to their end.
    pub ran: Vec<String>,
    /// Stages that were fresh.
    pub fresh: Vec<String>,
    /// Stages that failed, and why.
    pub failed: Vec<(String, String)>,
    /// Stages that were stopped, or that wait for one that was or failed.
    pub left: Vec<String>,
    /// Records of what is done, by stage.
    pub records: BTreeMap<String, Record>,
    /// Wall time in seconds.
    pub seconds: f64,
}

/// Brings a workflow up to date. `on_event` sees everything that happens, in order.
pub async fn apply(
    workflow: &Workflow,
    store: &Store,
    options: &Options,
    mut on_event: impl FnMut(&Event),
) -> Result<Summary, Error> {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    store.sweep_attempts()?;
    let mut run = Run::begin(store)?;
    let mut dispatcher = Dispatcher::new(workflow, store, options, &run, sender)?;
    let mut tell = |event: Event| {
        let recorded = run.record(&event);
        on_event(&event);
        recorded
    };
    let begun = Instant::now();
    dispatcher.begin();
    loop {
        dispatcher.advance()?;
        // Events come before the ends of attempts that sent them.
        while let Ok(event) = receiver.try_recv() {
            tell(event)?;
        }
        if dispatcher.is_idle() {
            break;
        }
        tokio::select! {
            biased;
            Some(event) = receiver.recv() => tell(event)?,
            () = dispatcher.wait_for_an_end() => {}
        }
    }
    let summary = dispatcher.finish(begun.elapsed());
    while let Ok(event) = receiver.try_recv() {
        tell(event)?;
    }
    Ok(summary)
}

fn named(workflow: &Workflow, names: &[String]) -> Result<BTreeSet<NodeIndex>, Error> {
    let mut nodes = BTreeSet::new();
    for name in names {
        let family = format!("{name}/");
        let matching: Vec<NodeIndex> = workflow
            .graph
            .node_indices()
            .filter(|node| {
                let stage = &workflow.graph[*node].name.0;
                stage == name || stage.starts_with(&family)
            })
            .collect();
        if matching.is_empty() {
            let known = workflow.graph.node_weights().map(|stage| stage.name.to_string()).collect();
            return Err(Error::NoStage { name: name.clone(), known });
        }
        nodes.extend(matching);
    }
    Ok(nodes)
}

/// The stages that `until` names with all that they need; every stage where it names none.
fn wanted(workflow: &Workflow, until: &[String]) -> Result<BTreeSet<NodeIndex>, Error> {
    if until.is_empty() {
        return Ok(workflow.graph.node_indices().collect());
    }
    let mut wanted = BTreeSet::new();
    let mut open: Vec<NodeIndex> = named(workflow, until)?.into_iter().collect();
    while let Some(node) = open.pop() {
        if wanted.insert(node) {
            open.extend(workflow.graph.neighbors_directed(node, Direction::Incoming));
        }
    }
    Ok(wanted)
}
