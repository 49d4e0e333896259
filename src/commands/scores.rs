//! `r1flow scores`: one table of everything that a workflow evaluates.

use anyhow::{Result, anyhow};

use crate::arguments::{Global, WorkflowArgs};
use crate::exit::Status;
use crate::loading::{find_store, load_workflow};
use crate::results::fresh;
use crate::ui;
use crate::views::scores::scores;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    workflow: WorkflowArgs,
}

pub(crate) fn run(global: &Global, args: &Args) -> Result<Status> {
    let Some(workflow) = load_workflow(global, &args.workflow)? else { return Ok(Status::Refused) };
    let store = find_store(global)?;
    let scores = scores(workflow, &store, &fresh(workflow, &store)?)?;
    ui::note_unreadable(&scores);
    if global.json {
        ui::print_json(&scores)?;
        return Ok(Status::Done);
    }
    let none = || anyhow!("`{}` has no fresh evaluation: run `r1flow apply` first", workflow.name);
    ui::table(&ui::scores_table(&scores.comparison().ok_or_else(none)?));
    Ok(Status::Done)
}
