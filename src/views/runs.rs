//! Runs and their stages, from the events of a run. Only files are read, so this works while an `apply` is running.

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use engine::doing::{self, Doing};
use engine::event::{Entry, Event};
use engine::history::{self, History};
use engine::run;
use serde::Serialize;
use serde_json::Value;
use store::Store;

/// The most runs among which one in progress is looked for.
const LOOKED_AT: usize = 20;

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
    /// Stages of its workflow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stages: Option<usize>,
    /// Those that are done, fresh, failed or will not run.
    pub(crate) finished: usize,
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
    /// Steps in all, once the worker has told.
    pub(crate) total: Option<u64>,
    /// What it is doing, while it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) doing: Option<Doing>,
    /// What was measured at the last step, while it runs.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) metrics: BTreeMap<String, f64>,
    /// Wall time of the attempt that made it, or of the one that runs so far.
    pub(crate) seconds: Option<f64>,
    /// Seconds that are left at the speed of the running attempt.
    pub(crate) seconds_left: Option<f64>,
    /// Its place in the order in which stages first occur in the run.
    #[serde(skip)]
    pub(crate) place: usize,
    /// The step that the last attempt began with.
    #[serde(skip)]
    first_step: u64,
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
            Event::RunStarted { workflow, pid, inputs, stages, .. } => {
                begin(&mut run, workflow, *pid, inputs);
                run.stages = Some(*stages);
            }
            Event::RunFinished { seconds, failed, left, .. } => end(&mut run, *seconds, *failed, *left),
            event => add(event, &entry.time, &mut stages),
        }
    }
    let is_finished =
        |stage: &&StageState| matches!(stage.state, State::Done | State::Fresh | State::Failed | State::Blocked);
    run.finished = stages.values().filter(is_finished).count();
    for (name, stage) in stages.iter_mut().filter(|(_, stage)| stage.state == State::Running) {
        if let Some((step, metrics)) = last_step(store, &history.id, name) {
            (stage.step, stage.metrics) = (Some(step), metrics);
        }
        if run.alive == Some(true) {
            stage.doing = doing::read(&store.runs_dir().join(&history.id), name);
            stage.seconds_left = stage.left();
        } else {
            (stage.state, stage.seconds) = (State::Interrupted, None);
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
fn add(event: &Event, time: &str, stages: &mut BTreeMap<String, StageState>) {
    match event {
        Event::Fresh { stage, .. } => of(stages, stage).state = State::Fresh,
        Event::Waiting { stage } => of(stages, stage).state = State::Waiting,
        Event::Started { stage, kind, attempt, resumed_from, .. } => {
            let stage = of(stages, stage);
            stage.state = State::Running;
            stage.kind = Some(kind.clone());
            stage.attempts = *attempt;
            stage.step = *resumed_from;
            stage.first_step = resumed_from.unwrap_or(0);
            stage.seconds = run::seconds_since(time);
        }
        Event::Checkpoint { stage, step } => of(stages, stage).step = Some(*step),
        Event::Done { stage, seconds, .. } => {
            let stage = of(stages, stage);
            stage.state = State::Done;
            stage.seconds = Some(*seconds);
            // What is done has no steps left, also if it did not need all of them.
            stage.step = stage.total;
        }
        Event::Retrying { stage, message, .. } => of(stages, stage).set(State::Retrying, message.clone()),
        Event::Failed { stage, message, .. } => of(stages, stage).set(State::Failed, message.clone()),
        Event::Blocked { stage, by } => of(stages, stage).set(State::Blocked, format!("after `{by}`")),
        Event::Stopped { stage, step } => {
            let stage = of(stages, stage);
            stage.state = State::Stopped;
            stage.step = Some(*step);
            stage.seconds = None;
        }
        Event::Extent { stage, total, .. } => of(stages, stage).total = Some(*total),
        Event::RunStarted { .. }
        | Event::RunFinished { .. }
        | Event::Progress { .. }
        | Event::Doing { .. }
        | Event::Note { .. } => {}
    }
}

fn of<'a>(stages: &'a mut BTreeMap<String, StageState>, stage: &str) -> &'a mut StageState {
    let place = stages.len();
    stages.entry(stage.to_owned()).or_insert_with(|| StageState { place, ..StageState::default() })
}

impl StageState {
    fn set(&mut self, state: State, message: String) {
        self.state = state;
        self.message = Some(message);
        self.seconds = None;
    }

    /// Returns the seconds that are left at the speed so far. What preceded the first step does not count.
    fn left(&self) -> Option<f64> {
        let done = self.step?.saturating_sub(self.first_step);
        let since = self.doing.as_ref().and_then(|doing| doing.stepping_since.as_ref());
        let seconds = since.map_or(self.seconds, |since| run::seconds_since(since))?;
        (done > 0).then_some(seconds / done as f64 * self.total?.saturating_sub(self.step?) as f64)
    }

    /// Returns how far it is and what it is doing, as in `step 3 of 10, sampling 37 of 64`.
    pub(crate) fn progress(&self) -> Option<String> {
        let step = self.step.map(|step| match self.total {
            Some(total) => format!("step {step} of {total}"),
            None => format!("step {step}"),
        });
        let parts: Vec<String> = step.into_iter().chain(self.phase()).collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }

    /// Returns what it is doing, as in `sampling 37 of 64`.
    pub(crate) fn phase(&self) -> Option<String> {
        let doing = self.doing.as_ref()?;
        let part = doing.part.map_or_else(String::new, |(done, total)| format!(" {done} of {total}"));
        Some(format!("{}{part}", doing.what.as_ref()?))
    }
}

/// Returns the newest run of a workflow's file that is in progress.
pub(crate) fn in_progress(store: &Store, file: &str) -> std::io::Result<Option<History>> {
    // No stage has the empty name, so no events of stages are read.
    let about = |id: &String| history::read_about(store, id, "");
    let is_meant = |history: &History| history.is_of(file) && is_running(&history.entries);
    let ids = history::list(store)?;
    let found = ids.iter().rev().take(LOOKED_AT).find(|id| is_meant(&about(id)));
    Ok(found.map(|id| history::read(store, id)))
}

/// Returns the newest run in progress, of any workflow.
pub(crate) fn newest_in_progress<'a>(store: &Store, ids: &'a [String]) -> Option<&'a String> {
    let is_running = |id: &&String| is_running(&history::read_about(store, id, "").entries);
    ids.iter().rev().take(LOOKED_AT).find(is_running)
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

/// Returns the last whole line of a running stage's metrics; reads only the end of a long file.
fn last_step(store: &Store, id: &str, stage: &str) -> Option<(u64, BTreeMap<String, f64>)> {
    const END: u64 = 1 << 16;
    let path = run::stage_metrics(&store.runs_dir().join(id), stage);
    let mut file = outside::open(&path).ok()?;
    let len = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(len.saturating_sub(END))).ok()?;
    let mut end = Vec::new();
    file.take(END).read_to_end(&mut end).ok()?;
    let lines = end.rsplit(|byte| *byte == b'\n');
    let line =
        lines.filter_map(|line| serde_json::from_slice::<Value>(line).ok()).find(|line| line["step"].is_u64())?;
    let metrics = line["metrics"].as_object().into_iter().flatten();
    let numbers = metrics.filter_map(|(name, value)| Some((name.clone(), value.as_f64()?)));
    Some((line["step"].as_u64()?, numbers.collect()))
}
