//! The dispatcher: which stages are settled, which may start.
//!
//! Just before a stage starts, its action is made from the digests that its inputs really have. A record under that
//! fingerprint ends the matter, so a stage that ran again and gave the same bytes stops the wave there.
//!
//! ```text
//! waiting ─ all before it are done ─▶ ready ─▶ fresh ─────────────────────────────▶ done
//!                                       └────▶ queued ─ a slot is free ─▶ running ─▶ done | left, with all that follows
//! ```
//! Every stage and every edge is looked at once, so the work is linear in the workflow.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::time::Duration;

use petgraph::Direction;
use petgraph::graph::NodeIndex;
use store::{Digest, Outputs, StageLock, Store};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};

use super::launch::{import, inputs, job, machine};
use super::queue::{Queue, Start};
use super::retry::work;
use super::{Error, Halt, Options, Summary};
use crate::action::{Action, artifact, fingerprint};
use crate::attempt::{Ended, Job, Made, Purpose};
use crate::event::Event;
use crate::mistakes::refusals;
use crate::plan::{check_fetched, hash_inputs};
use crate::pools::{Pools, needs};
use crate::run::{Run, source};
use crate::select::{Selected, select};
use crate::workflow::{Reference, Target, Workflow};

/// Time for which results gather while other stages run: one sync then makes all of them durable.
const GATHERING: Duration = Duration::from_millis(50);

/// Stages that are settled before anybody hears of them.
const AT_A_TIME: usize = 500;

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
    /// Stages that wait for others, with how many.
    waiting: HashMap<NodeIndex, usize>,
    ready: BTreeSet<NodeIndex>,
    /// Stages that must run or do.
    queue: Queue,
    /// Whether the worker has been asked whether it could run what is not fresh.
    has_asked: bool,
    /// Outputs of stages that are done.
    done: HashMap<NodeIndex, Outputs>,
    attempts: JoinSet<(NodeIndex, Box<Job>, Ended, Option<StageLock>)>,
    /// Results that nobody has begun to sync, and when somebody must.
    unsynced: Vec<Made>,
    sync_at: Instant,
    /// Results on their way to the disk, while the stages after them already run.
    syncs: JoinSet<Result<(), store::Error>>,
    events: mpsc::UnboundedSender<Event>,
    summary: Summary,
}

impl<'a> Dispatcher<'a> {
    pub(super) fn new(
        workflow: &'a Workflow,
        store: &'a Store,
        options: &'a Options,
        run: &Run,
        events: mpsc::UnboundedSender<Event>,
    ) -> Result<Self, Error> {
        let selected = select(workflow, &options.selection)?;
        check_fetched(workflow, &options.selection)?;
        let pools = Pools::new(&options.pools, &options.gpus);
        pools.check(workflow, options.threads)?;
        // Whatever one of these needs is one of these, too.
        let before = |node| workflow.graph.neighbors_directed(node, Direction::Incoming).count();
        let nodes = selected.wanted.iter().chain(&selected.given).copied();
        let num_stages = selected.wanted.len() + selected.given.len();
        let (ready, waiting): (Vec<_>, Vec<_>) =
            nodes.map(|node| (node, before(node))).partition(|(_, count)| *count == 0);
        Ok(Self {
            workflow,
            store,
            options,
            run_dir: run.dir().to_owned(),
            run_id: run.id.clone(),
            inputs: hash_inputs(workflow, store)?,
            nodes: workflow.graph.node_indices().map(|node| (workflow.graph[node].name.0.as_str(), node)).collect(),
            selected,
            waiting: waiting.into_iter().collect(),
            ready: ready.into_iter().map(|(node, _)| node).collect(),
            queue: Queue::new(pools),
            has_asked: false,
            done: HashMap::with_capacity(num_stages),
            attempts: JoinSet::new(),
            unsynced: Vec::new(),
            sync_at: Instant::now(),
            syncs: JoinSet::new(),
            events,
            summary: Summary::default(),
        })
    }

    pub(super) fn begin(&mut self) {
        self.summary.run.clone_from(&self.run_id);
        let store::Source { file, sets, device } = source(self.store, self.workflow);
        self.send(Event::RunStarted {
            workflow: self.workflow.name.clone(),
            file,
            sets,
            device,
            stages: self.selected.wanted.len(),
            pid: std::process::id(),
            inputs: self
                .workflow
                .hub_inputs()
                .filter_map(|(name, input)| Some((name.to_owned(), input.version()?)))
                .collect(),
        });
    }

    /// Settles stages whose inputs are known, some at a time, and returns whether that were all; then starts attempts while
    /// there are slots. What is said of ten thousand fresh stages need not be in memory at once.
    pub(super) fn advance(&mut self) -> Result<bool, Error> {
        for _ in 0..AT_A_TIME {
            let Some(node) = self.ready.pop_first() else { break };
            self.settle(node)?;
        }
        // What starts must know of all that waits: two stages may have work in common.
        if !self.ready.is_empty() {
            return Ok(false);
        }
        let has_mistakes = !self.queue.is_empty() && self.find_mistakes()?;
        let is_over = has_mistakes || self.options.fail_fast && !self.summary.failed.is_empty();
        if is_over || *self.options.halt.borrow() != Halt::Run {
            while let Some(node) = self.queue.pop() {
                self.leave(node);
            }
        }
        while self.attempts.len() < self.options.slots {
            let mut held = Vec::new();
            let start = self.queue.start(self.store, |node, by| held.push((node, by)))?;
            for (node, by) in held {
                let message = format!("waits for `{}`, which is at work that it would do again", self.name(by));
                self.send(Event::Note { stage: self.name(node), level: "info".to_owned(), message });
            }
            let Some(start) = start else { break };
            self.launch(start);
        }
        Ok(true)
    }

    /// Asks the worker, before the first stage starts, about all that is not fresh, and returns whether a stage could not run:
    /// then none does, for the file must change.
    fn find_mistakes(&mut self) -> Result<bool, Error> {
        if std::mem::replace(&mut self.has_asked, true) {
            return Ok(false);
        }
        let not_fresh = self.selected.wanted.iter().filter(|node| !self.done.contains_key(node));
        let not_fresh = not_fresh.map(|node| self.workflow.graph[*node].name.clone()).collect();
        let refusals = refusals((&self.options.worker, &self.options.cache_dir), self.workflow, &not_fresh)?;
        for (node, _) in &refusals {
            self.queue.remove(*node);
            self.waiting.remove(node);
        }
        let has_mistakes = !refusals.is_empty();
        for (node, refusal) in refusals {
            self.fail(self.name(node), refusal.message, refusal.help, None);
            self.block_after(node);
        }
        Ok(has_mistakes)
    }

    /// Returns whether nothing is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.attempts.is_empty() && self.unsynced.is_empty() && self.syncs.is_empty()
    }

    /// Waits until an attempt has ended or a result is on the disk. Safe to drop and call again.
    pub(super) async fn wait_for_an_end(&mut self) -> Result<(), Error> {
        if self.attempts.is_empty() {
            self.sync();
        }
        tokio::select! {
            Some(ended) = self.attempts.join_next() => {
                let (node, job, ended, lock) = ended.unwrap_or_else(|error| panicked(error));
                self.end(node, &job, ended, lock)
            }
            Some(synced) = self.syncs.join_next() => Ok(synced.unwrap_or_else(|error| panicked(error))?),
            () = sleep_until(self.sync_at), if !self.unsynced.is_empty() => {
                self.sync();
                Ok(())
            }
            else => Ok(()),
        }
    }

    pub(super) fn finish(mut self, elapsed: Duration) -> Summary {
        self.summary.seconds = elapsed.as_secs_f64();
        self.send(Event::RunFinished {
            ran: self.summary.ran.len(),
            fresh: self.summary.fresh.len(),
            failed: self.summary.failed.len(),
            left: self.summary.left.len(),
            seconds: self.summary.seconds,
        });
        std::mem::take(&mut self.summary)
    }

    fn send(&self, event: Event) {
        // The receiver lives as long as the loop that calls this.
        let _ = self.events.send(event);
    }

    fn name(&self, node: NodeIndex) -> String {
        self.workflow.graph[node].name.to_string()
    }

    fn settle(&mut self, node: NodeIndex) -> Result<(), Error> {
        let stage = &self.workflow.graph[node];
        let resolve = |reference: &Reference| {
            artifact(reference.artifact, &self.digest(reference), &import(self.workflow, reference))
        };
        let fingerprint = fingerprint(stage, resolve);
        let is_forced = self.selected.forced.contains(&node);
        match if is_forced { None } else { self.store.fresh_outputs(&fingerprint)? } {
            Some(outputs) => self.take_fresh(node, fingerprint, outputs),
            None if self.selected.given.contains(&node) => self.refuse(node),
            None => {
                let action = Action::of(stage, resolve);
                let needs = needs(stage, &self.workflow.device, self.options.threads);
                self.queue.push(node, action, fingerprint, needs);
            }
        }
        Ok(())
    }

    /// A stage that is needed, out of date, and not asked for.
    fn refuse(&mut self, node: NodeIndex) {
        let stage = self.name(node);
        let message = "it is out of date, and not among the stages that were asked for".to_owned();
        let help = Some(format!("bring it up to date first: `--until {stage}`"));
        self.fail(stage, message, help, None);
        self.block_after(node);
    }

    fn fail(&mut self, stage: String, message: String, help: Option<String>, log: Option<String>) {
        self.summary.failed.push((stage.clone(), message.clone()));
        self.send(Event::Failed { stage, message, help, log });
    }

    fn take_fresh(&mut self, node: NodeIndex, fingerprint: Digest, outputs: Outputs) {
        // What is only needed is not spoken of.
        if self.selected.wanted.contains(&node) {
            let stage = self.name(node);
            self.send(Event::Fresh { stage: stage.clone(), fingerprint: fingerprint.to_string() });
            self.summary.fresh.push(stage);
        }
        self.take(node, fingerprint, outputs);
    }

    fn take(&mut self, node: NodeIndex, fingerprint: Digest, outputs: Outputs) {
        self.done.insert(node, outputs);
        self.summary.done.insert(self.name(node), fingerprint);
        for after in self.workflow.graph.neighbors_directed(node, Direction::Outgoing) {
            let Some(count) = self.waiting.get_mut(&after) else { continue };
            *count -= 1;
            if *count == 0 {
                self.waiting.remove(&after);
                self.ready.insert(after);
            }
        }
    }

    /// Gives up a stage, and all that waits for it.
    fn leave(&mut self, node: NodeIndex) {
        self.summary.left.push(self.name(node));
        self.block_after(node);
    }

    fn block_after(&mut self, node: NodeIndex) {
        let mut open = vec![node];
        while let Some(by) = open.pop() {
            for after in self.workflow.graph.neighbors_directed(by, Direction::Outgoing) {
                if self.waiting.remove(&after).is_none() {
                    continue;
                }
                let stage = self.name(after);
                if *self.options.halt.borrow() == Halt::Run {
                    self.send(Event::Blocked { stage: stage.clone(), by: self.name(by) });
                }
                self.summary.left.push(stage);
                open.push(after);
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

    /// Records a result, with its lock held until then, and lets what follows begin while it goes to the disk.
    fn record(&mut self, node: NodeIndex, mut made: Made, lock: Option<StageLock>) -> Result<(), Error> {
        made.write(self.store)?;
        drop(lock);
        let record = &made.record;
        let (fingerprint, outputs) = (record.fingerprint, record.outputs.iter());
        let outputs = outputs.map(|(name, output)| (name.clone(), output.digest)).collect();
        self.summary.ran.push(record.stage.clone());
        self.send(Event::Done {
            stage: record.stage.clone(),
            fingerprint: record.fingerprint.to_string(),
            seconds: made.seconds,
        });
        if self.unsynced.is_empty() {
            self.sync_at = Instant::now() + GATHERING;
        }
        self.unsynced.push(made);
        self.take(node, fingerprint, outputs);
        Ok(())
    }

    /// Sends what has gathered to the disk.
    fn sync(&mut self) {
        if !self.unsynced.is_empty() {
            let all = std::mem::take(&mut self.unsynced);
            self.syncs.spawn_blocking(move || Made::sync(all));
        }
    }

    fn launch(&mut self, start: Start) {
        let Start { node, action, fingerprint, checkpoint_at, lent } = start;
        let stage = &self.workflow.graph[node];
        let machine = machine(self.workflow, stage, &lent, checkpoint_at, self.options);
        let inputs = inputs(self.workflow, stage, |reference| self.digest(reference));
        let purpose = if self.selected.forced.contains(&node) { Purpose::Forced } else { Purpose::Make };
        let decided = (action, fingerprint);
        let source = source(self.store, self.workflow);
        let job = job((self.workflow, source), &self.run_dir, stage, decided, (&lent, machine), inputs, purpose);
        let (store, options, events) = (self.store.clone(), self.options.clone(), self.events.clone());
        self.attempts.spawn(async move {
            let (ended, lock) = work(&job, &store, &options, &events).await;
            (node, job, ended, lock)
        });
    }

    fn end(&mut self, node: NodeIndex, job: &Job, ended: Ended, lock: Option<StageLock>) -> Result<(), Error> {
        self.queue.ended(node);
        let stage = job.stage.name.to_string();
        match ended {
            Ended::Done(made) => self.record(node, *made, lock)?,
            Ended::Shared(outputs) => self.take_fresh(node, job.fingerprint, outputs),
            Ended::Verified(..) => unreachable!("an apply verifies nothing"),
            Ended::Stopped(step) => {
                self.send(Event::Stopped { stage, step });
                self.leave(node);
            }
            Ended::Failed(failure) => {
                let log = Some(job.log.display().to_string());
                self.fail(stage, failure.message, failure.help, log);
                self.block_after(node);
            }
        }
        Ok(())
    }
}

impl Drop for Dispatcher<'_> {
    /// What is recorded goes to the disk even where the run cannot go on.
    fn drop(&mut self) {
        if let Err(error) = Made::sync(std::mem::take(&mut self.unsynced)) {
            tracing::warn!(%error, "a power cut may take what has just been recorded");
        }
    }
}

fn panicked(error: JoinError) -> ! {
    std::panic::resume_unwind(error.into_panic())
}
