//! `r1flow show`: looks inside a stage, one of its outputs, or a digest. Damaged parts are reported, and the rest is
//! shown.

mod beside;
mod output;

use std::collections::BTreeMap;
use std::io::Read;
use std::ops::ControlFlow;

use anyhow::{Context, Result, bail};
use engine::history::History;
use engine::run;
use serde_json::Value;
use store::{Digest, OutputRecord, Record, Store};

use crate::arguments::{Global, NameArgs};
use crate::exit::{Advice, Status};
use crate::loading::find_store;
use crate::results::{Found, Invocation, Look, Named, find, not_fresh, typed_sets, unfinished};
use crate::ui::{self, Sparkline, Style, Table, bytes, count, duration};
use crate::views::curve::{each_step, number};
use crate::views::rows::Condition;
use crate::views::stage::{Unfinished, inputs, unfinished as unfinished_view};

use beside::show_beside;
use output::{show_growing, show_output};

/// The most metrics that are drawn; no curve of r1flow has more.
const DRAWN: usize = 1_000;

/// The output of an evaluation that has its answers.
const ANSWERS: &str = "answers";

/// The most blocks of a drawn curve.
const CURVE: usize = 32;

/// Bytes of a curve that are printed in one write.
const AT_ONCE: usize = 1 << 16;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// `stage`, `stage.output`, `inputs.name` (an input from a hub), or `b3:…`.
    #[arg(value_name = "WHAT")]
    what: String,
    /// Rows of a data set to print, 3 unless given.
    #[arg(long, value_name = "N")]
    rows: Option<usize>,
    /// Print only rows that meet this condition, as in `reward<0.2` or `part.name!=x` (repeatable).
    #[arg(long = "where", value_name = "CONDITION")]
    conditions: Vec<Condition>,
    /// Print rows that are drawn at random.
    #[arg(long, value_name = "N", conflicts_with = "rows")]
    random: Option<usize>,
    /// The seed of `--random`.
    #[arg(long, default_value_t = 0, requires = "random", value_name = "N")]
    seed: u64,
    /// Of an evaluation, print answers that are not right.
    #[arg(long)]
    failed: bool,
    /// Of an evaluation, compare its answers with those of another one, question by question.
    #[arg(long, value_name = "EVALUATION", conflicts_with_all = ["conditions", "random", "failed"])]
    beside: Option<String>,
    #[command(flatten)]
    names: NameArgs,
}

pub(crate) fn run(global: &Global, args: &Args) -> Result<Status> {
    let store = find_store(global)?;
    if let Some(name) = args.what.strip_prefix("inputs.") {
        return show_input(global, &store, name, &args.names);
    }
    if let Some(other) = &args.beside {
        return show_beside(global, &store, args, other);
    }
    let asked = Invocation { command: "show", what: &args.what, tail: "" };
    let look = Look { global, store: &store, args: &args.names, asked };
    if args.failed {
        return match find(&look, &format!("{}.{ANSWERS}", args.what))? {
            Found::Output(digest, source) => show_output(global, &store, (&digest, source.as_ref()), args),
            Found::Growing(growing) => show_growing(global, &growing, args),
            Found::Stage(_) => {
                bail!("`{}` is no evaluation: `--failed` shows its answers that are not right", args.what)
            }
        };
    }
    match find(&look, &args.what)? {
        Found::Output(digest, source) => show_output(global, &store, (&digest, source.as_ref()), args),
        Found::Growing(growing) => show_growing(global, &growing, args),
        Found::Stage(_) if !args.conditions.is_empty() || args.random.is_some() => {
            bail!("`{}` is a stage, and rows are in its outputs: name one, `{0}.OUTPUT`", args.what)
        }
        Found::Stage(named) => match (&named.record, unfinished(&store, &named)?) {
            (Some(record), _) => show_record(global, &store, &named.stage, record),
            (None, Some(history)) => show_unfinished(global, &store, &named, &history),
            (None, None) => Err(not_fresh(&look, &named)?),
        },
    }
}

/// Shows the version of a hub input in the newest run that read it.
fn show_input(global: &Global, store: &Store, name: &str, args: &NameArgs) -> Result<Status> {
    let wanted = args.workflow.as_ref().map(fs_err::canonicalize).transpose()?;
    let wanted = wanted.map(|file| run::file_name(store, &file));
    let found = inputs(store, name, wanted.as_deref())?;
    let Some(newest) = found.first() else {
        return Err(Advice::new(
            format!("no run of this store has fetched an input `{name}` from a hub"),
            "this shows the version of inputs from the hub; where a local input is, its workflow says under `[inputs]`",
        )
        .into());
    };
    if found.iter().any(|other| other.version != newest.version) {
        let told: String = found.iter().flat_map(|found| ["\n  `", &found.file, "`: ", &found.version]).collect();
        let help = format!("say which: `r1flow show inputs.{name} --workflow FILE`");
        return Err(Advice::new(format!("`inputs.{name}` is not the same in every workflow{told}"), help).into());
    }
    if global.json {
        ui::print_json(newest)?;
        return Ok(Status::Done);
    }
    ui::line(&format!("{} is {}", ui::styled(name, Style::Strong), newest.version));
    ui::line(&format!("  in the newest run that read it, {} of workflow {}", newest.run, newest.workflow));
    Ok(Status::Done)
}

/// Shows the progress of the last attempt at a stage that has no result.
fn show_unfinished(global: &Global, store: &Store, named: &Named, history: &History) -> Result<Status> {
    let unfinished = unfinished_view(store, history, &named.stage);
    let metrics = run::stage_metrics(&store.runs_dir().join(&history.id), &named.stage);
    let with_curve = |with: fn(fs_err::File) -> Result<()>| match outside::open(&metrics) {
        Ok(file) => with(file),
        // The file is created with the first step.
        Err(_) => Ok(()),
    };
    if global.json {
        let head = serde_json::to_string(&unfinished)?;
        ui::json(&format!("{{\n  \"unfinished\": {head},\n  \"curve\": ["));
        with_curve(print_curve)?;
        ui::json("]\n}\n");
        return Ok(Status::Done);
    }
    let Unfinished { run, workflow, stage: state } = &unfinished;
    let kind = state.kind.as_deref().unwrap_or("?");
    let stage = ui::styled(&named.stage, Style::Strong);
    let sets = history.begun().map(|begun| typed_sets(begun.sets)).filter(|sets| !sets.is_empty());
    let sets = sets.map_or_else(String::new, |sets| format!(" with `{}`", sets.trim_start()));
    ui::line(&format!("{stage} ({kind}), {} in run {run} of workflow {workflow}{sets}", <&str>::from(state.state)));
    if let Some(message) = &state.message {
        ui::line(&format!("  {message}"));
    }
    if let Some(progress) = state.progress() {
        let left = state.seconds_left.map_or_else(String::new, |left| format!(", {} left", duration(left)));
        ui::line(&format!("  {progress}{left}"));
    }
    with_curve(draw_curve)
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
        with_curve(store, record, print_curve);
        ui::json("]\n}\n");
        return Ok(Status::Done);
    }
    let name = ui::styled(stage, Style::Strong);
    ui::text(&format!("{name} ({}), {} in workflow {}", record.kind, record.finished, record.workflow), 2);
    let fingerprint = format!("  fingerprint {}", record.fingerprint);
    let is_narrow = ui::room().is_some_and(|room| room < fingerprint.len());
    ui::line(&if is_narrow { format!("  fingerprint {}", short_digest(&record.fingerprint)) } else { fingerprint });
    ui::line(&format!(
        "  {} of work, {} of CPU, {} in the last attempt",
        duration(record.seconds),
        duration(record.cpu_seconds),
        count(usize::try_from(record.steps).unwrap_or(usize::MAX), "step")
    ));
    if let Some(processor) = &record.processor {
        ui::text(&format!("  on {processor}"), 4);
    }
    let (lists, plain): (Vec<_>, Vec<_>) = record.summary.iter().partition(|(_, value)| is_list_of_tables(value));
    for (key, value) in plain {
        ui::text(&format!("  {key}: {}", short(value)), 4);
    }
    for (_, value) in lists {
        ui::table(&table_of(value));
    }
    let mut table = Table::new(["output", "type", "size", "digest"]);
    for (name, OutputRecord { artifact, digest, bytes: size, .. }) in &record.outputs {
        table.push(vec![name.clone(), artifact.clone(), bytes(*size), short_digest(digest)]);
    }
    ui::table(&table);
    with_curve(store, record, draw_curve);
    Ok(Status::Done)
}

fn is_list_of_tables(value: &Value) -> bool {
    value.as_array().is_some_and(|items| !items.is_empty() && items.iter().all(Value::is_object))
}

/// Returns a row for each table of a list, with the columns of the first table.
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

/// Returns enough of a digest to name it: `r1flow show` takes it in this form.
fn short_digest(digest: &Digest) -> String {
    format!("b3:{}", digest.short())
}

fn short(value: &Value) -> String {
    match value.as_f64() {
        Some(number) if value.is_f64() => ui::number(number),
        _ => value.as_str().map_or_else(|| value.to_string(), str::to_owned),
    }
}

/// Calls `read` with a record's curve. A damaged or missing curve is only noted, because the record is valid without
/// it.
fn with_curve(store: &Store, record: &Record, read: fn(fs_err::File) -> Result<()>) {
    let Some(metrics) = &record.metrics else { return };
    let read = store.open_checked(metrics).map_err(anyhow::Error::from).and_then(read);
    if let Err(error) = read.context("the curve cannot be shown") {
        ui::note(&format!("{error:#}"));
    }
}

/// Draws a curve as a table, one row for each metric.
fn draw_curve(file: impl Read) -> Result<()> {
    let mut curves: BTreeMap<String, Sparkline> = BTreeMap::new();
    let spoilt = each_step(file, |_, step| {
        for (name, value) in step.metrics {
            if let Some(curve) = curves.get_mut(&name) {
                curve.add(number(&value));
            } else if curves.len() < DRAWN {
                curves.insert(name, Sparkline::of(number(&value)));
            }
        }
        while_read()
    })?;
    note_spoilt(spoilt);
    if curves.is_empty() {
        return Ok(());
    }
    let figures: Vec<_> =
        curves.iter().map(|(name, curve)| [name.clone(), ui::number(curve.first), ui::number(curve.last)]).collect();
    let before: usize = (0..3).map(|at| figures.iter().map(|row| row[at].len()).max().unwrap_or(0).max(6) + 2).sum();
    // A curve takes the room that the figures leave.
    let width = ui::room().map_or(CURVE, |room| room.saturating_sub(before).clamp(CURVE / 4, CURVE));
    let mut table = Table::new(["metric", "first", "last", "curve"]);
    for (figures, curve) in figures.into_iter().zip(curves.values()) {
        table.push(figures.into_iter().chain([curve.draw(width)]).collect());
    }
    ui::table(&table);
    Ok(())
}

/// Prints a curve as the elements of a JSON array, one line for each step.
fn print_curve(file: impl Read) -> Result<()> {
    let mut written = String::new();
    let mut is_empty = true;
    let read = each_step(file, |line, _| {
        written.push_str(if is_empty { "\n    " } else { ",\n    " });
        written.push_str(&String::from_utf8_lossy(line));
        is_empty = false;
        if written.len() > AT_ONCE {
            ui::json(&written);
            written.clear();
        }
        while_read()
    });
    written.push_str(if is_empty { "" } else { "\n  " });
    ui::json(&written);
    note_spoilt(read?);
    Ok(())
}

/// Continues while stdout has a reader.
fn while_read() -> ControlFlow<()> {
    if ui::has_reader() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
}

fn note_spoilt(spoilt: usize) {
    if spoilt > 0 {
        let are = if spoilt == 1 { "is" } else { "are" };
        ui::note(&format!("{} of the curve {are} torn or no step, and left out", count(spoilt, "line")));
    }
}
