//! Runs and their stages, from the events of a run. Only files are read, so this works while an `apply` is running.

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
    /// The run; null if none is on record.
    pub(crate) run: Option<Run>,
    /// Its stages by name.
    pub(crate) stages: BTreeMap<String, StageState>,
}

/// A run. Values that its history does not have are absent.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Run {
    /// Its id.
    #[serde(rename = "run")]
    pub(crate) id: String,
    /// Inputs that came from a hub: the id and the commit of each.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) inputs: BTreeMap<String, String>,
    /// The workflow's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) workflow: Option<String>,
    /// Whether its process is alive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) alive: Option<bool>,
    /// Its state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) state: Option<RunState>,
    /// Its wall time, once it is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) seconds: Option<f64>,
}

/// The state of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(into = "&'static str")]
pub(crate) enum RunState {
    /// It is running.
    Running,
    /// Its process is gone, and the history has no end.
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

/// What the events of a run say about a stage.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct StageState {
    /// Its state.
    pub(crate) state: State,
    /// Its kind, once an attempt has begun.
    pub(crate) kind: Option<String>,
    /// The number of the last attempt; 0 for none.
    pub(crate) attempts: u32,
    /// Steps done.
    pub(crate) step: Option<u64>,
    /// Wall time of the attempt that made it.
    pub(crate) seconds: Option<f64>,
    /// The reason for its state.
    pub(crate) message: Option<String>,
}

/// The state of a stage in a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(into = "&'static str")]
pub(crate) enum State {
    /// The history does not say.
    #[default]
    Unknown,
    /// Its outputs were in the store.
    Fresh,
    /// Another process is computing the same result.
    Waiting,
    /// An attempt is running.
    Running,
    /// An attempt began, but its run is no longer alive.
    Interrupted,
    /// It is done.
    Done,
    /// An attempt failed, and another one follows.
    Retrying,
    /// It has failed.
    Failed,
    /// An upstream stage failed or was stopped.
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

/// Returns the run of a history, and the stages in it.
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

/// Updates the stage that an event is about.
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

/// Returns from a run's events whether it is still running.
pub(crate) fn is_running(entries: &[Entry]) -> bool {
    let has_finished = entries.iter().any(|entry| matches!(entry.event, Event::RunFinished { .. }));
    let begun = entries.iter().find_map(|entry| match entry.event {
        Event::RunStarted { pid, .. } => Some(pid),
        _ => None,
    });
    !has_finished && begun.is_some_and(is_alive)
}

/// Another process may have this id by now, but a finished run has an event that says so.
fn is_alive(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

/// Returns the step in the last whole line of a running stage's metrics; reads only the end of a long file.
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
