//! `r1flow check`: reports every mistake in a workflow at once, and what its inputs and models give to think about.

use anyhow::Result;
use engine::diagnostic::Severity;
use engine::workflow::Workflow;

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
    let Some(Checked { workflow, loaded }) = load_checked(global, &args.workflow, all)? else {
        return Ok(Status::Refused);
    };
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
