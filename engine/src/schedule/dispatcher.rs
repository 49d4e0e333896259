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
use serde_json::Map;
use store::{Digest, Record, Store};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::retry::work;
use super::{Error, Halt, Options, Summary, named, wanted};
use crate::action::{Action, artifact};
use crate::attempt::{Ended, Job, Source};
use crate::event::Event;
use crate::plan::hash_inputs;
use crate::run::Run;
use crate::worker::protocol::{InputArtifact, Machine};
use crate::workflow::{Reference, Target, Workflow};

/// Time between checkpoints where the workflow does not say.
const CHECKPOINT_SECONDS: f64 = 600.0;

pub(super) struct Dispatcher<'a> {
    workflow: &'a Workflow,
    store: &'a Store,
    options: &'a Options,
    run_dir: PathBuf,
    run_id: String,
    /// Digests of the workflow's inputs.
    inputs: BTreeMap<String, Digest>,
    nodes: HashMap<&'a str, NodeIndex>,
    forced: BTreeSet<NodeIndex>,
    /// Wanted stages that wait for others, with how many.
    waiting: HashMap<NodeIndex, usize>,
    ready: BTreeSet<NodeIndex>,
    /// Stages that must run, in the order of the file.
    queued: BTreeMap<NodeIndex, (Action, Digest)>,
    /// Outputs of stages that are done.
    done: HashMap<NodeIndex, BTreeMap<String, Digest>>,
    attempts: JoinSet<(NodeIndex, Box<Job>, Ended)>,
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
        let wanted = wanted(workflow, &options.until)?;
        // Whatever a wanted stage needs is wanted, too.
        let before = |node| workflow.graph.neighbors_directed(node, Direction::Incoming).count();
        let (ready, waiting): (Vec<_>, Vec<_>) =
            wanted.iter().map(|node| (*node, before(*node))).partition(|(_, count)| *count == 0);
        Ok(Self {
            workflow,
            store,
            options,
            run_dir: run.dir().to_owned(),
            run_id: run.id.clone(),
            inputs: hash_inputs(workflow, store)?,
            nodes: workflow.graph.node_indices().map(|node| (workflow.graph[node].name.0.as_str(), node)).collect(),
            forced: named(workflow, &options.force)?,
            waiting: waiting.into_iter().collect(),
            ready: ready.into_iter().map(|(node, _)| node).collect(),
            queued: BTreeMap::new(),
            done: HashMap::new(),
            attempts: JoinSet::new(),
            events,
            summary: Summary::default(),
        })
    }

    pub(super) fn begin(&mut self) {
        self.summary.run.clone_from(&self.run_id);
        self.send(Event::RunStarted {
            workflow: self.workflow.name.clone(),
            file: self.workflow.file.display().to_string(),
            stages: self.waiting.len() + self.ready.len(),
            pid: std::process::id(),
        });
    }

    /// Settles every stage whose inputs are known, and starts attempts while there are slots.
    pub(super) fn advance(&mut self) -> Result<(), Error> {
        while let Some(node) = self.ready.pop_first() {
            self.settle(node)?;
        }
        if *self.options.halt.borrow() != Halt::Run {
            while let Some((node, _)) = self.queued.pop_first() {
                self.leave(node);
            }
        }
        while self.attempts.len() < self.options.slots
            && let Some((node, (action, fingerprint))) = self.queued.pop_first()
        {
            let job = self.job(node, action, fingerprint)?;
            self.launch(node, job);
        }
        Ok(())
    }

    /// Returns whether no attempt is running.
    pub(super) fn is_idle(&self) -> bool {
        self.attempts.is_empty()
    }

    /// Waits until an attempt has ended. Safe to drop and call again.
    pub(super) async fn wait_for_an_end(&mut self) {
        match self.attempts.join_next().await {
            Some(Ok((node, job, ended))) => self.end(node, &job, ended),
            Some(Err(error)) => std::panic::resume_unwind(error.into_panic()),
            None => {}
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
        self.summary
    }

    fn send(&self, event: Event) {
        // The receiver lives as long as the loop that calls this.
        let _ = self.events.send(event);
    }

    fn name(&self, node: NodeIndex) -> String {
        self.workflow.graph[node].name.to_string()
    }

    fn settle(&mut self, node: NodeIndex) -> Result<(), Error> {
        let action = Action::of(&self.workflow.graph[node], |reference| {
            artifact(reference.artifact, &self.digest(reference), &self.import(reference))
        });
        let fingerprint = action.fingerprint();
        let record = if self.forced.contains(&node) { None } else { self.store.record(&fingerprint)? };
        match record.filter(|record| self.store.outputs_are_whole(record)) {
            Some(record) => self.take_fresh(node, record),
            None => drop(self.queued.insert(node, (action, fingerprint))),
        }
        Ok(())
    }

    fn take_fresh(&mut self, node: NodeIndex, record: Record) {
        let stage = self.name(node);
        self.send(Event::Fresh { stage: stage.clone(), fingerprint: record.fingerprint.to_string() });
        self.summary.fresh.push(stage);
        self.take(node, record);
    }

    fn take(&mut self, node: NodeIndex, record: Record) {
        let outputs = record.outputs.iter().map(|(name, output)| (name.clone(), output.digest)).collect();
        self.done.insert(node, outputs);
        self.summary.records.insert(self.name(node), record);
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
            Target::Output { stage, output } => self.done[&self.nodes[stage.0.as_str()]][output],
        }
    }

    fn import(&self, reference: &Reference) -> Map<String, serde_json::Value> {
        match &reference.target {
            Target::Input(name) => self.workflow.inputs[name].import.clone(),
            Target::Output { .. } => Map::new(),
        }
    }

    fn job(&self, node: NodeIndex, action: Action, fingerprint: Digest) -> Result<Box<Job>, Error> {
        let stage = self.workflow.graph[node].clone();
        let inputs = stage.references.iter().map(|reference| {
            let digest = self.digest(reference);
            let (name, path, source) = match &reference.target {
                Target::Input(name) => {
                    (format!("inputs.{name}"), self.workflow.inputs[name].path.clone(), Source::Path)
                }
                Target::Output { stage, output } => (format!("{stage}.{output}"), PathBuf::new(), Source::Tree(digest)),
            };
            let artifact = InputArtifact {
                name,
                artifact: reference.artifact,
                digest: digest.to_string(),
                path,
                import: self.import(reference),
            };
            (reference.pointer.clone(), artifact, source)
        });
        let seconds = stage.run.checkpoint_every.map_or(CHECKPOINT_SECONDS, |every| every.as_secs_f64());
        let run_dir = crate::run::stage_dir(&self.run_dir, &stage.name.0);
        fs_err::create_dir_all(&run_dir)?;
        Ok(Box::new(Job {
            workflow: self.workflow.name.clone(),
            inputs: inputs.collect(),
            run_dir,
            machine: Machine {
                threads: self.options.threads,
                device: self.options.device.clone(),
                checkpoint_seconds: seconds,
                checkpoint_steps: stage.run.checkpoint_steps,
            },
            use_checkpoints: !self.forced.contains(&node),
            stage,
            action,
            fingerprint,
        }))
    }

    fn launch(&mut self, node: NodeIndex, job: Box<Job>) {
        let (store, options, events) = (self.store.clone(), self.options.clone(), self.events.clone());
        let is_forced = self.forced.contains(&node);
        self.attempts.spawn(async move {
            let ended = work(&job, &store, &options, &events, is_forced).await;
            (node, job, ended)
        });
    }

    fn end(&mut self, node: NodeIndex, job: &Job, ended: Ended) {
        let stage = job.stage.name.to_string();
        match ended {
            Ended::Done(record) => {
                self.summary.ran.push(stage);
                self.take(node, *record);
            }
            Ended::Shared(record) => self.take_fresh(node, *record),
            Ended::Stopped(step) => {
                self.send(Event::Stopped { stage, step });
                self.leave(node);
            }
            Ended::Failed(failure) => {
                let log = Some(job.run_dir.join("log").display().to_string());
                self.summary.failed.push((stage.clone(), failure.message.clone()));
                self.send(Event::Failed { stage, message: failure.message, help: failure.help, log });
                self.block_after(node);
            }
        }
    }
}
