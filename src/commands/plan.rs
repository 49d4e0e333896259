//! `r1flow plan`: what an `apply` would run, why, and at what cost; `-o` saves it for `apply` to follow.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Result, bail};
use engine::diagnostic::Severity;
use engine::dirty::DirtyReason;
use engine::forecast::{Confidence, Forecast};
use engine::plan::{self, Plan, RowStatus};
use engine::run;
use engine::select::Selection;
use engine::workflow::{Origin, StageName, Workflow};
use store::Store;

use crate::arguments::{Global, SelectionArgs, WorkflowArgs};
use crate::diagnostic;
use crate::exit::Status;
use crate::loading::{Checked, load_checked, no_stage};
use crate::saved_plan::save;
use crate::ui::{self, Style, bytes, count, duration, reason, status_word};
use crate::views::plan::{AtWork, Cost, cost, view};
use crate::views::runs::{self, State, in_progress};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    workflow: WorkflowArgs,
    #[command(flatten)]
    selection: SelectionArgs,
    /// Save the plan: `apply FILE` follows it, or refuses when anything has changed since.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

fn make(global: &Global, workflow: &Workflow, selection: &Selection) -> Result<Plan> {
    // Creates the store if there is none: planning needs one to look in, though it writes nothing that matters.
    let store = Store::open(&global.store)?;
    match plan::plan(workflow, &store, selection) {
        Err(plan::Error::NoStage(error)) => Err(no_stage(error)),
        plan => Ok(plan?),
    }
}

pub(crate) fn run(global: &Global, args: &Args) -> Result<Status> {
    let selection = args.selection.selection();
    let mut plan = None;
    let stale = |workflow: &Workflow| {
        let plan = plan.insert(make(global, workflow, &selection)?);
        let stale = plan.rows.iter().filter(|row| row.status != RowStatus::Fresh);
        Ok(stale.map(|row| StageName(row.stage.clone())).collect())
    };
    let checked = load_checked(global, &args.workflow, stale)?;
    let (Some(Checked { workflow, loaded }), Some(plan)) = (checked, plan) else { return Ok(Status::Refused) };
    if args.output.is_some()
        && let Err(error) = plan::check_fetched(workflow, &selection)
    {
        let file = args.workflow.file.display();
        bail!("{error}, and a plan that `apply` can follow rests on content: run `r1flow fetch {file}` first");
    }
    if let Some(file) = &args.output {
        save(file, workflow, &args.workflow, selection, &plan)?;
    }
    let at_work = at_work(global, workflow, &plan)?;
    if global.json {
        ui::print_json(&view(&plan, workflow, at_work))?;
        return Ok(Status::Done);
    }
    diagnostic::show_each(&loaded, Severity::Warning);
    print(&plan, &at_work);
    print_inputs(workflow);
    let is_missing = |reason: &DirtyReason| matches!(reason, DirtyReason::NotFetched { .. });
    if plan.rows.iter().any(|row| row.reasons.iter().any(is_missing)) {
        let file = args.workflow.file.display();
        ui::note(&format!("`r1flow fetch {file}` downloads what is not here, and so does `apply`"));
    }
    if global.verbose > 0 {
        print_values(workflow);
    }
    if let Some(file) = &args.output {
        ui::line(&format!("saved: `r1flow apply {}` runs this and nothing else", file.display()));
    }
    Ok(Status::Done)
}

fn print_inputs(workflow: &Workflow) {
    for (name, input) in workflow.hub_inputs() {
        let version = input.version().unwrap_or_else(|| format!("{}, not fetched yet", input.id));
        ui::line(&ui::styled(&format!("input  {name}  {version}"), Style::Dim));
    }
}

/// Returns what a run in progress does about the stages of a plan: those at which it is working, with these values.
fn at_work(global: &Global, workflow: &Workflow, plan: &Plan) -> Result<BTreeMap<String, AtWork>> {
    let Some(store) = Store::find(&global.store)?.filter(|_| !plan.is_fresh()) else { return Ok(BTreeMap::new()) };
    let Some(history) = in_progress(&store, &run::file_name(&store, &workflow.file))? else {
        return Ok(BTreeMap::new());
    };
    let planned = |stage: &str| plan.rows.iter().find(|row| row.stage == stage).and_then(|row| row.fingerprint);
    let (run, stages) = runs::run(&store, &history);
    let running = stages.into_iter().filter(|(stage, state)| {
        state.state == State::Running
            && history.attempted(stage).is_some_and(|fingerprint| planned(stage) == Some(fingerprint))
    });
    let told = running.map(|(stage, state)| (stage, AtWork { run: run.id.clone(), progress: state.progress() }));
    Ok(told.collect())
}

fn print(plan: &Plan, at_work: &BTreeMap<String, AtWork>) {
    let fresh: Vec<&str> =
        plan.rows.iter().filter(|row| row.status == RowStatus::Fresh).map(|row| row.stage.as_str()).collect();
    if !fresh.is_empty() {
        ui::text(&format!("{} {}", ui::styled("fresh ", Style::Good), fresh.join("  ")), 7);
    }
    let width = plan.rows.iter().map(|row| row.stage.len()).max().unwrap_or(0);
    for row in plan.rows.iter().filter(|row| row.status != RowStatus::Fresh) {
        let style = if row.status == RowStatus::Maybe { Style::Dim } else { Style::Warn };
        let is_extended = matches!(row.status, RowStatus::Extend { .. });
        let reasons = row.reasons.iter().filter(|reason| !(is_extended && matches!(reason, DirtyReason::New)));
        let mut why: Vec<String> = reasons.map(reason).collect();
        if let RowStatus::Extend { from, to } = row.status {
            let to = to.map_or(String::new(), |to| format!(" of {to}"));
            why.insert(0, format!("continues from step {from}{to}"));
        }
        if let Some(rows) = row.known_rows {
            why.push(format!("reuses those of {rows} sampled rows that have its prompts, seed and settings"));
        }
        let running = at_work.get(&row.stage);
        if let Some(AtWork { run, progress }) = running {
            let progress = progress.as_ref().map_or_else(String::new, |progress| format!(", {progress}"));
            why = vec![format!("running{progress}, in run {run}")];
        }
        let forecast = row.forecast.as_deref().filter(|_| running.is_none());
        let line = format!(
            "{} {:width$}  {}{}",
            ui::styled(status_word(row.status), style),
            row.stage,
            why.join(", "),
            ui::styled(&forecast.map_or_else(String::new, expected), Style::Dim)
        );
        ui::text(&line, 7 + width + 2);
    }
    ui::text(&summary(plan), 2);
}

fn expected(forecast: &Forecast) -> String {
    let Forecast { seconds, gpu_hours, bytes: size, confidence } = forecast;
    let mut parts: Vec<String> = seconds.iter().map(|seconds| format!("~{}", duration(*seconds))).collect();
    parts.extend(gpu_hours.map(|hours| format!("{hours:.2} GPU-hours")));
    parts.extend(size.map(bytes));
    parts.push(match confidence {
        Confidence::Unknown => "cost unknown".to_owned(),
        Confidence::Low => "a guess by its kind".to_owned(),
        Confidence::Medium => "by its last run, other keys".to_owned(),
        Confidence::High => "by its last run".to_owned(),
    });
    format!("  [{}]", parts.join(", "))
}

fn summary(plan: &Plan) -> String {
    if plan.is_fresh() {
        return format!("{}: everything is fresh, nothing would run", plan.workflow);
    }
    let Cost { must, may, seconds, unknown, gpu_hours, bytes: size } = cost(plan);
    let time = match (seconds > 0.0, unknown) {
        (false, _) => "time unknown".to_owned(),
        (true, 0) => format!("at most {} of work by earlier runs", duration(seconds)),
        (true, unknown) => format!("{} of work and {} of unknown length", duration(seconds), count(unknown, "stage")),
    };
    let mut parts = vec![format!("{must} to run, {may} only if what they need changes"), time];
    parts.extend((gpu_hours > 0.0).then(|| format!("{gpu_hours:.2} GPU-hours")));
    parts.extend((size > 0).then(|| format!("{} to write", bytes(size))));
    format!("{}: {}", plan.workflow, parts.join("; "))
}

fn print_values(workflow: &Workflow) {
    for stage in workflow.graph.node_weights() {
        ui::line(&format!("\n[{}.{}]", stage.kind, stage.name));
        for (key, value) in &stage.config {
            let origin = match stage.origin(key) {
                None => "default of the kind",
                Some(Origin::Workflow) => "`seed` of the workflow",
                Some(Origin::Defaults) => "[defaults]",
                Some(Origin::Stage) => "stage",
                Some(Origin::Each) => "each",
                Some(Origin::Set) => "--set",
            };
            ui::line(&format!("  {key} = {value}  {}", ui::styled(&format!("# {origin}"), Style::Dim)));
        }
    }
}
