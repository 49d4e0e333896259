//! `r1flow apply`: brings a workflow up to date, or follows a saved plan.

use anyhow::{Context, Result};
use engine::event::Event;
use engine::options::Halt;
use engine::plan::{self, PlanRow};
use engine::schedule::{Summary, apply};
use engine::workflow::Workflow;
use store::Store;
use tokio::sync::watch;

use crate::arguments::{Global, MachineArgs, SelectionArgs, WorkflowArgs};
use crate::exit::{EXIT_CODES, Status};
use crate::loading::load_fetched;
use crate::running::{Audience, explained, options, to_end};
use crate::saved_plan::SavedPlan;
use crate::ui::{self, reason, status_word};
use crate::views::plan::{Moved, moved};
use crate::views::scores::scores;

#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Args {
    #[command(flatten)]
    workflow: WorkflowArgs,
    #[command(flatten)]
    selection: SelectionArgs,
    #[command(flatten)]
    machine: MachineArgs,
    /// After a failure, still start stages that do not depend on the failed one; this is the default.
    #[arg(long, short, overrides_with = "fail_fast")]
    keep_going: bool,
    /// Start no more stages once one has failed; running stages continue.
    #[arg(long)]
    fail_fast: bool,
}

pub(crate) fn run(global: &Global, args: &Args) -> Result<Status> {
    let saved = SavedPlan::read(&args.workflow, &args.selection)?;
    let (source, selection) = match &saved {
        Some(saved) => (saved.workflow_args(), saved.selection.clone()),
        None => (args.workflow.clone(), args.selection.selection()),
    };
    let Some(workflow) = load_fetched(global, &source, &selection)? else { return Ok(Status::Refused) };
    let store = Store::open(&global.store)?;
    if let Some(saved) = &saved {
        let now = plan::plan(workflow, &store, &selection)?;
        let differences = moved(&saved.plan, &now);
        if !differences.is_empty() {
            let list = differences.iter().map(difference).collect::<Vec<_>>().join("\n  ");
            let help = "look at what has changed, and make a new plan: `r1flow plan … -o FILE`";
            ui::error(&format!("the plan is out of date:\n  {list}"), Some(help));
            return Ok(Status::Refused);
        }
    }
    let (sender, halt) = watch::channel(Halt::Run);
    let mut options = options(global, &args.machine, selection, halt)?;
    options.fail_fast = args.fail_fast && !args.keep_going;
    let summary = to_end(sender, Audience::begin(global.json, global.verbose > 0), async |speaker| {
        apply(workflow, &store, &options, |event: &Event| speaker.event(event)).await
    });
    conclude(global, workflow, &store, &summary?.map_err(explained)?)
}

/// Returns how a stage's plan has changed, in one line.
fn difference(moved: &Moved) -> String {
    let said = |row: Option<&PlanRow>| {
        let Some(row) = row else { return "is not there".to_owned() };
        let status = status_word(row.status).trim();
        let why: Vec<String> = row.reasons.iter().map(reason).collect();
        if why.is_empty() { status.to_owned() } else { format!("{status} ({})", why.join(", ")) }
    };
    format!("`{}`: was {}, is {}", moved.stage, said(moved.was), said(moved.is))
}

fn conclude(global: &Global, workflow: &Workflow, store: &Store, summary: &Summary) -> Result<Status> {
    if !global.json {
        let scores = scores(workflow, store, &summary.done).context("the final table cannot be made")?;
        ui::note_unreadable(&scores);
        if let Some(comparison) = scores.comparison() {
            ui::line("");
            ui::table(&ui::scores_table(&comparison));
        }
    }
    // A failed stage outranks an interruption, because the user must act on it.
    if summary.is_refused {
        return Ok(Status::Refused);
    }
    Ok(match (summary.failed.is_empty(), summary.left.is_empty()) {
        (false, _) => Status::StageFailed,
        (true, false) => Status::Interrupted,
        (true, true) => Status::Done,
    })
}
