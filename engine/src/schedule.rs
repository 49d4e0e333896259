//! The dispatcher: one loop over one channel of events, and as many attempts side by side as there are slots.
//!
//! Just before a stage starts, its action is made from the digests that its inputs really have. A record under that
//! fingerprint ends the matter, so a stage that ran again and gave the same bytes stops the wave there.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use petgraph::Direction;
use petgraph::graph::NodeIndex;
use serde_json::Map;
use store::{Digest, Record, StageLock, Store};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::action::{Action, artifact};
use crate::attempt::{Ended, Failure, Job, Source, attempt};
use crate::event::Event;
use crate::exec::Executor;
use crate::plan::{self, hash_inputs};
use crate::run::Run;
use crate::worker::protocol::{InputArtifact, Machine};
use crate::workflow::{Reference, Target, Workflow};

/// Pause before the second attempt; it doubles from then on.
const FIRST_DELAY: Duration = Duration::from_secs(1);
/// Time between checkpoints where the workflow does not say.
const CHECKPOINT_SECONDS: f64 = 600.0;

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
    let mut dispatcher = Dispatcher {
        workflow,
        store,
        options,
        inputs: hash_inputs(workflow, store)?,
        forced: named(workflow, &options.force)?,
        wanted: wanted(workflow, &options.until)?,
        run: Run::begin(store)?,
        state: HashMap::new(),
        attempts: JoinSet::new(),
        events: sender,
        summary: Summary::default(),
    };
    let begun = Instant::now();
    dispatcher.begin();
    loop {
        dispatcher.start_what_is_ready()?;
        // Events come before the ends of attempts that sent them.
        while let Ok(event) = receiver.try_recv() {
            dispatcher.run.record(&event)?;
            on_event(&event);
        }
        if dispatcher.attempts.is_empty() {
            break;
        }
        tokio::select! {
            biased;
            Some(event) = receiver.recv() => {
                dispatcher.run.record(&event)?;
                on_event(&event);
            }
            Some(ended) = dispatcher.attempts.join_next() => match ended {
                Ok((node, job, ended)) => dispatcher.end(node, &job, ended),
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            },
        }
    }
    dispatcher.finish(begun.elapsed());
    while let Ok(event) = receiver.try_recv() {
        dispatcher.run.record(&event)?;
        on_event(&event);
    }
    Ok(dispatcher.summary)
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

enum State {
    Running,
    /// Output name → tree.
    Done(BTreeMap<String, Digest>),
    /// Failed, stopped or blocked: what follows cannot run.
    Left,
}

struct Dispatcher<'a> {
    workflow: &'a Workflow,
    store: &'a Store,
    options: &'a Options,
    inputs: BTreeMap<String, Digest>,
    forced: BTreeSet<NodeIndex>,
    wanted: BTreeSet<NodeIndex>,
    run: Run,
    state: HashMap<NodeIndex, State>,
    attempts: JoinSet<(NodeIndex, Box<Job>, Ended)>,
    events: mpsc::UnboundedSender<Event>,
    summary: Summary,
}

impl Dispatcher<'_> {
    fn send(&self, event: Event) {
        // The receiver lives as long as the loop that calls this.
        let _ = self.events.send(event);
    }

    fn begin(&mut self) {
        self.summary.run.clone_from(&self.run.id);
        self.send(Event::RunStarted {
            workflow: self.workflow.name.clone(),
            file: self.workflow.file.display().to_string(),
            stages: self.wanted.len(),
            pid: std::process::id(),
        });
    }

    /// Settles every stage whose inputs are known: fresh, blocked, or an attempt while there are slots.
    fn start_what_is_ready(&mut self) -> Result<(), Error> {
        // Nodes are in topological order, so one pass settles whole chains of fresh stages.
        for node in self.workflow.graph.node_indices() {
            if !self.wanted.contains(&node) || self.state.contains_key(&node) {
                continue;
            }
            if let Some(by) = self.left_upstream(node) {
                let stage = self.workflow.graph[node].name.to_string();
                self.send(Event::Blocked { stage: stage.clone(), by });
                self.summary.left.push(stage);
                self.state.insert(node, State::Left);
                continue;
            }
            if self.upstream(node).all(|upstream| matches!(self.state.get(&upstream), Some(State::Done(_)))) {
                self.settle(node)?;
            }
        }
        Ok(())
    }

    fn upstream(&self, node: NodeIndex) -> impl Iterator<Item = NodeIndex> {
        self.workflow.graph.neighbors_directed(node, Direction::Incoming)
    }

    fn left_upstream(&self, node: NodeIndex) -> Option<String> {
        let left = self.upstream(node).find(|upstream| matches!(self.state.get(upstream), Some(State::Left)))?;
        Some(self.workflow.graph[left].name.to_string())
    }

    fn settle(&mut self, node: NodeIndex) -> Result<(), Error> {
        let action = Action::of(&self.workflow.graph[node], |reference| {
            let digest = self.digest(reference);
            artifact(reference.artifact, &digest, &self.import(reference))
        });
        let fingerprint = action.fingerprint();
        let is_forced = self.forced.contains(&node);
        if !is_forced && let Some(record) = self.fresh_record(&fingerprint)? {
            self.take_fresh(node, record);
            return Ok(());
        }
        if self.attempts.len() < self.options.slots && *self.options.halt.borrow() == Halt::Run {
            let job = self.job(node, action, fingerprint)?;
            self.launch(node, job, is_forced);
            self.state.insert(node, State::Running);
        } else if *self.options.halt.borrow() != Halt::Run {
            self.summary.left.push(self.workflow.graph[node].name.to_string());
            self.state.insert(node, State::Left);
        }
        Ok(())
    }

    fn fresh_record(&self, fingerprint: &Digest) -> Result<Option<Record>, Error> {
        Ok(self.store.record(fingerprint)?.filter(|record| self.store.outputs_are_whole(record)))
    }

    fn take_fresh(&mut self, node: NodeIndex, record: Record) {
        let stage = self.workflow.graph[node].name.to_string();
        self.send(Event::Fresh { stage: stage.clone(), fingerprint: record.fingerprint.to_string() });
        self.summary.fresh.push(stage);
        self.done(node, record);
    }

    fn done(&mut self, node: NodeIndex, record: Record) {
        let outputs = record.outputs.iter().map(|(name, output)| (name.clone(), output.digest)).collect();
        self.state.insert(node, State::Done(outputs));
        self.summary.records.insert(self.workflow.graph[node].name.to_string(), record);
    }

    fn digest(&self, reference: &Reference) -> Digest {
        match &reference.target {
            Target::Input(name) => self.inputs[name],
            Target::Output { stage, output } => {
                let made = self.workflow.graph.node_indices().find(|node| self.workflow.graph[*node].name == *stage);
                match made.and_then(|node| self.state.get(&node)) {
                    Some(State::Done(outputs)) => outputs[output],
                    _ => unreachable!("a stage is settled only when everything before it is done"),
                }
            }
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
        Ok(Box::new(Job {
            workflow: self.workflow.name.clone(),
            inputs: inputs.collect(),
            run_dir: self.run.stage_dir(&stage.name.0)?,
            machine: Machine {
                threads: self.options.threads,
                device: self.options.device.clone(),
                checkpoint_seconds: seconds,
                checkpoint_steps: None,
            },
            use_checkpoints: !self.forced.contains(&node),
            stage,
            action,
            fingerprint,
        }))
    }

    fn launch(&mut self, node: NodeIndex, job: Box<Job>, is_forced: bool) {
        let (store, options, events) = (self.store.clone(), self.options.clone(), self.events.clone());
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
                self.done(node, *record);
                return;
            }
            Ended::Stopped(step) => {
                self.send(Event::Stopped { stage: stage.clone(), step });
                self.summary.left.push(stage);
            }
            Ended::Failed(failure) => {
                let log = Some(job.run_dir.join("log").display().to_string());
                self.summary.failed.push((stage.clone(), failure.message.clone()));
                self.send(Event::Failed { stage, message: failure.message, help: failure.help, log });
            }
        }
        self.state.insert(node, State::Left);
    }

    fn finish(&mut self, elapsed: Duration) {
        self.summary.seconds = elapsed.as_secs_f64();
        self.send(Event::RunFinished {
            ran: self.summary.ran.len(),
            fresh: self.summary.fresh.len(),
            failed: self.summary.failed.len(),
            left: self.summary.left.len(),
            seconds: self.summary.seconds,
        });
    }
}

/// Attempts a stage until it is done, stopped, or out of retries; another process's result is taken if it comes first.
async fn work(
    job: &Job,
    store: &Store,
    options: &Options,
    events: &mpsc::UnboundedSender<Event>,
    is_forced: bool,
) -> Ended {
    let stage = job.stage.name.to_string();
    let _lock = match lock(store, &job.fingerprint, &stage, events).await {
        Ok(lock) => lock,
        Err(error) => return Ended::Failed(Failure::from(error)),
    };
    if !is_forced
        && let Ok(Some(record)) = store.record(&job.fingerprint)
        && store.outputs_are_whole(&record)
    {
        return Ended::Done(Box::new(record));
    }
    let mut delay = FIRST_DELAY;
    for number in 1.. {
        let begun = Instant::now();
        let ended = attempt(job, number, store, &options.worker, options.executor, options.halt.clone(), events).await;
        match ended {
            Ended::Failed(failure) if failure.may_retry && number <= job.stage.run.retries => {
                let message = failure.message;
                let _ = events.send(Event::Retrying { stage: stage.clone(), message, delay: delay.as_secs_f64() });
                let mut halt = options.halt.clone();
                tokio::select! {
                    () = tokio::time::sleep(delay) => {}
                    _ = halt.wait_for(|halt| *halt != Halt::Run) => return Ended::Stopped(0),
                }
                delay *= 2;
            }
            Ended::Done(record) => {
                let _ = events.send(Event::Done {
                    stage,
                    fingerprint: record.fingerprint.to_string(),
                    seconds: begun.elapsed().as_secs_f64(),
                });
                return Ended::Done(record);
            }
            other => return other,
        }
    }
    unreachable!("the loop ends by returning")
}

async fn lock(
    store: &Store,
    fingerprint: &Digest,
    stage: &str,
    events: &mpsc::UnboundedSender<Event>,
) -> Result<StageLock, store::Error> {
    if let Some(lock) = store.try_lock_stage(fingerprint)? {
        return Ok(lock);
    }
    let _ = events.send(Event::Waiting { stage: stage.to_owned() });
    let (store, fingerprint) = (store.clone(), *fingerprint);
    let waited = tokio::task::spawn_blocking(move || store.lock_stage(&fingerprint)).await;
    waited.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}
