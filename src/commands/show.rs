//! `r1flow show`: looks inside a stage, one of its outputs, or a digest.

use std::path::Path;

use anyhow::{Result, anyhow};
use engine::event::Event;
use engine::run;
use serde_json::{Value, json};
use store::{Digest, Member, OutputRecord, Record, Store};

use super::{Global, Status, find_store, no_such, print_json};
use crate::ui::{self, Style, Table, bytes, duration, sparkline};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// `stage`, `stage.output`, `inputs.name` of one from a hub, or `b3:…`.
    #[arg(value_name = "WHAT")]
    what: String,
    /// Rows of a data set to print.
    #[arg(long, default_value_t = 3, value_name = "N")]
    rows: usize,
}

/// What a name on the command line stands for.
pub(crate) enum Named {
    Stage(Box<Record>),
    Output(Digest),
}

pub(crate) fn run(global: &Global, args: &Args) -> Result<Status> {
    let store = find_store(global)?;
    if let Some(name) = args.what.strip_prefix("inputs.") {
        return show_input(global, &store, name);
    }
    match find(&store, &args.what)? {
        Named::Stage(record) => show_record(global, &store, &args.what, &record),
        Named::Output(digest) => show_tree(global, &store, &digest, args.rows),
    }
}

/// Finds a stage's newest record, one of its outputs (`stage.output`), or a digest as such.
pub(crate) fn find(store: &Store, what: &str) -> Result<Named> {
    if let Ok(digest) = what.parse() {
        return Ok(Named::Output(digest));
    }
    if let Some(record) = newest(store, what)? {
        return Ok(Named::Stage(Box::new(record)));
    }
    if let Some((stage, output)) = what.rsplit_once('.')
        && let Some(record) = newest(store, stage)?
    {
        let found = record.outputs.get(output);
        let missing = || no_such("output", output, record.outputs.keys().map(String::as_str));
        return Ok(Named::Output(found.ok_or_else(missing)?.digest));
    }
    let records = store.all_records()?;
    Err(no_such("stage in the store", what, records.iter().map(|record| record.stage.as_str())))
}

/// Returns the record of a stage's latest result, whatever workflow it belonged to.
pub(crate) fn newest(store: &Store, stage: &str) -> Result<Option<Record>> {
    Ok(history(store, stage)?.pop())
}

/// Returns the records that a stage went through, oldest first: as the runs tell, or where those are gone, what was
/// made under its name.
pub(crate) fn history(store: &Store, stage: &str) -> Result<Vec<Record>> {
    let mut records = Vec::new();
    for fingerprint in run::fingerprints(store, stage)?.iter().rev() {
        records.extend(store.record(fingerprint)?);
    }
    if records.is_empty() {
        records = store.records_of_stage(stage)?;
        records.reverse();
    }
    Ok(records)
}

/// Shows what an input from a hub was in the newest run that read it.
fn show_input(global: &Global, store: &Store, name: &str) -> Result<Status> {
    for id in run::list(store)?.iter().rev() {
        for entry in run::events(store, id)? {
            if let Event::RunStarted { workflow, inputs, .. } = &entry.event
                && let Some(version) = inputs.get(name)
            {
                if global.json {
                    return print_json(&json!({ "input": name, "version": version, "run": id, "workflow": workflow }));
                }
                ui::line(&format!("{} is {version}", ui::styled(name, Style::Strong)));
                ui::line(&format!("  in the newest run that read it, {id} of workflow {workflow}"));
                return Ok(Status::Done);
            }
        }
    }
    Err(anyhow!("no run has read an input `{name}` from a hub; what an input is made of, the workflow says"))
}

fn show_record(global: &Global, store: &Store, stage: &str, record: &Record) -> Result<Status> {
    let curve = curve(store, record)?;
    if global.json {
        return print_json(&json!({ "record": record, "curve": curve }));
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
    print_curve(&curve);
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

fn curve(store: &Store, record: &Record) -> Result<Vec<Value>> {
    let Some(metrics) = &record.metrics else { return Ok(Vec::new()) };
    let text = String::from_utf8_lossy(&store.read(metrics)?).into_owned();
    Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
}

fn print_curve(curve: &[Value]) {
    let mut names: Vec<&String> =
        curve.iter().filter_map(|line| line["metrics"].as_object()).flat_map(|metrics| metrics.keys()).collect();
    names.sort();
    names.dedup();
    if names.is_empty() {
        return;
    }
    let mut table = Table::new(["metric", "first", "last", "curve"]);
    for name in names {
        let values: Vec<f64> = curve.iter().filter_map(|line| line["metrics"][name].as_f64()).collect();
        let (first, last) = (values[0], values[values.len() - 1]);
        table.push(vec![name.clone(), format!("{first:.4}"), format!("{last:.4}"), sparkline(&values)]);
    }
    ui::table(&table);
}

fn show_tree(global: &Global, store: &Store, digest: &Digest, rows: usize) -> Result<Status> {
    let tree = store.tree(digest)?;
    if global.json {
        return print_json(&tree);
    }
    let mut table = Table::new(["file", "size", "digest"]);
    for member in &tree.members {
        table.push(vec![member.path.to_string(), bytes(member.size), member.digest.to_string()]);
    }
    ui::table(&table);
    // A teacher's logits may have thousands of shards, one like the other.
    let are_alike = tree.members.iter().any(|member| member.path == "logits.json");
    let is_shard = |member: &&Member| are_alike && member.path.ends_with(".safetensors");
    let first = tree.members.iter().find(is_shard);
    for member in tree.members.iter().filter(|member| !is_shard(member)).chain(first) {
        show_member(store, member, rows)?;
    }
    Ok(Status::Done)
}

fn show_member(store: &Store, member: &Member, rows: usize) -> Result<()> {
    let extension = Path::new(&member.path).extension().and_then(|extension| extension.to_str()).unwrap_or("");
    match (extension, member.path.as_str()) {
        ("jsonl", _) => {
            let text = String::from_utf8_lossy(&store.read(&member.digest)?).into_owned();
            ui::line(&format!("\n{}: {}", member.path, ui::count(text.lines().count(), "row")));
            text.lines().take(rows).for_each(ui::line);
        }
        (_, "report.json" | "config.json" | "logits.json") => {
            ui::line(&format!("\n{}", member.path));
            ui::line(String::from_utf8_lossy(&store.read(&member.digest)?).trim_end());
        }
        ("safetensors", _) => show_tensors(store, member)?,
        _ => {}
    }
    Ok(())
}

/// Reads the header of a safetensors file: 8 bytes of length, then JSON of name → dtype, shape, offsets.
fn show_tensors(store: &Store, member: &Member) -> Result<()> {
    let bytes = store.read(&member.digest)?;
    let header = bytes
        .split_at_checked(8)
        .and_then(|(length, rest)| {
            let length = usize::try_from(u64::from_le_bytes(length.try_into().ok()?)).ok()?;
            serde_json::from_slice::<serde_json::Map<String, Value>>(rest.get(..length)?).ok()
        })
        .ok_or_else(|| anyhow!("`{}` is no safetensors file", member.path))?;
    let mut table = Table::new(["tensor", "dtype", "shape"]);
    let mut parameters = 0;
    for (name, tensor) in header.iter().filter(|(name, _)| *name != "__metadata__") {
        let shape: Vec<u64> = tensor["shape"].as_array().into_iter().flatten().filter_map(Value::as_u64).collect();
        parameters += shape.iter().product::<u64>();
        table.push(vec![name.clone(), tensor["dtype"].as_str().unwrap_or("?").to_owned(), format!("{shape:?}")]);
    }
    ui::line(&format!("\n{}: {parameters} parameters", member.path));
    ui::table(&table);
    Ok(())
}
