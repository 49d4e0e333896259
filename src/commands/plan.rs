//! `r1flow plan`: what an `apply` would run, and why.

use anyhow::Result;
use engine::dirty::DirtyReason;
use engine::plan::{Plan, Status as RowStatus, plan};
use engine::workflow::{Origin, Workflow};
use store::Store;

use super::{Global, Status, WorkflowArgs, load_workflow, print_json};
use crate::ui::{self, Style, duration};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    workflow: WorkflowArgs,
}

pub(crate) fn run(global: &Global, args: &Args) -> Result<Status> {
    let Some(workflow) = load_workflow(global, &args.workflow)? else { return Ok(Status::Refused) };
    // A plan writes nothing that matters, but it needs a place to look.
    let store = Store::open(&global.store)?;
    let plan = plan(&workflow, &store)?;
    if global.json {
        return print_json(&plan);
    }
    print(&plan);
    if global.verbose > 0 {
        print_values(&workflow);
    }
    Ok(Status::Done)
}

fn print(plan: &Plan) {
    let fresh: Vec<&str> =
        plan.rows.iter().filter(|row| row.status == RowStatus::Fresh).map(|row| row.stage.as_str()).collect();
    if !fresh.is_empty() {
        ui::line(&format!("{} {}", ui::styled("fresh ", Style::Good), fresh.join("  ")));
    }
    let width = plan.rows.iter().map(|row| row.stage.len()).max().unwrap_or(0);
    for row in plan.rows.iter().filter(|row| row.status != RowStatus::Fresh) {
        let (word, style) = match row.status {
            RowStatus::Dirty => ("dirty ", Style::Warn),
            RowStatus::Extend { .. } => ("extend", Style::Warn),
            RowStatus::Maybe | RowStatus::Fresh => ("maybe ", Style::Dim),
        };
        let mut why: Vec<String> = row.reasons.iter().map(reason).collect();
        if let RowStatus::Extend { from, to } = row.status {
            let to = to.map_or(String::new(), |to| format!(" of {to}"));
            why.insert(0, format!("continues from step {from}{to}"));
        }
        let time = row.seconds.map_or_else(String::new, |seconds| format!("  ~{}", duration(seconds)));
        ui::line(&format!(
            "{} {:width$}  {}{}",
            ui::styled(word, style),
            row.stage,
            why.join(", "),
            ui::styled(&time, Style::Dim)
        ));
    }
    ui::line(&summary(plan));
}

fn summary(plan: &Plan) -> String {
    if plan.is_fresh() {
        return format!("{}: everything is fresh, nothing would run", plan.workflow);
    }
    let count = |wanted: fn(&RowStatus) -> bool| plan.rows.iter().filter(|row| wanted(&row.status)).count();
    let must = count(|status| matches!(status, RowStatus::Dirty | RowStatus::Extend { .. }));
    let may = count(|status| *status == RowStatus::Maybe);
    let known: f64 = plan.rows.iter().filter(|row| row.status != RowStatus::Fresh).filter_map(|row| row.seconds).sum();
    let unknown = plan.rows.iter().filter(|row| row.status != RowStatus::Fresh && row.seconds.is_none()).count();
    let time = match (known > 0.0, unknown) {
        (false, _) => "time unknown".to_owned(),
        (true, 0) => format!("at most {} of work by the last run's times", duration(known)),
        (true, unknown) => format!("{} of work and {} of unknown length", duration(known), ui::count(unknown, "stage")),
    };
    format!("{}: {must} to run, {may} only if what they need changes; {time}", plan.workflow)
}

/// Says a reason in a few words.
pub(crate) fn reason(reason: &DirtyReason) -> String {
    let shown = |value: &Option<serde_json::Value>| value.as_ref().map_or("nothing".to_owned(), ToString::to_string);
    match reason {
        DirtyReason::New => "has not run yet".to_owned(),
        DirtyReason::Changed { key, old, new } => format!("`{key}` {} → {}", shown(old), shown(new)),
        DirtyReason::Content { key, .. } => format!("`{key}` has other content"),
        DirtyReason::Version { old, new } => format!("its kind went from version {old} to {new}"),
        DirtyReason::Upstream { stage } => format!("after `{stage}`"),
        DirtyReason::OutputsMissing => "its outputs are gone".to_owned(),
        DirtyReason::Forced => "forced".to_owned(),
    }
}

fn print_values(workflow: &Workflow) {
    for stage in workflow.graph.node_weights() {
        ui::line(&format!("\n[{}.{}]", stage.kind, stage.name));
        for (key, value) in &stage.config {
            let origin = match stage.origins.get(key) {
                Some(Origin::Kind) | None => "default of the kind",
                Some(Origin::Defaults) => "[defaults]",
                Some(Origin::Stage) => "stage",
                Some(Origin::Each) => "each",
                Some(Origin::Set) => "--set",
            };
            ui::line(&format!("  {key} = {value}  {}", ui::styled(&format!("# {origin}"), Style::Dim)));
        }
    }
}
