//! The dispatcher: decides which stages are settled and which may start.
//!
//! Just before a stage starts, its action is made from the digests that its inputs really have. If there is a record
//! under that fingerprint, the stage is fresh. So a stage that ran again and gave the same bytes causes no further runs
//! (early cutoff).
//!
//! ```text
//! waiting ─ all before it are done ─▶ ready ─▶ fresh ─────────────────────────────▶ done
//!                                       └────▶ queued ─ a slot is free ─▶ running ─▶ done | left, with all downstream
//! ```
//! Every stage and every edge is visited once, so the work is linear in the size of the workflow. All of it is
//! bookkeeping and quick lookups. Queries that read objects or ask the worker run elsewhere ([`Looks`]), while events
//! of running attempts are handled.

mod results;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use petgraph::Direction;
use petgraph::graph::NodeIndex;
use store::{Digest, Glance, Outputs, Store};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};

use super::launch::{inputs, job, machine};
use super::looks::{Found, Looks};
use super::queue::{Queue, Start};
use super::retry::work;
use super::{Error, Halt, Options, Summary};
use crate::action::{Action, artifact, fingerprint};
use crate::attempt::{Ended, Job, Made, Purpose};
use crate::event::{Event, Level};
use crate::mistakes::asks;
use crate::plan::check_fetched;
use crate::pools::{Pools, needs};
use crate::run::{Run, source};
use crate::select::{Selected, select};
use crate::workflow::{Reference, Target, Workflow, import};

/// Time for which results are gathered while other stages run, so that one sync makes all of them durable.
const GATHERING: Duration = Duration::from_millis(50);

/// Most stages that are looked up before their events are reported.
const AT_A_TIME: usize = 500;

/// Time that quick lookups of so many stages may take; most disks need a tenth of it.
const GLANCING: Duration = Duration::from_millis(50);

/// What is to be brought up to date, checked before a run begins.
pub(super) struct Wanted {
    pub(super) selected: Selected,
    pools: Pools,
}

impl Wanted {
    /// Returns an error if the selection, hub inputs or pools do not allow the run.
    pub(super) fn of(workflow: &Workflow, options: &Options) -> Result<Self, Error> {
        let selected = select(workflow, &options.selection)?;
        check_fetched(workflow, &options.selection)?;
        let pools = Pools::new(&options.pools, &options.gpus);
        pools.check(workflow, options.threads)?;
        Ok(Self { selected, pools })
    }
}

pub(super) struct Dispatcher<'a> {
    workflow: &'a Workflow,
    store: &'a Store,
    options: &'a Options,
    run_dir: PathBuf,
    run_id: String,
    /// Digests of the workflow's inputs.
    inputs: BTreeMap<String, Digest>,
    nodes: HashMap<&'a str, NodeIndex>,
    selected: Selected,
    /// Stages that wait for upstream stages, with the number of these.
    waiting: HashMap<NodeIndex, usize>,
    ready: BTreeSet<NodeIndex>,
    /// Stages waiting to run, and running ones.
    queue: Queue,
    looks: Looks,
    /// Whether the store is too slow for quick lookups on this thread.
    is_slow: bool,
    /// Whether the worker has been asked about the stages that are not fresh.
    has_asked: bool,
    /// Outputs of stages that are done.
    done: HashMap<NodeIndex, Outputs>,
    attempts: JoinSet<(NodeIndex, Arc<Job>, Ended)>,
    /// Most attempts at once: fewer than the user allows if there are not enough file descriptors.
    slots: usize,
    /// Results that have yet to be synced, and when the sync must begin.
    unsynced: Vec<Made>,
    sync_at: Instant,
    /// Syncs under way, while the stages downstream already run.
    syncs: JoinSet<Result<(), store::Error>>,
    /// The channel for events of attempts, and the dispatcher's own events that have yet to be reported.
    events: mpsc::Sender<Event>,
    told: Vec<Event>,
    summary: Summary,
}

impl<'a> Dispatcher<'a> {
    pub(super) fn new(
        (workflow, store, options): (&'a Workflow, &'a Store, &'a Options),
        Wanted { selected, pools }: Wanted,
        inputs: BTreeMap<String, Digest>,
        run: &Run,
        events: mpsc::Sender<Event>,
    ) -> Self {
        // Everything upstream of these stages is among them, so each incoming edge counts.
        let before = |node| workflow.graph.neighbors_directed(node, Direction::Incoming).count();
        let nodes = selected.wanted.iter().chain(&selected.given).copied();
        let num_stages = selected.wanted.len() + selected.given.len();
        let (ready, waiting): (Vec<_>, Vec<_>) =
            nodes.map(|node| (node, before(node))).partition(|(_, count)| *count == 0);
        Self {
            workflow,
            store,
            options,
            run_dir: run.dir().to_owned(),
            run_id: run.id.clone(),
            inputs,
            nodes: workflow.graph.node_indices().map(|node| (workflow.graph[node].name.0.as_str(), node)).collect(),
            selected,
            waiting: waiting.into_iter().collect(),
            ready: ready.into_iter().map(|(node, _)| node).collect(),
            queue: Queue::new(pools),
            looks: Looks::default(),
            is_slow: false,
            has_asked: false,
            done: HashMap::with_capacity(num_stages),
            attempts: JoinSet::new(),
            slots: options.slots,
            unsynced: Vec::new(),
            sync_at: Instant::now(),
            syncs: JoinSet::new(),
            events,
            told: Vec::new(),
            summary: Summary::default(),
        }
    }

    pub(super) fn begin(&mut self) {
        self.summary.run.clone_from(&self.run_id);
        let store::Source { file, sets, .. } = source(self.store, self.workflow);
        self.tell(Event::RunStarted {
            workflow: self.workflow.name.clone(),
            file,
            sets,
            device: self.workflow.device,
            stages: self.selected.wanted.len(),
            pid: std::process::id(),
            inputs: self
                .workflow
                .hub_inputs()
                .filter_map(|(name, input)| Some((name.to_owned(), input.version()?)))
                .collect(),
        });
    }

    /// Takes the dispatcher's own events.
    pub(super) fn told(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.told)
    }

    /// Handles an event of an attempt: after a new checkpoint, old answers about checkpoints are stale.
    pub(super) fn hear(&mut self, event: &Event) {
        if matches!(event, Event::Checkpoint { .. }) {
            self.queue.ask_anew();
        }
    }

    /// Does everything that can be done without waiting. First it looks up which of the stages with known inputs are
    /// fresh, [`AT_A_TIME`] at once, so that the events of ten thousand stages are not in memory together. Then it
    /// starts attempts while there are slots.
    pub(super) fn advance(&mut self) -> Result<(), Error> {
        let is_halted = *self.options.halt.borrow() != Halt::Run;
        if is_halted || self.options.fail_fast && !self.summary.failed.is_empty() {
            self.leave_all();
        }
        // Nothing starts before all ready stages are queued, because two of them may have work in common.
        if !self.looks.is_empty() {
            return Ok(());
        }
        if !self.ready.is_empty() {
            self.look_at_ready()?;
        }
        if !self.looks.is_empty() || !self.ready.is_empty() {
            return Ok(());
        }
        if !self.queue.is_empty() && !std::mem::replace(&mut self.has_asked, true) {
            self.ask_worker();
            return Ok(());
        }
        while self.attempts.len() < self.slots {
            let mut held = Vec::new();
            let start = self.queue.start(|node, by| held.push((node, by)));
            for (node, by) in held {
                let message = format!("waits for `{}`, which runs steps or rows that both share", self.name(by));
                self.tell(Event::Note { stage: self.name(node), level: Level::Info, message });
            }
            let Some(start) = start else { break };
            self.launch(start);
        }
        let questions = self.queue.questions();
        if !questions.is_empty() {
            self.looks.resumable(self.store.clone(), questions);
        }
        Ok(())
    }

    /// Settles the stages that a quick lookup decides, and those that become ready by it. Starts a query for the rest.
    fn look_at_ready(&mut self) -> Result<(), Error> {
        let begun = Instant::now();
        let mut unsure = Vec::new();
        for _ in 0..AT_A_TIME {
            let Some(node) = self.ready.pop_first() else { break };
            let fingerprint = fingerprint(&self.workflow.graph[node], |reference| self.resolve(reference));
            self.is_slow |= begun.elapsed() > GLANCING;
            match if self.is_slow { Glance::Unsure } else { self.store.glance(&fingerprint)? } {
                Glance::Fresh(outputs) => self.settle(node, fingerprint, Some(outputs)),
                Glance::Stale => self.settle(node, fingerprint, None),
                Glance::Unsure => unsure.push((node, fingerprint)),
            }
        }
        if !unsure.is_empty() {
            self.looks.fresh(self.store.clone(), unsure);
        }
        Ok(())
    }

    /// Asks the worker about all stages that are not fresh, before the first one starts.
    fn ask_worker(&mut self) {
        let not_fresh = self.selected.wanted.iter().filter(|node| !self.done.contains_key(node));
        let not_fresh = not_fresh.map(|node| self.workflow.graph[*node].name.clone()).collect();
        let Options { worker, cache_dir, .. } = self.options;
        self.looks.checked((worker.clone(), cache_dir.clone()), asks(self.workflow, &not_fresh));
    }

    fn act_on(&mut self, found: Found) {
        match found {
            Found::Fresh(stages) => stages.into_iter().for_each(|(node, fingerprint, outputs)| {
                self.settle(node, fingerprint, outputs);
            }),
            Found::Checked(answers) => self.take_checked(answers),
            Found::Resumable(answers) => {
                for (node, resumable) in answers {
                    self.queue.answer(node, resumable);
                }
            }
        }
    }

    /// Returns whether nothing is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.attempts.is_empty() && self.unsynced.is_empty() && self.syncs.is_empty() && self.looks.is_empty()
    }

    /// Returns whether there is more to do without waiting.
    pub(super) fn has_more(&self) -> bool {
        self.looks.is_empty() && !self.ready.is_empty()
    }

    /// Waits until an attempt has ended, a query has a result, or a sync is complete. Cancel safe: it can be dropped
    /// and called again.
    pub(super) async fn wait_for_an_end(&mut self) -> Result<(), Error> {
        if self.attempts.is_empty() && self.looks.is_empty() {
            self.sync();
        }
        tokio::select! {
            Some(ended) = self.attempts.join_next() => {
                let (node, job, ended) = ended.unwrap_or_else(|error| panicked(error));
                self.end(node, &job, ended);
                Ok(())
            }
            Some(found) = self.looks.next() => {
                self.act_on(found?);
                Ok(())
            }
            Some(synced) = self.syncs.join_next() => Ok(synced.unwrap_or_else(|error| panicked(error))?),
            () = sleep_until(self.sync_at), if !self.unsynced.is_empty() => {
                self.sync();
                Ok(())
            }
            else => Ok(()),
        }
    }

    pub(super) fn finish(mut self, elapsed: Duration) -> (Summary, Vec<Event>) {
        self.summary.seconds = elapsed.as_secs_f64();
        self.tell(Event::RunFinished {
            ran: self.summary.ran.len(),
            fresh: self.summary.fresh.len(),
            failed: self.summary.failed.len(),
            left: self.summary.left.len(),
            seconds: self.summary.seconds,
        });
        (std::mem::take(&mut self.summary), self.told())
    }

    fn tell(&mut self, event: Event) {
        self.told.push(event);
    }

    fn name(&self, node: NodeIndex) -> String {
        self.workflow.graph[node].name.0.clone()
    }

    fn resolve(&self, reference: &Reference) -> serde_json::Value {
        artifact(reference.artifact, &self.digest(reference), &import(self.workflow, reference, &self.inputs))
    }

    fn settle(&mut self, node: NodeIndex, fingerprint: Digest, outputs: Option<Outputs>) {
        match outputs.filter(|_| !self.selected.forced.contains(&node)) {
            Some(outputs) => self.take_fresh(node, fingerprint, outputs),
            None if self.selected.given.contains(&node) => self.refuse(node),
            None => {
                let stage = &self.workflow.graph[node];
                let action = Action::of(stage, |reference| self.resolve(reference));
                let needs = needs(stage, self.options.threads);
                self.queue.push(node, action.into(), fingerprint, needs);
            }
        }
    }

    fn digest(&self, reference: &Reference) -> Digest {
        match &reference.target {
            Target::Input(name) => self.inputs[name],
            Target::Output { stage, output } => {
                let outputs = &self.done[&self.nodes[stage.0.as_str()]];
                outputs.iter().find(|(name, _)| name == output).expect("a stage that is done has all outputs").1
            }
        }
    }

    /// Starts a sync of the gathered results.
    fn sync(&mut self) {
        if !self.unsynced.is_empty() {
            let all = std::mem::take(&mut self.unsynced);
            self.syncs.spawn_blocking(move || Made::sync(all));
        }
    }

    fn launch(&mut self, start: Start) {
        let Start { node, action, fingerprint, checkpoint_at, lent } = start;
        let stage = &self.workflow.graph[node];
        let machine = machine(stage, &lent, checkpoint_at, self.options);
        let inputs = inputs(self.workflow, stage, &self.inputs, |reference| self.digest(reference));
        let purpose = if self.selected.forced.contains(&node) { Purpose::Forced } else { Purpose::Make };
        let decided = (action, fingerprint);
        let source = source(self.store, self.workflow);
        let job = job((self.workflow, source), &self.run_dir, stage, decided, (&lent, machine), inputs, purpose);
        let (store, options, events) = (self.store.clone(), self.options.clone(), self.events.clone());
        self.attempts.spawn(async move {
            let ended = work(&job, &store, &options, &events).await;
            (node, job, ended)
        });
    }
}

impl Drop for Dispatcher<'_> {
    /// Syncs what is recorded, even if the run ends with an error.
    fn drop(&mut self) {
        if let Err(error) = Made::sync(std::mem::take(&mut self.unsynced)) {
            tracing::warn!(%error, "a power cut may take what has just been recorded");
        }
    }
}

fn panicked(error: JoinError) -> ! {
    std::panic::resume_unwind(error.into_panic())
}
