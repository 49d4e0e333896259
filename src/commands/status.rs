//! `r1flow status`: runs and their stages. It reads files only, so it works while an `apply` is going on.

use std::collections::BTreeMap;

use anyhow::{Result, anyhow};
use engine::event::{Entry, Event};
use engine::run;
use serde_json::{Value, json};
use store::Store;

use super::{Global, Status, find_store, print_json};
use crate::ui::{self, Table, duration};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A run's id; the newest unless given.
    #[arg(value_name = "RUN")]
    run: Option<String>,
    /// List all runs.
    #[arg(long)]
    all: bool,
}

#[derive(Debug, Default, serde::Serialize)]
struct StageState {
    state: String,
    kind: Option<String>,
    attempts: u32,
    step: Option<u64>,
    seconds: Option<f64>,
    message: Option<String>,
}

pub(crate) fn run(global: &Global, args: &Args) -> Result<Status> {
    let store = find_store(global)?;
    let ids = run::list(&store)?;
    if args.all {
        return list(global, &store, &ids);
    }
    let id = match &args.run {
        Some(wanted) => ids
            .iter()
            .rfind(|id| id.starts_with(wanted.as_str()))
            .ok_or_else(|| anyhow!("there is no run `{wanted}`"))?,
        None => ids.last().ok_or_else(|| anyhow!("nothing has run in this store yet"))?,
    };
    let entries = run::events(&store, id)?;
    let mut stages: BTreeMap<String, StageState> = BTreeMap::new();
    let mut heading = json!({ "run": id });
    for entry in &entries {
        apply_event(&entry.event, &mut stages, &mut heading);
    }
    for (name, state) in stages.iter_mut().filter(|(_, state)| state.state == "running") {
        state.step = last_step(&store, id, name).or(state.step);
        if !heading["alive"].as_bool().unwrap_or(false) {
            "interrupted".clone_into(&mut state.state);
        }
    }
    if global.json {
        return print_json(&json!({ "run": heading, "stages": stages }));
    }
    print(&heading, &stages);
    Ok(Status::Done)
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
        Event::Started { stage, kind, attempt, resumed_from } => {
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

/// The last whole line of a running stage's metrics.
fn last_step(store: &Store, id: &str, stage: &str) -> Option<u64> {
    let path = run::stage_metrics(&store.runs_dir().join(id), stage);
    let text = std::fs::read_to_string(path).ok()?;
    let mut lines = text.lines().rev().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.find_map(|line| line["step"].as_u64())
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
        let mut heading = json!({ "run": id });
        for entry in run::events(store, id)? {
            apply_event(&entry.event, &mut BTreeMap::new(), &mut heading);
        }
        rows.push(heading);
    }
    if global.json {
        return print_json(&rows);
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
