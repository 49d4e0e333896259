//! `r1flow status`: runs and their stages. It reads files only, so it works while an `apply` is going on.

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};

use anyhow::{Result, anyhow};
use engine::event::{Entry, Event};
use engine::history::{self, History};
use engine::run;
use serde_json::{Value, json};
use store::Store;

use crate::arguments::Global;
use crate::exit::{Advice, Status};
use crate::loading::find_store;
use crate::ui::{self, Table, count, duration};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A run's id; the newest unless given.
    #[arg(value_name = "RUN")]
    run: Option<String>,
    /// List all runs.
    #[arg(long)]
    all: bool,
}

/// What a run tells of a stage.
#[derive(Debug, Default, serde::Serialize)]
pub(crate) struct StageState {
    pub(crate) state: String,
    pub(crate) kind: Option<String>,
    attempts: u32,
    pub(crate) step: Option<u64>,
    seconds: Option<f64>,
    pub(crate) message: Option<String>,
}

pub(crate) fn run(global: &Global, args: &Args) -> Result<Status> {
    let store = find_store(global)?;
    let ids = history::list(&store)?;
    if args.all {
        return list(global, &store, &ids);
    }
    let Some(id) = named(&ids, args.run.as_deref())? else { return forgotten(global, &store) };
    let history = history::read(&store, id);
    let (heading, stages) = told(&store, &history);
    remark(&history);
    if global.json {
        ui::print_json(&json!({ "run": heading, "stages": stages }))?;
        return Ok(Status::Done);
    }
    print(&heading, &stages);
    Ok(Status::Done)
}

/// Returns the run that is meant, by its id, the beginning of it, or its number; the newest unless given.
fn named<'a>(ids: &'a [String], wanted: Option<&str>) -> Result<Option<&'a String>> {
    let Some(wanted) = wanted else { return Ok(ids.last()) };
    let number = wanted.parse::<u64>().ok().filter(|number| *number > 0 && wanted.len() < 8);
    let is_meant = |id: &&String| id.starts_with(wanted) || number.is_some_and(|number| history::number(id) == number);
    let found: Vec<&String> = ids.iter().filter(is_meant).collect();
    match found.as_slice() {
        [] => Err(anyhow!("there is no run `{wanted}`")),
        [one] => Ok(Some(one)),
        several => {
            let message = format!("`{wanted}` may be any of {}", count(several.len(), "run"));
            Err(Advice::new(message, "`r1flow status --all` lists them: write more of its id").into())
        }
    }
}

/// There is no history; the results are there nevertheless.
fn forgotten(global: &Global, store: &Store) -> Result<Status> {
    let results = store.all_records()?.len();
    if results == 0 {
        return Err(anyhow!("nothing has run in this store yet"));
    }
    if global.json {
        ui::print_json(&json!({ "run": Value::Null, "stages": {} }))?;
        return Ok(Status::Done);
    }
    let are = if results == 1 { "is" } else { "are" };
    ui::line(&format!("no run is on record any more; {} {are} in the store", count(results, "result")));
    Ok(Status::Done)
}

/// Says what of a history cannot be read.
fn remark(history: &History) {
    let History { id, spoilt, trouble, .. } = history;
    if let Some(trouble) = trouble {
        ui::note(&format!("the history of {id} cannot be read: {trouble}"));
    }
    if *spoilt > 0 {
        let (lines, are) = (count(*spoilt, "line"), if *spoilt == 1 { "is" } else { "are" });
        ui::note(&format!("{lines} of the history of {id} {are} torn, altered or of another version"));
    }
}

/// Returns what a run tells of itself and of its stages.
fn told(store: &Store, history: &History) -> (Value, BTreeMap<String, StageState>) {
    let mut stages: BTreeMap<String, StageState> = BTreeMap::new();
    let mut heading = json!({ "run": history.id });
    for entry in &history.entries {
        apply_event(&entry.event, &mut stages, &mut heading);
    }
    for (name, state) in stages.iter_mut().filter(|(_, state)| state.state == "running") {
        state.step = last_step(store, &history.id, name).or(state.step);
        if !heading["alive"].as_bool().unwrap_or(false) {
            "interrupted".clone_into(&mut state.state);
        }
    }
    (heading, stages)
}

/// Returns what a run tells of one stage.
pub(crate) fn stage_state(store: &Store, history: &History, stage: &str) -> StageState {
    told(store, history).1.remove(stage).unwrap_or_default()
}

fn apply_event(event: &Event, stages: &mut BTreeMap<String, StageState>, heading: &mut Value) {
    let mut set = |stage: &str, state: &str| {
        let entry = stages.entry(stage.to_owned()).or_default();
        state.clone_into(&mut entry.state);
    };
    match event {
        Event::RunStarted { workflow, pid, inputs, .. } => {
            if !inputs.is_empty() {
                heading["inputs"] = json!(inputs);
            }
            heading["workflow"] = json!(workflow);
            heading["alive"] = json!(is_alive(*pid));
            heading["state"] = json!(if heading["alive"] == json!(true) { "running" } else { "interrupted" });
        }
        Event::Fresh { stage, .. } => set(stage, "fresh"),
        Event::Waiting { stage } => set(stage, "waiting"),
        Event::Started { stage, kind, attempt, resumed_from, .. } => {
            set(stage, "running");
            let entry = stages.entry(stage.clone()).or_default();
            entry.kind = Some(kind.clone());
            entry.attempts = *attempt;
            entry.step = *resumed_from;
        }
        Event::Checkpoint { stage, step } => stages.entry(stage.clone()).or_default().step = Some(*step),
        Event::Done { stage, seconds, .. } => {
            set(stage, "done");
            stages.entry(stage.clone()).or_default().seconds = Some(*seconds);
        }
        Event::Retrying { stage, message, .. } => {
            set(stage, "retrying");
            stages.entry(stage.clone()).or_default().message = Some(message.clone());
        }
        Event::Failed { stage, message, .. } => {
            set(stage, "failed");
            stages.entry(stage.clone()).or_default().message = Some(message.clone());
        }
        Event::Blocked { stage, by } => {
            set(stage, "blocked");
            stages.entry(stage.clone()).or_default().message = Some(format!("after `{by}`"));
        }
        Event::Stopped { stage, step } => {
            set(stage, "stopped");
            stages.entry(stage.clone()).or_default().step = Some(*step);
        }
        Event::RunFinished { seconds, failed, left, .. } => {
            heading["state"] = json!(if *failed > 0 {
                "failed"
            } else if *left > 0 {
                "stopped"
            } else {
                "done"
            });
            heading["seconds"] = json!(seconds);
            heading["alive"] = json!(false);
        }
        Event::Progress { .. } | Event::Note { .. } => {}
    }
}

/// A process of that number may be another one by now; a finished run says so itself.
fn is_alive(pid: u32) -> bool {
    std::path::Path::new(&format!("/proc/{pid}")).exists()
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

/// The last whole line of a running stage's metrics; of a long file only the end is read.
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

fn print(heading: &Value, stages: &BTreeMap<String, StageState>) {
    let seconds = heading["seconds"].as_f64().map_or_else(String::new, |seconds| format!(", {}", duration(seconds)));
    let text = |key: &str| heading[key].as_str().unwrap_or("?").to_owned();
    ui::line(&format!("{} {}: {}{seconds}", text("workflow"), text("run"), text("state")));
    for (name, version) in heading["inputs"].as_object().into_iter().flatten() {
        ui::line(&format!("  {name}: {}", version.as_str().unwrap_or_default()));
    }
    let mut table = Table::new(["stage", "state", "step", "time", ""]);
    for (name, state) in stages {
        table.push(vec![
            name.clone(),
            state.state.clone(),
            state.step.map_or_else(String::new, |step| step.to_string()),
            state.seconds.map_or_else(String::new, duration),
            state.message.as_deref().unwrap_or("").lines().next().unwrap_or("").to_owned(),
        ]);
    }
    ui::table(&table);
}

fn list(global: &Global, store: &Store, ids: &[String]) -> Result<Status> {
    let mut rows = Vec::new();
    for id in ids {
        let history = history::read_about(store, id, "");
        let (heading, _) = told(store, &history);
        remark(&history);
        rows.push(heading);
    }
    if global.json {
        ui::print_json(&rows)?;
        return Ok(Status::Done);
    }
    let mut table = Table::new(["run", "workflow", "state", "time"]);
    for row in rows {
        let text = |key: &str| row[key].as_str().unwrap_or("?").to_owned();
        table.push(vec![
            text("run"),
            text("workflow"),
            text("state"),
            row["seconds"].as_f64().map_or_else(String::new, duration),
        ]);
    }
    ui::table(&table);
    Ok(Status::Done)
}
