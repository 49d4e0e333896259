//! `r1flow check`: reports every mistake in a workflow at once, and what its inputs and models give to think about.

use anyhow::Result;
use engine::diagnostic::{Diagnostic, Severity, tidy};
use engine::select::{self, Selection};
use engine::workflow::{InputDecl, Workflow};

use crate::arguments::{Global, WorkflowArgs};
use crate::exit::Status;
use crate::loading::{Checked, load_checked};
use crate::{diagnostic, ui};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    workflow: WorkflowArgs,
}

pub(crate) fn run(global: &Global, args: &Args) -> Result<Status> {
    let all = |workflow: &Workflow| Ok(workflow.graph.node_weights().map(|stage| stage.name.clone()).collect());
    let Some(Checked { workflow, mut loaded }) = load_checked(global, &args.workflow, all)? else {
        return Ok(Status::Refused);
    };
    loaded.diagnostics.extend(unseen(workflow, &args.workflow));
    tidy(&mut loaded.diagnostics);
    let (stages, edges) = (workflow.graph.node_count(), workflow.graph.edge_count());
    if global.json {
        let mut found = diagnostic::to_json(&loaded);
        let about = serde_json::json!({ "workflow": workflow.name, "stages": stages, "edges": edges });
        found.as_object_mut().expect("it is written as one").extend(about.as_object().cloned().unwrap_or_default());
        ui::print_json(&found)?;
        return Ok(Status::Done);
    }
    diagnostic::show_each(&loaded, Severity::Note);
    ui::line(&format!("{}: {}, {}, no mistakes", workflow.name, ui::count(stages, "stage"), ui::count(edges, "edge")));
    Ok(Status::Done)
}

/// Returns a note for each input of the hub that is not fetched: neither it nor what stages make of it was looked at.
fn unseen(workflow: &Workflow, args: &WorkflowArgs) -> Vec<Diagnostic> {
    let read = select::inputs(workflow, &Selection::default()).unwrap_or_default();
    let is_missing = |name: &str, input: &InputDecl| input.path().is_none() && read.contains(name);
    let missing = workflow.inputs.iter().filter(|(name, input)| is_missing(name, input));
    let note = |(name, input): (&String, &InputDecl)| {
        let message = format!("`inputs.{name}` is not fetched, so it was not looked at");
        let help = format!("`r1flow fetch {}` fetches it; check again then", args.file.display());
        Diagnostic::of(Severity::Note, &input.span, message, "an input of the hub").with_help(help)
    };
    missing.map(note).collect()
}
