//! `r1flow scores`: one table of everything that a workflow evaluates.

use anyhow::{Result, anyhow};

use crate::arguments::{Global, WorkflowArgs};
use crate::exit::Status;
use crate::loading::{find_store, load_workflow};
use crate::results::fresh;
use crate::ui;
use crate::views::scores::{makes_report, scores};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    workflow: WorkflowArgs,
}

pub(crate) fn run(global: &Global, args: &Args) -> Result<Status> {
    let Some(workflow) = load_workflow(global, &args.workflow)? else { return Ok(Status::Refused) };
    let store = find_store(global)?;
    let done = fresh(workflow, &store)?;
    let scores = scores(workflow, &store, &done)?;
    ui::note_unreadable(&scores);
    let stale = workflow.graph.node_weights().filter(|stage| makes_report(stage) && !done.contains_key(&stage.name.0));
    let stale: Vec<&str> = stale.map(|stage| stage.name.0.as_str()).collect();
    let (mut outdated, mut new) = (Vec::new(), Vec::new());
    for stage in stale.iter().filter(|_| !scores.evaluated.is_empty()) {
        let has_run = !store.records_of_stage(stage)?.is_empty();
        if has_run { outdated.push(*stage) } else { new.push(*stage) }
    }
    for (why, stages) in [("out of date", outdated), ("not run yet", new)] {
        if !stages.is_empty() {
            ui::note(&format!("not in the table, because {why}: {}", stages.join(", ")));
        }
    }
    if global.json {
        ui::print_json(&scores)?;
        return Ok(Status::Done);
    }
    let has_evaluations = workflow.graph.node_weights().any(makes_report);
    let none = || {
        let what = if has_evaluations { "fresh evaluation: run `r1flow apply` first" } else { "stage of kind `eval`" };
        anyhow!("`{}` has no {what}", workflow.name)
    };
    ui::table(&ui::scores_table(&scores.comparison().ok_or_else(none)?));
    Ok(Status::Done)
}
