//! The commands: one file each, an `Args` struct and a function.

mod apply;
mod audience;
mod audit;
mod chaos;
mod check;
mod doctor;
mod explain;
mod export;
mod fetch;
mod gc;
mod kinds;
mod listen;
mod log;
mod named;
mod pieces;
mod plan;
mod refusal;
mod schema;
mod scores;
mod show;
mod status;
mod verify;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use clap::{Args, Parser, Subcommand};
use engine::kind::{KeySpec, Kinds};
use engine::mistakes;
use engine::select::{self, NoStage, Selection};
use engine::worker::ask;
use engine::worker::cache::CacheDir;
use engine::workflow::{Loaded, StageName, Workflow, load};
use serde_json::Value;
use store::Store;

use crate::options::Global;
use crate::{diagnostic, hub, ui};

/// `make` for reasoning models: runs a workflow's stages, and only those that are out of date.
#[derive(Debug, Parser)]
#[command(name = "r1flow", version, about, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check a workflow: every mistake at once.
    Check(check::Args),
    /// Say what `apply` would run, and why.
    Plan(plan::Args),
    /// Bring a workflow up to date.
    Apply(apply::Args),
    /// Download the inputs that lie on a hub, and ask whether their branches have moved.
    Fetch(fetch::Args),
    /// Show runs and their stages, also while one is going on.
    Status(status::Args),
    /// Look inside a stage, one of its outputs, or a digest.
    Show(show::Args),
    /// Copy an output to a folder of your own: a model becomes a Hugging Face folder.
    Export(export::Args),
    /// Print a stage's log.
    Log(log::Args),
    /// Say what a stage is made of, and what changed since it last ran.
    Explain(explain::Args),
    /// Print the final table of a workflow's evaluations.
    Scores(scores::Args),
    /// List the stage kinds, or the keys of one.
    Kinds(kinds::Args),
    /// Check stored bytes, or run stages again and compare.
    Verify(verify::Args),
    /// Kill engine and workers at random moments, resume, and compare with an unbroken run.
    Chaos(chaos::Args),
    /// Give back the disk that nothing refers to any more.
    Gc(gc::Args),
    /// Say what this machine has and what is missing.
    Doctor(doctor::Args),
    /// Print, check or write the JSON schema of workflow files, for editors.
    Schema(schema::Args),
}

/// How a command ended that was not in error, each with an exit code of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// All is well.
    Done,
    /// A stage failed, whatever was interrupted besides.
    StageFailed,
    /// The user can fix it, and has been told how.
    Refused,
    /// A signal ended it before all was done; the next call goes on from a checkpoint.
    Interrupted,
}

impl Status {
    /// Returns the exit code.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::StageFailed => 1,
            Self::Refused => 2,
            Self::Interrupted => 3,
        }
    }
}

/// What `--help` says of exit codes and signals.
pub(crate) const EXIT_CODES: &str = "\
Exit codes: 0 done; 1 a stage failed; 2 you can fix it; 3 interrupted, the next call goes on from a checkpoint; 101 a bug.
Signals: INT, TERM, HUP, USR1 and USR2 ask running stages for a checkpoint, then for their end. A second INT or TERM ends at once.";
/// An error with what to do about it.
#[derive(Debug)]
pub(crate) struct Advice {
    message: String,
    pub(crate) help: Option<String>,
}

impl Advice {
    fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { message: message.into(), help: Some(help.into()) }
    }
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Advice {}

/// A workflow file and the values that replace some of its own.
#[derive(Clone, Debug, Args)]
pub(crate) struct WorkflowArgs {
    /// The workflow file.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Replace a value: `zero.steps=100`, `inputs.base.model=/models/qwen`.
    #[arg(long = "set", value_name = "STAGE.KEY=VALUE")]
    pub(crate) sets: Vec<String>,
    /// Where tensors live: `cpu`, `cuda` (a GPU of its own for each stage), or `cuda:N` for all.
    #[arg(long, default_value = "cpu")]
    pub(crate) device: String,
}

/// Which stages a command is about; each option may be repeated and takes stages or families.
#[derive(Debug, Args)]
pub(crate) struct SelectionArgs {
    /// Only this stage and what it needs.
    #[arg(long, value_name = "STAGE")]
    until: Vec<String>,
    /// Only this stage and all that follows; what they need must be fresh.
    #[arg(long, value_name = "STAGE")]
    from: Vec<String>,
    /// Only this stage; what it needs must be fresh.
    #[arg(long, value_name = "STAGE")]
    only: Vec<String>,
    /// Run this stage even if it is fresh.
    #[arg(long, value_name = "STAGE")]
    force: Vec<String>,
}

impl SelectionArgs {
    pub(crate) fn selection(&self) -> Selection {
        let Self { until, from, only, force } = self;
        Selection { until: until.clone(), from: from.clone(), only: only.clone(), force: force.clone() }
    }
}

/// Says which stages there are where the user named one that is not.
pub(crate) fn named(error: NoStage) -> anyhow::Error {
    no_such("stage", &error.name, error.known.iter().map(String::as_str))
}

pub(crate) fn run(cli: Cli) -> Result<Status> {
    let global = &cli.global;
    match cli.command {
        Command::Check(args) => check::run(global, &args),
        Command::Plan(args) => plan::run(global, &args),
        Command::Apply(args) => apply::run(global, &args),
        Command::Fetch(args) => fetch::run(global, &args),
        Command::Status(args) => status::run(global, &args),
        Command::Show(args) => show::run(global, &args),
        Command::Export(args) => export::run(global, &args),
        Command::Log(args) => log::run(global, &args),
        Command::Explain(args) => explain::run(global, &args),
        Command::Scores(args) => scores::run(global, &args),
        Command::Kinds(args) => kinds::run(global, &args),
        Command::Verify(args) => verify::run(global, &args),
        Command::Chaos(args) => chaos::run(global, &args),
        Command::Gc(args) => gc::run(global, &args),
        Command::Doctor(args) => doctor::run(global, &args),
        Command::Schema(args) => schema::run(global, &args),
    }
}

/// Returns the worker's program.
pub(crate) fn worker(global: &Global) -> Result<PathBuf> {
    if let Some(worker) = &global.worker {
        return fs_err::canonicalize(worker).context("the worker that `--worker` or R1FLOW_WORKER names is not there");
    }
    let beside = std::env::current_exe()?.with_file_name("r1flow-worker");
    fs_err::canonicalize(&beside).map_err(|_| {
        anyhow!(
            "there is no worker at `{}`: build it with `cargo build --release`, or name one with --worker",
            beside.display()
        )
    })
}

/// Returns what the worker can run.
pub(crate) fn load_kinds(global: &Global) -> Result<Kinds> {
    let list = ask::kinds(&worker(global)?, &cache_dir())?;
    Ok(Kinds::parse(list)?)
}

/// Returns the keys that an action of this kind is without where they have their default; none if no worker can tell.
pub(crate) fn omitted(global: &Global, action: &Value) -> BTreeMap<String, KeySpec> {
    load_kinds(global).unwrap_or_default().omitted(action)
}

/// Where answers of workers are kept: nowhere, if no variable names a folder of the user's.
pub(crate) fn cache_dir() -> CacheDir {
    // As the specification of these folders has it, what is relative does not count.
    let base = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = base("XDG_CACHE_HOME").or_else(|| base("HOME").map(|home| home.join(".cache")));
    base.map_or_else(CacheDir::none, |base| CacheDir::at(base.join("r1flow")))
}

/// Loads a workflow; if there are mistakes they are shown, and there is none. It lives as long as the process: taking a
/// thousand stages apart at the end takes longer than many a command.
pub(crate) fn load_workflow(global: &Global, args: &WorkflowArgs) -> Result<Option<&'static Workflow>> {
    Ok(load_from(global, args, &global.store)?.workflow.map(|workflow| kept(workflow, args)))
}

/// Loads a workflow and asks the worker about the stages that `select` names; mistakes of either sort are shown, and then
/// there is none.
pub(crate) fn load_checked(
    global: &Global,
    args: &WorkflowArgs,
    select: impl FnOnce(&Workflow) -> Result<BTreeSet<StageName>>,
) -> Result<Option<&'static Workflow>> {
    let mut loaded = load_from(global, args, &global.store)?;
    let Some(workflow) = loaded.workflow.take().map(|workflow| kept(workflow, args)) else { return Ok(None) };
    loaded.diagnostics = mistakes::diagnostics((&worker(global)?, &cache_dir()), workflow, &select(workflow)?)?;
    if loaded.diagnostics.is_empty() {
        return Ok(Some(workflow));
    }
    diagnostic::show(global, &loaded);
    Ok(None)
}

/// Does the same as [`load_workflow`], and first fetches what `selection` reads of hubs and is not here; what cannot be fetched is shown, too.
pub(crate) fn load_fetched(
    global: &Global,
    args: &WorkflowArgs,
    selection: &Selection,
) -> Result<Option<&'static Workflow>> {
    let mut loaded = load_from(global, args, &global.store)?;
    if let Some(workflow) = &loaded.workflow {
        let read: BTreeSet<String> =
            select::inputs(workflow, selection).map_err(named)?.into_iter().map(str::to_owned).collect();
        fetch::fetch_missing(global, &mut loaded, &read)?;
    }
    Ok(loaded.workflow.map(|workflow| kept(workflow, args)))
}

fn kept(workflow: Workflow, args: &WorkflowArgs) -> &'static Workflow {
    Box::leak(Box::new(workflow.on(&args.device)))
}

/// Loads a workflow with what `store` has fetched for it, and shows mistakes.
pub(crate) fn load_from(global: &Global, args: &WorkflowArgs, store: &Path) -> Result<Loaded> {
    let loaded = load_quietly(global, args, store)?;
    if !loaded.diagnostics.is_empty() {
        diagnostic::show(global, &loaded);
    }
    Ok(loaded)
}

/// Does the same as [`load_from`], mistakes not shown.
fn load_quietly(global: &Global, args: &WorkflowArgs, store: &Path) -> Result<Loaded> {
    if !args.file.is_file() {
        return Err(anyhow!("there is no workflow file `{}`", args.file.display()));
    }
    let kinds = load_kinds(global)?;
    let mut loaded = load(&args.file, &args.sets, &kinds)?;
    if let Some(workflow) = &mut loaded.workflow {
        workflow.fetched_inputs(|_, input| hub::find(store, &input.id));
    }
    Ok(loaded)
}

/// Opens the store for reading.
pub(crate) fn find_store(global: &Global) -> Result<Store> {
    Store::find(&global.store)?.ok_or_else(|| no_store(&global.store))
}

fn no_store(path: &Path) -> anyhow::Error {
    anyhow!("there is no store at `{}`: run `r1flow apply` here first, or name another with --store", path.display())
}

/// Says that a name is none of `known`.
pub(crate) fn no_such<'a>(what: &str, name: &str, known: impl IntoIterator<Item = &'a str>) -> anyhow::Error {
    match engine::diagnostic::suggest(name, known) {
        Some(help) => anyhow!("there is no {what} `{name}`: {help}"),
        None => anyhow!("there is no {what} `{name}`"),
    }
}

/// Prints a value as JSON.
pub(crate) fn print_json<T: serde::Serialize>(value: &T) -> Result<Status> {
    ui::json(&format!("{}\n", serde_json::to_string_pretty(value)?));
    Ok(Status::Done)
}
