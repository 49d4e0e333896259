//! Applying a workflow: one loop over one channel of events, and as many attempts side by side as there are slots.
//!
//! [`dispatcher`] decides what must run, [`queue`] what may start, [`retry`] sees one stage through its attempts.

mod dispatcher;
pub(crate) mod launch;
mod queue;
mod retry;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use store::{Digest, Store};
use tokio::sync::{mpsc, watch};

use crate::event::Event;
use crate::exec::{Executor, keeper};
use crate::plan;
use crate::pools::TooMuch;
use crate::run::Run;
use crate::select::{NoStage, Selection};
use crate::worker::cache::CacheDir;
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
    #[error(transparent)]
    NoStage(#[from] NoStage),
    /// The worker cannot be asked about the stages.
    #[error(transparent)]
    Worker(#[from] crate::worker::ask::Error),
    /// A stage needs more than the machine has.
    #[error(transparent)]
    TooMuch(#[from] TooMuch),
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
    /// Where answers of workers are remembered.
    pub cache_dir: CacheDir,
    /// Where workers run.
    pub executor: &'static dyn Executor,
    /// Attempts side by side.
    pub slots: usize,
    /// CPU threads of a stage that does not say how many cores it needs.
    pub threads: usize,
    /// What there is of each pool, GPUs aside.
    pub pools: BTreeMap<String, u64>,
    /// GPUs to lend, by the names that CUDA knows them by.
    pub gpus: Vec<String>,
    /// What to bring up to date.
    pub selection: Selection,
    /// Start nothing new once a stage has failed; else what does not need it goes on.
    pub fail_fast: bool,
    /// Time without a sign of life after which a worker counts as hung.
    pub silence: Duration,
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
    /// Fingerprints of what is done, by stage: the store has their records.
    pub done: BTreeMap<String, Digest>,
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
    let begun = Instant::now();
    dispatcher.begin();
    loop {
        let has_settled = dispatcher.advance()?;
        // Events come before the ends of attempts that sent them.
        tell(&mut receiver, &mut run, &mut on_event)?;
        if !has_settled {
            continue;
        }
        if dispatcher.is_idle() {
            break;
        }
        tokio::select! {
            biased;
            Some(event) = receiver.recv() => {
                run.record(std::slice::from_ref(&event))?;
                on_event(&event);
            }
            ended = dispatcher.wait_for_an_end() => ended?,
        }
    }
    keeper::rest();
    let summary = dispatcher.finish(begun.elapsed());
    tell(&mut receiver, &mut run, &mut on_event)?;
    Ok(summary)
}

/// Records what has happened, and says it.
fn tell(
    receiver: &mut mpsc::UnboundedReceiver<Event>,
    run: &mut Run,
    on_event: &mut impl FnMut(&Event),
) -> std::io::Result<()> {
    let mut events = Vec::new();
    while let Ok(event) = receiver.try_recv() {
        events.push(event);
    }
    run.record(&events)?;
    // On the disk before anybody hears of it.
    run.flush()?;
    events.iter().for_each(on_event);
    Ok(())
}
