//! Applies a workflow: one loop over one channel of events, and as many attempts at once as there are slots.
//!
//! [`dispatcher`] decides what must run, [`queue`] what may start, and [`retry`] runs the attempts of one stage. All of
//! it is on one thread, on which nothing takes long: see [`crate::blocking`].

mod dispatcher;
pub(crate) mod launch;
mod looks;
mod queue;
mod retry;

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use store::{Digest, Store};
use tokio::sync::mpsc;

use crate::attempt::WAITING;
use crate::blocking::off_thread;
use crate::event::Event;
use crate::exec::keeper;
use crate::options::{Halt, Options};
use crate::plan::{self, hash_each, to_hash};
use crate::pools::TooMuch;
use crate::run::Run;
use crate::select::NoStage;
use crate::workflow::Workflow;
use dispatcher::{Dispatcher, Wanted};

/// Why an apply cannot continue.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The plan cannot be made.
    #[error(transparent)]
    Plan(#[from] plan::Error),
    /// The store returned an error.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The run's history cannot be written.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// A stage that the user named does not exist.
    #[error(transparent)]
    NoStage(#[from] NoStage),
    /// The worker cannot check the stages.
    #[error(transparent)]
    Worker(#[from] crate::worker::ask::Error),
    /// A stage needs more than the machine has.
    #[error(transparent)]
    TooMuch(#[from] TooMuch),
}

/// The result of an apply.
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
    /// Whether nothing ran, because the workflow has mistakes that the worker found.
    pub is_refused: bool,
    /// Stages that were stopped or not started, for example because an upstream stage failed.
    pub left: Vec<String>,
    /// Fingerprints of the stages that ran or were fresh, by name; the store has their records.
    pub done: HashMap<String, Digest>,
    /// Wall time in seconds.
    pub seconds: f64,
}

/// Brings a workflow up to date. `on_event` receives every event, in order; if steps are faster than it is, some
/// progress events are skipped.
pub async fn apply(
    workflow: &Workflow,
    store: &Store,
    options: &Options,
    mut on_event: impl FnMut(&Event),
) -> Result<Summary, Error> {
    let begun = Instant::now();
    let wanted = Wanted::of(workflow, options)?;
    let Some(inputs) = look_at_inputs(workflow, store, options).await? else {
        let left = wanted.selected.wanted.iter().map(|node| workflow.graph[*node].name.to_string()).collect();
        return Ok(Summary { left, seconds: begun.elapsed().as_secs_f64(), ..Summary::default() });
    };
    let (sender, mut receiver) = mpsc::channel(WAITING);
    // Begun only after the checks, so that a rejected apply leaves no run behind.
    let mut run = Run::begin(store)?;
    let mut dispatcher = Dispatcher::new((workflow, store, options), wanted, inputs, &run, sender);
    dispatcher.begin();
    let mut first = None;
    loop {
        dispatcher.advance()?;
        // The events of an attempt are handled before its end.
        let mut events: Vec<Event> = first.take().into_iter().collect();
        while let Ok(event) = receiver.try_recv() {
            events.push(event);
        }
        for event in &events {
            dispatcher.hear(event);
        }
        events.extend(dispatcher.told());
        tell(&events, &mut run, &mut on_event)?;
        if dispatcher.has_more() {
            tokio::task::yield_now().await;
            continue;
        }
        if dispatcher.is_idle() {
            break;
        }
        tokio::select! {
            biased;
            Some(event) = receiver.recv() => first = Some(event),
            ended = dispatcher.wait_for_an_end() => ended?,
        }
    }
    keeper::rest();
    let (summary, events) = dispatcher.finish(begun.elapsed());
    tell(&events, &mut run, &mut on_event)?;
    Ok(summary)
}

/// Removes what killed engines have left, announces this engine to other processes, and returns the digests of the
/// workflow's inputs; `None` if the user stops the run before these are known.
pub(crate) async fn look_at_inputs(
    workflow: &Workflow,
    store: &Store,
    options: &Options,
) -> Result<Option<BTreeMap<String, Digest>>, Error> {
    let (inputs, store, mut halt) = (to_hash(workflow), store.clone(), options.halt.clone());
    tokio::select! {
        digests = off_thread(move || {
            store.sweep_attempts()?;
            store.announce()?;
            store.look_through_journal()?;
            hash_each(inputs, &store)
        }) => Ok(Some(digests?)),
        Ok(_) = halt.wait_for(|halt| *halt != Halt::Run) => Ok(None),
    }
}

/// Writes events to the history, then passes them to `on_event`.
fn tell(events: &[Event], run: &mut Run, on_event: &mut impl FnMut(&Event)) -> std::io::Result<()> {
    run.record(events)?;
    // Events are in the file before anyone sees them.
    run.flush()?;
    events.iter().for_each(on_event);
    Ok(())
}
