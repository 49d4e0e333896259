//! Runs and their stages, as the events of a run tell. Only files are read, so it works while an `apply` is going on.

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use engine::event::{Entry, Event};
use engine::history::History;
use engine::run;
use serde::Serialize;
use serde_json::Value;
use store::Store;

/// A run and its stages.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct RunWithStages {
    /// The run; null where none is on record.
    pub(crate) run: Option<Run>,
    /// Its stages by name.
    pub(crate) stages: BTreeMap<String, StageState>,
}

/// A run. What its history does not tell is absent.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Run {
    /// Its id.
    #[serde(rename = "run")]
    pub(crate) id: String,
    /// Inputs that came from a hub: the id of each, and the commit that it stood for.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) inputs: BTreeMap<String, String>,
    /// The workflow's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) workflow: Option<String>,
    /// Whether its process is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) alive: Option<bool>,
    /// How it stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) state: Option<RunState>,
    /// Its wall time, once it is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) seconds: Option<f64>,
}

/// How a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(into = "&'static str")]
pub(crate) enum RunState {
    /// It is going on.
    Running,
    /// Its process is gone and has left no end.
    Interrupted,
    /// A stage failed.
    Failed,
    /// It was stopped before all was done.
    Stopped,
    /// All is done.
    Done,
}

impl From<RunState> for &'static str {
    fn from(state: RunState) -> Self {
        match state {
            RunState::Running => "running",
            RunState::Interrupted => "interrupted",
            RunState::Failed => "failed",
            RunState::Stopped => "stopped",
            RunState::Done => "done",
        }
    }
}

/// What a run tells of a stage.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct StageState {
    /// How the stage stands.
    pub(crate) state: State,
    /// Its kind, once an attempt has begun.
    pub(crate) kind: Option<String>,
    /// The number of the last attempt; 0 for none.
    pub(crate) attempts: u32,
    /// Steps done.
    pub(crate) step: Option<u64>,
    /// Wall time of the attempt that made it.
    pub(crate) seconds: Option<f64>,
    /// Why it stands so.
    pub(crate) message: Option<String>,
}

/// How a stage stands in a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(into = "&'static str")]
pub(crate) enum State {
    /// The history does not tell.
    #[default]
    Unknown,
    /// Its outputs were in the store.
    Fresh,
    /// Another process computes the same.
    Waiting,
    /// An attempt is going on.
    Running,
    /// An attempt has begun, and its run is gone.
    Interrupted,
    /// It is done.
    Done,
    /// An attempt failed, and another one follows.
    Retrying,
    /// It has failed.
    Failed,
    /// A stage before it failed or was stopped.
    Blocked,
    /// It was stopped at a checkpoint.
    Stopped,
}

impl From<State> for &'static str {
    fn from(state: State) -> Self {
        match state {
            State::Unknown => "",
            State::Fresh => "fresh",
            State::Waiting => "waiting",
            State::Running => "running",
            State::Interrupted => "interrupted",
            State::Done => "done",
            State::Retrying => "retrying",
            State::Failed => "failed",
            State::Blocked => "blocked",
            State::Stopped => "stopped",
        }
    }
}

/// Returns what a history tells of its run and of the stages in it.
pub(crate) fn run(store: &Store, history: &History) -> (Run, BTreeMap<String, StageState>) {
    let mut run = Run { id: history.id.clone(), ..Run::default() };
    let mut stages = BTreeMap::new();
    for entry in &history.entries {
        match &entry.event {
            Event::RunStarted { workflow, pid, inputs, .. } => begin(&mut run, workflow, *pid, inputs),
            Event::RunFinished { seconds, failed, left, .. } => end(&mut run, *seconds, *failed, *left),
            event => add(event, &mut stages),
        }
    }
    for (name, stage) in stages.iter_mut().filter(|(_, stage)| stage.state == State::Running) {
        stage.step = last_step(store, &history.id, name).or(stage.step);
        if run.alive != Some(true) {
            stage.state = State::Interrupted;
        }
    }
    (run, stages)
}

fn begin(run: &mut Run, workflow: &str, pid: u32, inputs: &BTreeMap<String, String>) {
    let is_alive = is_alive(pid);
    run.inputs.clone_from(inputs);
    run.workflow = Some(workflow.to_owned());
    run.alive = Some(is_alive);
    run.state = Some(if is_alive { RunState::Running } else { RunState::Interrupted });
}

fn end(run: &mut Run, seconds: f64, failed: usize, left: usize) {
    run.alive = Some(false);
    run.seconds = Some(seconds);
    run.state = Some(match (failed, left) {
        (0, 0) => RunState::Done,
        (0, _) => RunState::Stopped,
        _ => RunState::Failed,
    });
}

/// Adds what an event tells of its stage.
fn add(event: &Event, stages: &mut BTreeMap<String, StageState>) {
    match event {
        Event::Fresh { stage, .. } => of(stages, stage).state = State::Fresh,
        Event::Waiting { stage } => of(stages, stage).state = State::Waiting,
        Event::Started { stage, kind, attempt, resumed_from, .. } => {
            let stage = of(stages, stage);
            stage.state = State::Running;
            stage.kind = Some(kind.clone());
            stage.attempts = *attempt;
            stage.step = *resumed_from;
        }
        Event::Checkpoint { stage, step } => of(stages, stage).step = Some(*step),
        Event::Done { stage, seconds, .. } => {
            let stage = of(stages, stage);
            stage.state = State::Done;
            stage.seconds = Some(*seconds);
        }
        Event::Retrying { stage, message, .. } => of(stages, stage).set(State::Retrying, message.clone()),
        Event::Failed { stage, message, .. } => of(stages, stage).set(State::Failed, message.clone()),
        Event::Blocked { stage, by } => of(stages, stage).set(State::Blocked, format!("after `{by}`")),
        Event::Stopped { stage, step } => {
            let stage = of(stages, stage);
            stage.state = State::Stopped;
            stage.step = Some(*step);
        }
        Event::RunStarted { .. } | Event::RunFinished { .. } | Event::Progress { .. } | Event::Note { .. } => {}
    }
}

fn of<'a>(stages: &'a mut BTreeMap<String, StageState>, stage: &str) -> &'a mut StageState {
    stages.entry(stage.to_owned()).or_default()
}

impl StageState {
    fn set(&mut self, state: State, message: String) {
        self.state = state;
        self.message = Some(message);
    }
}

/// Returns whether a run is still going on, by its events.
pub(crate) fn is_running(entries: &[Entry]) -> bool {
    let has_finished = entries.iter().any(|entry| matches!(entry.event, Event::RunFinished { .. }));
    let begun = entries.iter().find_map(|entry| match entry.event {
        Event::RunStarted { pid, .. } => Some(pid),
        _ => None,
    });
    !has_finished && begun.is_some_and(is_alive)
}

/// A process of that number may be another one by now; a finished run says so itself.
fn is_alive(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

/// Returns the step in the last whole line of a running stage's metrics; of a long file only the end is read.
fn last_step(store: &Store, id: &str, stage: &str) -> Option<u64> {
    const END: u64 = 1 << 16;
    let path = run::stage_metrics(&store.runs_dir().join(id), stage);
    let mut file = outside::open(&path).ok()?;
    let len = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(len.saturating_sub(END))).ok()?;
    let mut end = Vec::new();
    file.take(END).read_to_end(&mut end).ok()?;
    let lines = end.rsplit(|byte| *byte == b'\n');
    lines.filter_map(|line| serde_json::from_slice::<Value>(line).ok()).find_map(|line| line["step"].as_u64())
}
