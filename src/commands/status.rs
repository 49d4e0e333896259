//! `r1flow status`: runs and their stages. It only reads files, so it works while an `apply` is running.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, anyhow};
use engine::history::{self, History};
use store::Store;

use crate::arguments::Global;
use crate::exit::{Advice, Status};
use crate::loading::find_store;
use crate::ui::{self, Table, bytes, count, duration};
use crate::views::disk::disk;
use crate::views::runs::{self, Run, RunState, RunWithStages, StageState, State};

/// Seconds below which no stage counts as the longest.
const SHORT: f64 = 1.0;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A run's id, the beginning of its id, or its number; by default the newest one in progress, else the newest.
    #[arg(value_name = "RUN")]
    run: Option<String>,
    /// List all runs.
    #[arg(long)]
    all: bool,
    /// Show what takes the disk, by stage.
    #[arg(long, conflicts_with_all = ["run", "all", "watch"])]
    disk: bool,
    /// Show it again each second until the run is over.
    #[arg(long, short, conflicts_with = "all")]
    watch: bool,
}

pub(crate) fn run(global: &Global, args: &Args) -> Result<Status> {
    let store = find_store(global)?;
    if args.disk {
        return show_disk(global, &store);
    }
    let ids = history::list(&store)?;
    if args.all {
        return list(global, &store, &ids);
    }
    let Some(id) = named(&store, &ids, args.run.as_deref())? else { return forgotten(global, &store) };
    let history = history::read(&store, id);
    let (run, stages) = runs::run(&store, &history);
    remark(&history);
    if global.json {
        ui::print_json(&RunWithStages { run: Some(run), stages })?;
        return Ok(Status::Done);
    }
    if args.watch {
        return watch(&store, id);
    }
    ui::raw(&text(&run, &stages));
    Ok(Status::Done)
}

/// Shows a run again and again until it is over.
fn watch(store: &Store, id: &str) -> Result<Status> {
    let mut screen = ui::Screen::default();
    loop {
        let (run, mut stages) = runs::run(store, &history::read(store, id));
        let is_over = run.state != Some(RunState::Running);
        if !is_over {
            // Those that are done would fill the screen of a large workflow.
            stages.retain(|_, stage| !matches!(stage.state, State::Done | State::Fresh));
        }
        screen.show(&text(&run, &stages));
        if is_over || !ui::has_reader() {
            return Ok(Status::Done);
        }
        // Polling: only reading a history shows that it has grown.
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// Returns the run with this id, beginning of an id, or number; if none is given, the newest in progress, else the
/// newest.
fn named<'a>(store: &Store, ids: &'a [String], wanted: Option<&str>) -> Result<Option<&'a String>> {
    let Some(wanted) = wanted else {
        // The newest of those in progress, which a later run that is over does not hide.
        return Ok(runs::newest_in_progress(store, ids).or_else(|| ids.last()));
    };
    let number = wanted.parse::<u64>().ok().filter(|number| *number > 0 && wanted.len() < 8);
    let is_meant = |id: &&String| id.starts_with(wanted) || number.is_some_and(|number| history::number(id) == number);
    let found: Vec<&String> = ids.iter().filter(is_meant).collect();
    match found.as_slice() {
        [] => Err(anyhow!("there is no run `{wanted}`")),
        [one] => Ok(Some(one)),
        several => {
            let message = format!("`{wanted}` may be any of {}", count(several.len(), "run"));
            Err(Advice::new(message, "`r1flow status --all` lists them: write more of its id").into())
        }
    }
}

/// Reports a store without run histories, which may still have results.
fn forgotten(global: &Global, store: &Store) -> Result<Status> {
    let results = store.all_records()?.len();
    if results == 0 {
        return Err(anyhow!("nothing has run in this store yet"));
    }
    if global.json {
        ui::print_json(&RunWithStages::default())?;
        return Ok(Status::Done);
    }
    let are = if results == 1 { "is" } else { "are" };
    ui::line(&format!("no run is on record any more; {} {are} in the store", count(results, "result")));
    Ok(Status::Done)
}

/// Notes which parts of a history cannot be read.
fn remark(history: &History) {
    let History { id, spoilt, trouble, .. } = history;
    if let Some(trouble) = trouble {
        ui::note(&format!("the history of {id} cannot be read: {trouble}"));
    }
    if *spoilt > 0 {
        let (lines, are) = (count(*spoilt, "line"), if *spoilt == 1 { "is" } else { "are" });
        ui::note(&format!("{lines} of the history of {id} {are} torn, altered or of another version"));
    }
}

fn text(run: &Run, stages: &BTreeMap<String, StageState>) -> String {
    let seconds = run.seconds.map_or_else(String::new, |seconds| format!(", {}", duration(seconds)));
    let finished = match (run.state, run.stages) {
        (Some(RunState::Running), Some(all)) => format!(", {} of {} finished", run.finished, count(all, "stage")),
        _ => String::new(),
    };
    let head = format!("{} {}: {}{seconds}{finished}\n", workflow(run), run.id, state(run));
    let inputs: String = run.inputs.iter().flat_map(|(name, version)| ["  ", name, ": ", version, "\n"]).collect();
    [head, inputs, ui::table_text(&stage_table(stages))].concat()
}

/// Returns a row for each stage, in the order of the run.
fn stage_table(stages: &BTreeMap<String, StageState>) -> Table {
    let mut rows: Vec<(&String, &StageState)> = stages.iter().collect();
    rows.sort_by_key(|(_, stage)| stage.place);
    let longest = rows.iter().filter(|(_, stage)| stage.state == State::Done).map(|(_, stage)| stage.seconds);
    let longest = longest.flatten().fold(SHORT, f64::max);
    let mut table = Table::new(["stage", "state", "step", "time", "left", ""]);
    for (name, stage) in &rows {
        let is_longest = rows.len() > 1 && stage.state == State::Done && stage.seconds == Some(longest);
        table.push(vec![
            (*name).clone(),
            <&str>::from(stage.state).to_owned(),
            step(stage),
            stage.seconds.map_or_else(String::new, duration),
            stage.seconds_left.map_or_else(String::new, duration),
            remark_on(stage, is_longest),
        ]);
    }
    table
}

fn step(stage: &StageState) -> String {
    match (stage.step, stage.total) {
        (Some(step), Some(total)) => format!("{step}/{total}"),
        (Some(step), None) => step.to_string(),
        (None, Some(total)) => format!("0/{total}"),
        (None, None) => String::new(),
    }
}

/// Returns what else there is to say: why a stage is in its state, what it is doing, what was measured last, whether it
/// took longest.
fn remark_on(stage: &StageState, is_longest: bool) -> String {
    let why = stage.message.as_deref().and_then(|message| message.lines().next()).map(str::to_owned);
    let measured =
        ui::MAIN_METRICS.iter().find_map(|name| Some(format!("{name} {}", ui::number(*stage.metrics.get(*name)?))));
    let longest = is_longest.then(|| "longest".to_owned());
    why.into_iter().chain(stage.phase()).chain(measured).chain(longest).collect::<Vec<_>>().join(", ")
}

/// Shows what takes the disk.
fn show_disk(global: &Global, store: &Store) -> Result<Status> {
    let disk = disk(store)?;
    if global.json {
        ui::print_json(&disk)?;
        return Ok(Status::Done);
    }
    let mut table = Table::new(["stage", "results", "size"]);
    for stage in &disk.stages {
        table.push(vec![stage.stage.clone(), stage.results.to_string(), bytes(stage.bytes)]);
    }
    table.push(vec!["checkpoints, rows, logs".to_owned(), String::new(), bytes(disk.others)]);
    table.push(vec!["all".to_owned(), String::new(), bytes(disk.bytes)]);
    ui::table(&table);
    ui::note("what several stages have counts for the first of them; `r1flow gc --dry-run` says what can be removed");
    Ok(Status::Done)
}

fn list(global: &Global, store: &Store, ids: &[String]) -> Result<Status> {
    let mut runs = Vec::new();
    for id in ids {
        let history = history::read_about(store, id, "");
        let (run, _) = runs::run(store, &history);
        remark(&history);
        runs.push(run);
    }
    if global.json {
        ui::print_json(&runs)?;
        return Ok(Status::Done);
    }
    let mut table = Table::new(["run", "workflow", "state", "time"]);
    for run in &runs {
        let time = run.seconds.map_or_else(String::new, duration);
        table.push(vec![run.id.clone(), workflow(run).to_owned(), state(run).to_owned(), time]);
    }
    ui::table(&table);
    Ok(Status::Done)
}

fn workflow(run: &Run) -> &str {
    run.workflow.as_deref().unwrap_or("?")
}

fn state(run: &Run) -> &'static str {
    run.state.map_or("?", Into::into)
}
