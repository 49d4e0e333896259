//! `r1flow scores`: one table of everything that a workflow evaluates.
//!
//! Each report brings a row of figures; this file sets them side by side and adds what a report cannot know, the time
//! that the evaluated stage took.

use std::collections::HashMap;

use anyhow::{Result, anyhow};
use engine::artifact::ArtifactType;
use engine::workflow::{StageDecl, Target, Workflow};
use serde_json::Value;
use store::{Digest, OutputRecord, Store};

use crate::arguments::{Global, WorkflowArgs};
use crate::exit::Status;
use crate::loading::{find_store, load_workflow};
use crate::results::fresh;
use crate::ui::{self, Table};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    workflow: WorkflowArgs,
}

pub(crate) fn run(global: &Global, args: &Args) -> Result<Status> {
    let Some(workflow) = load_workflow(global, &args.workflow)? else { return Ok(Status::Refused) };
    let store = find_store(global)?;
    let fresh = fresh(workflow, &store)?;
    if global.json {
        ui::print_json(&reports(workflow, &store, &fresh)?)?;
        return Ok(Status::Done);
    }
    let table = table(workflow, &store, &fresh)?;
    ui::table(&table.ok_or_else(|| anyhow!("`{}` has no fresh evaluation: run `r1flow apply` first", workflow.name))?);
    Ok(Status::Done)
}

/// Returns the final table, if there are at least two reports to compare.
pub(crate) fn table(workflow: &Workflow, store: &Store, done: &HashMap<String, Digest>) -> Result<Option<Table>> {
    let reports = reports(workflow, store, done)?;
    if reports.len() < 2 {
        return Ok(None);
    }
    let mut columns: Vec<String> = Vec::new();
    for Evaluated { report, .. } in &reports {
        for cell in report["row"].as_array().into_iter().flatten() {
            let name = cell["column"].as_str().unwrap_or("");
            if !columns.iter().any(|column| column == name) {
                columns.push(name.to_owned());
            }
        }
    }
    let mut table = Table::new(["stage"].into_iter().chain(columns.iter().map(String::as_str)).chain(["seconds"]));
    for Evaluated { stage, seconds, report } in &reports {
        let mut row = vec![stage.clone()];
        for column in &columns {
            let cell = report["row"].as_array().into_iter().flatten().find(|cell| cell["column"] == *column.as_str());
            row.push(cell.map_or_else(|| "-".to_owned(), figure));
        }
        row.push(seconds.map_or_else(|| "-".to_owned(), |seconds| format!("{seconds:.1}")));
        table.push(row);
    }
    Ok(Some(table))
}

/// A report and what it is about.
#[derive(serde::Serialize)]
struct Evaluated {
    /// The stage that made the model; the evaluation itself where none did.
    stage: String,
    /// Wall time of that stage.
    seconds: Option<f64>,
    report: Value,
}

/// Returns every report, in the file's order.
fn reports(workflow: &Workflow, store: &Store, done: &HashMap<String, Digest>) -> Result<Vec<Evaluated>> {
    let record_of = |stage: &str| done.get(stage).map_or(Ok(None), |fingerprint| store.record(fingerprint));
    let mut reports = Vec::new();
    for stage in workflow.graph.node_weights() {
        let is_report = stage.outputs.values().any(|artifact| *artifact == ArtifactType::Report);
        if !is_report {
            continue;
        }
        let Some(record) = record_of(&stage.name.0)? else { continue };
        for output in record.outputs.values() {
            let report = match report(store, output) {
                Ok(Some(report)) => report,
                Ok(None) => continue,
                Err(error) => {
                    ui::note(&format!("the report of `{}` cannot be read and is left out: {error:#}", stage.name));
                    continue;
                }
            };
            let subject = subject(stage);
            let seconds = match &subject {
                Some(subject) => record_of(subject)?.map(|record| record.seconds),
                None => None,
            };
            reports.push(Evaluated { stage: subject.unwrap_or_else(|| stage.name.to_string()), seconds, report });
        }
    }
    Ok(reports)
}

/// Returns the report in an output, if there is one in it.
fn report(store: &Store, output: &OutputRecord) -> Result<Option<Value>> {
    let member = output.members.iter().find(|member| member.path == "report.json");
    member.map(|member| Ok(serde_json::from_slice(&store.read(&member.digest)?)?)).transpose()
}

/// The stage whose model a report is about.
fn subject(stage: &StageDecl) -> Option<String> {
    let model = stage.references.iter().find(|reference| reference.artifact == ArtifactType::Model)?;
    match &model.target {
        Target::Output { stage, .. } => Some(stage.to_string()),
        Target::Input(name) => Some(format!("inputs.{name}")),
    }
}

fn figure(cell: &Value) -> String {
    let number = |value: &Value| value.as_f64();
    match (number(&cell["value"]), number(&cell["error"])) {
        (Some(value), Some(error)) => format!("{value:.3} ± {error:.3}"),
        (Some(value), None) if value.abs() >= 2.0 => format!("{value:.1}"),
        (Some(value), None) => format!("{value:.3}"),
        (None, _) => "-".to_owned(),
    }
}
