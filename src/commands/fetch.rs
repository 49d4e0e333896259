//! `r1flow fetch`: downloads a workflow's hub inputs, and checks whether their branches have moved.

use std::collections::BTreeMap;

use anyhow::Result;
use engine::diagnostic::Severity;
use engine::workflow::hub::{HubId, HubInput};
use serde_json::{Value, json};

use crate::arguments::{Global, WorkflowArgs};
use crate::exit::Status;
use crate::hub::FetchedInput;
use crate::loading::load_from;
use crate::ui::{self, Table, bytes};
use crate::{diagnostic, fetching};

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
    let outcomes = fetching::fetch_newest(global, &mut loaded, &inputs)?;
    if global.json {
        let mut told = diagnostic::to_json(&loaded);
        told["inputs"] = to_json(&inputs, &outcomes);
        ui::print_json(&told)?;
    } else {
        diagnostic::show_each(&loaded, Severity::Note);
        print(&inputs, &outcomes);
    }
    Ok(if outcomes.len() == inputs.len() { Status::Done } else { Status::Refused })
}

fn done<'a>(
    inputs: &'a [(String, HubInput)],
    outcomes: &'a BTreeMap<String, FetchedInput>,
) -> impl Iterator<Item = (&'a String, &'a HubId, &'a FetchedInput)> {
    inputs.iter().filter_map(|(name, input)| Some((name, &input.id, outcomes.get(name)?)))
}

fn to_json(inputs: &[(String, HubInput)], outcomes: &BTreeMap<String, FetchedInput>) -> Value {
    let rows = done(inputs, outcomes).map(|(name, id, outcome)| {
        let FetchedInput { fetched, before, files, bytes } = outcome;
        let (commit, path) = (&fetched.commit, &fetched.path);
        let id = id.to_string();
        let about =
            json!({ "id": id, "commit": commit, "before": before, "path": path, "files": files, "bytes": bytes });
        (name.clone(), about)
    });
    Value::Object(rows.collect())
}

fn print(inputs: &[(String, HubInput)], outcomes: &BTreeMap<String, FetchedInput>) {
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
