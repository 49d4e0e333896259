//! `r1flow show`: looks inside a stage, one of its outputs, or a digest.

mod curve;
mod tree;

use anyhow::{Context, Result, anyhow};
use engine::history::{self, History};
use engine::run;
use serde_json::{Value, json};
use store::{OutputRecord, Record, Store};

use super::status::stage_state;
use crate::arguments::{Global, NameArgs};
use crate::exit::{Advice, Status};
use crate::loading::find_store;
use crate::results::{Asked, Found, Look, Named, find, not_fresh, unfinished};
use crate::ui::{self, Style, Table, bytes, duration};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// `stage`, `stage.output`, `inputs.name` of one from a hub, or `b3:…`.
    #[arg(value_name = "WHAT")]
    what: String,
    /// Rows of a data set to print.
    #[arg(long, default_value_t = 3, value_name = "N")]
    rows: usize,
    #[command(flatten)]
    names: NameArgs,
}

pub(crate) fn run(global: &Global, args: &Args) -> Result<Status> {
    let store = find_store(global)?;
    if let Some(name) = args.what.strip_prefix("inputs.") {
        return show_input(global, &store, name, &args.names);
    }
    let asked = Asked { command: "show", what: &args.what, tail: "" };
    let look = Look { global, store: &store, args: &args.names, asked };
    match find(&look, &args.what)? {
        Found::Output(digest) => tree::show(global, &store, &digest, args.rows),
        Found::Stage(named) => match (&named.record, unfinished(&store, &named)?) {
            (Some(record), _) => show_record(global, &store, &named.stage, record),
            (None, Some(history)) => show_unfinished(global, &store, &named, &history),
            (None, None) => Err(not_fresh(&look, &named)?),
        },
    }
}

/// Shows what an input from a hub was in the newest run of its workflow that read it.
fn show_input(global: &Global, store: &Store, name: &str, args: &NameArgs) -> Result<Status> {
    let wanted = args.workflow.as_ref().map(fs_err::canonicalize).transpose()?;
    let wanted = wanted.map(|file| run::file_name(store, &file));
    let mut found: Vec<(String, String, String, String)> = Vec::new();
    // No stage has this name: of stages nothing is read.
    for history in history::newest_first_about(store, "")? {
        let Some(begun) = history.begun() else { continue };
        let is_meant = wanted.as_ref().is_none_or(|wanted| wanted == begun.file);
        let is_known = found.iter().any(|(file, ..)| file == begun.file);
        if let Some(version) = begun.inputs.get(name).filter(|_| is_meant && !is_known) {
            found.push((begun.file.to_owned(), version.clone(), history.id.clone(), begun.workflow.to_owned()));
        }
    }
    let Some((_, version, id, workflow)) = found.first() else {
        return Err(anyhow!(
            "no run has read an input `{name}` from a hub; what an input is made of, the workflow says"
        ));
    };
    if found.iter().any(|(_, other, ..)| other != version) {
        let told = found.iter().flat_map(|(file, version, ..)| ["\n  `", file, "`: ", version]).collect::<String>();
        let help = format!("say which: `r1flow show inputs.{name} --workflow FILE`");
        return Err(Advice::new(format!("`inputs.{name}` is not the same in every workflow{told}"), help).into());
    }
    if global.json {
        ui::print_json(&json!({ "input": name, "version": version, "run": id, "workflow": workflow }))?;
        return Ok(Status::Done);
    }
    ui::line(&format!("{} is {version}", ui::styled(name, Style::Strong)));
    ui::line(&format!("  in the newest run that read it, {id} of workflow {workflow}"));
    Ok(Status::Done)
}

/// Shows how far the last attempt at a stage has come that has no result.
fn show_unfinished(global: &Global, store: &Store, named: &Named, history: &History) -> Result<Status> {
    let state = stage_state(store, history, &named.stage);
    let metrics = run::stage_metrics(&store.runs_dir().join(&history.id), &named.stage);
    let workflow = history.begun().map_or("?", |begun| begun.workflow);
    let with_curve = |with: fn(fs_err::File) -> Result<()>| match outside::open(&metrics) {
        Ok(file) => with(file),
        // It is made with the first step.
        Err(_) => Ok(()),
    };
    if global.json {
        let head = json!({ "run": history.id, "workflow": workflow, "stage": state });
        ui::json(&format!("{{\n  \"unfinished\": {head},\n  \"curve\": ["));
        with_curve(curve::print_json)?;
        ui::json("]\n}\n");
        return Ok(Status::Done);
    }
    let kind = state.kind.as_deref().unwrap_or("?");
    let stage = ui::styled(&named.stage, Style::Strong);
    ui::line(&format!("{stage} ({kind}), {} in run {} of workflow {workflow}", state.state, history.id));
    if let Some(message) = &state.message {
        ui::line(&format!("  {message}"));
    }
    if let Some(step) = state.step {
        ui::line(&format!("  at step {step}"));
    }
    with_curve(curve::draw)
        .or_else(|error| {
            ui::note(&format!("its curve cannot be read: {error:#}"));
            Ok(())
        })
        .map(|()| Status::Done)
}

fn show_record(global: &Global, store: &Store, stage: &str, record: &Record) -> Result<Status> {
    if global.json {
        let told = serde_json::to_string_pretty(record)?.replace('\n', "\n  ");
        ui::json(&format!("{{\n  \"record\": {told},\n  \"curve\": ["));
        with_curve(store, record, curve::print_json);
        ui::json("]\n}\n");
        return Ok(Status::Done);
    }
    ui::line(&format!(
        "{} ({}), {} in workflow {}",
        ui::styled(stage, Style::Strong),
        record.kind,
        record.finished,
        record.workflow
    ));
    ui::line(&format!("  fingerprint {}", record.fingerprint));
    ui::line(&format!(
        "  {} of work, {} of CPU, {} steps in the last attempt",
        duration(record.seconds),
        duration(record.cpu_seconds),
        record.steps
    ));
    if let Some(processor) = &record.processor {
        ui::line(&format!("  on {processor}"));
    }
    let (lists, plain): (Vec<_>, Vec<_>) = record.summary.iter().partition(|(_, value)| is_list_of_tables(value));
    for (key, value) in plain {
        ui::line(&format!("  {key}: {}", short(value)));
    }
    for (_, value) in lists {
        ui::table(&table_of(value));
    }
    let mut table = Table::new(["output", "type", "size", "digest"]);
    for (name, OutputRecord { artifact, digest, bytes: size, .. }) in &record.outputs {
        table.push(vec![name.clone(), artifact.clone(), bytes(*size), digest.to_string()]);
    }
    ui::table(&table);
    with_curve(store, record, curve::draw);
    Ok(Status::Done)
}

fn is_list_of_tables(value: &Value) -> bool {
    value.as_array().is_some_and(|items| !items.is_empty() && items.iter().all(Value::is_object))
}

/// One row for each table of a list, the columns as the first has them.
fn table_of(list: &Value) -> Table {
    let rows: Vec<&serde_json::Map<String, Value>> =
        list.as_array().into_iter().flatten().filter_map(Value::as_object).collect();
    let columns: Vec<&str> = rows.first().into_iter().flat_map(|row| row.keys()).map(String::as_str).collect();
    let mut table = Table::new(columns.iter().copied());
    for row in rows {
        table.push(columns.iter().map(|column| row.get(*column).map_or_else(String::new, short)).collect());
    }
    table
}

fn short(value: &Value) -> String {
    match value.as_f64() {
        Some(number) if value.is_f64() => format!("{number:.4}"),
        _ => value.as_str().map_or_else(|| value.to_string(), str::to_owned),
    }
}

/// Opens a record's curve for `read`. One that is damaged or gone is told of: the record is as good without.
fn with_curve(store: &Store, record: &Record, read: fn(fs_err::File) -> Result<()>) {
    let Some(metrics) = &record.metrics else { return };
    let read = store.open_checked(metrics).map_err(anyhow::Error::from).and_then(read);
    if let Err(error) = read.context("the curve cannot be shown") {
        ui::note(&format!("{error:#}"));
    }
}
