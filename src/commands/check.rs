//! `r1flow check`: reports every mistake in a workflow at once.

use anyhow::Result;
use engine::workflow::Workflow;

use crate::arguments::{Global, WorkflowArgs};
use crate::exit::Status;
use crate::loading::load_checked;
use crate::ui;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    workflow: WorkflowArgs,
}

pub(crate) fn run(global: &Global, args: &Args) -> Result<Status> {
    let all = |workflow: &Workflow| Ok(workflow.graph.node_weights().map(|stage| stage.name.clone()).collect());
    let Some(workflow) = load_checked(global, &args.workflow, all)? else { return Ok(Status::Refused) };
    let (stages, edges) = (workflow.graph.node_count(), workflow.graph.edge_count());
    if global.json {
        ui::print_json(
            &serde_json::json!({ "workflow": workflow.name, "stages": stages, "edges": edges, "mistakes": [] }),
        )?;
        return Ok(Status::Done);
    }
    ui::line(&format!("{}: {}, {}, no mistakes", workflow.name, ui::count(stages, "stage"), ui::count(edges, "edge")));
    Ok(Status::Done)
}
