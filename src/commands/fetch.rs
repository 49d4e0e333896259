//! `r1flow fetch`: downloads the inputs that lie on a hub, and asks whether their branches have moved.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Result, bail};
use engine::workflow::Loaded;
use engine::workflow::hub::{HubId, HubInput};
use serde_json::{Value, json};
use store::Store;

use super::{Status, WorkflowArgs, load_from, print_json};
use crate::diagnostic;
use crate::hub::{self, Outcome, Settings, Trouble};
use crate::options::Global;
use crate::ui::{self, Table, bytes};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    workflow: WorkflowArgs,
}

pub(crate) fn run(global: &Global, args: &Args) -> Result<Status> {
    let mut loaded = load_from(global, &args.workflow, &global.store)?;
    let Some(workflow) = &loaded.workflow else { return Ok(Status::Refused) };
    let inputs: Vec<(String, HubInput)> =
        workflow.hub_inputs().map(|(name, input)| (name.to_owned(), input.clone())).collect();
    let outcomes = fetch(global, &mut loaded, &inputs, hub::fetch_newest)?;
    if global.json {
        let mut told = diagnostic::to_json(&loaded);
        told["inputs"] = to_json(&inputs, &outcomes);
        print_json(&told)?;
    } else {
        diagnostic::show_each(&loaded);
        print(&inputs, &outcomes);
    }
    Ok(if outcomes.len() == inputs.len() { Status::Done } else { Status::Refused })
}

/// Fetches those of a workflow's inputs in `read` that are not here; what cannot be fetched is shown, and then there is
/// no workflow any more.
pub(crate) fn fetch_missing(global: &Global, loaded: &mut Loaded, read: &BTreeSet<String>) -> Result<()> {
    let Some(workflow) = &loaded.workflow else { bail!("a workflow with mistakes reads nothing") };
    let is_missing = |(name, input): &(&str, &HubInput)| input.fetched.is_none() && read.contains(*name);
    let missing: Vec<(String, HubInput)> =
        workflow.hub_inputs().filter(is_missing).map(|(name, input)| (name.to_owned(), input.clone())).collect();
    let mut outcomes = fetch(global, loaded, &missing, hub::fetch_missing)?;
    if outcomes.len() < missing.len() {
        diagnostic::show_each(loaded);
        loaded.workflow = None;
    }
    if let Some(workflow) = &mut loaded.workflow {
        workflow.fetched_inputs(|name, input| {
            outcomes.remove(name).map(|outcome| outcome.fetched).or_else(|| input.fetched.clone())
        });
    }
    Ok(())
}

/// Fetches inputs one after the other; each that cannot be fetched becomes a diagnostic.
fn fetch(
    global: &Global,
    loaded: &mut Loaded,
    inputs: &[(String, HubInput)],
    how: fn(&Settings, &Path, &HubId) -> Result<Outcome, Trouble>,
) -> Result<BTreeMap<String, Outcome>> {
    if !inputs.is_empty() {
        Store::open(&global.store)?;
    }
    let settings = Settings::from_env();
    let mut outcomes = BTreeMap::new();
    for (name, input) in inputs {
        match how(&settings, &global.store, &input.id) {
            Ok(outcome) => drop(outcomes.insert(name.clone(), outcome)),
            Err(trouble) => loaded.diagnostics.push(trouble.at(input)),
        }
    }
    Ok(outcomes)
}

fn done<'a>(
    inputs: &'a [(String, HubInput)],
    outcomes: &'a BTreeMap<String, Outcome>,
) -> impl Iterator<Item = (&'a String, &'a HubId, &'a Outcome)> {
    inputs.iter().filter_map(|(name, input)| Some((name, &input.id, outcomes.get(name)?)))
}

fn to_json(inputs: &[(String, HubInput)], outcomes: &BTreeMap<String, Outcome>) -> Value {
    let rows = done(inputs, outcomes).map(|(name, id, outcome)| {
        let Outcome { fetched, before, files, bytes } = outcome;
        let (commit, path) = (&fetched.commit, &fetched.path);
        let id = id.to_string();
        let about =
            json!({ "id": id, "commit": commit, "before": before, "path": path, "files": files, "bytes": bytes });
        (name.clone(), about)
    });
    Value::Object(rows.collect())
}

fn print(inputs: &[(String, HubInput)], outcomes: &BTreeMap<String, Outcome>) {
    if inputs.is_empty() {
        ui::line("no input of this workflow lies on a hub");
    }
    if outcomes.is_empty() {
        return;
    }
    let mut table = Table::new(["input", "id", "commit", "files", "size", ""]);
    for (name, id, outcome) in done(inputs, outcomes) {
        let state = match &outcome.before {
            None => "new".to_owned(),
            Some(before) if *before == outcome.fetched.commit => String::new(),
            Some(before) => format!("moved from {}", &before[..before.len().min(12)]),
        };
        let commit = outcome.fetched.commit.chars().take(12).collect();
        table.push(vec![name.clone(), id.to_string(), commit, outcome.files.to_string(), bytes(outcome.bytes), state]);
    }
    ui::table(&table);
}
