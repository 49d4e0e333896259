//! Loads what a command works on: the worker and its kinds, the workflow, the store.
//!
//! Mistakes in the workflow are shown here. A command that gets no workflow exits without printing more.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use engine::diagnostic::{Diagnostic, Severity, suggest, tidy};
use engine::kind::{KeySpec, Kinds};
use engine::mistakes;
use engine::placement::Device;
use engine::pools::{GPUS, POOLS, needs};
use engine::select::{self, NoStage, Selection};
use engine::worker::ask;
use engine::worker::cache::CacheDir;
use engine::worker::check::ExpectedMemory;
use engine::workflow::{Loaded, StageName, Workflow, load};
use serde_json::Value;
use store::Store;

use crate::arguments::{Global, WorkflowArgs};
use crate::exit::{Advice, no_such};
use crate::ui::bytes;
use crate::{diagnostic, fetching, hub, machine};

/// Returns the path of the worker program.
pub(crate) fn worker(global: &Global) -> Result<PathBuf> {
    if let Some(worker) = &global.worker {
        // The error's own words would repeat the path.
        return std::fs::canonicalize(worker)
            .with_context(|| format!("the worker `{}`, of `--worker` or R1FLOW_WORKER", worker.display()));
    }
    let beside = std::env::current_exe()?.with_file_name("r1flow-worker");
    fs_err::canonicalize(&beside).map_err(|_| {
        anyhow!(
            "there is no worker at `{}`: build it with `cargo build --release`, or name one with --worker",
            beside.display()
        )
    })
}

/// Returns the stage kinds that the worker supports.
pub(crate) fn load_kinds(global: &Global) -> Result<Kinds> {
    let list = ask::kinds(&worker(global)?, &cache_dir())?;
    Ok(Kinds::parse(list)?)
}

/// Returns the keys that an action of this kind omits at their default; empty if the worker cannot be queried.
pub(crate) fn omitted(global: &Global, action: &Value) -> BTreeMap<String, KeySpec> {
    load_kinds(global).unwrap_or_default().omitted(action)
}

/// Returns the cache for workers' answers; it is disabled if no variable names a folder of the user's.
pub(crate) fn cache_dir() -> CacheDir {
    // The XDG specification says to ignore relative paths.
    let base = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = base("XDG_CACHE_HOME").or_else(|| base("HOME").map(|home| home.join(".cache")));
    base.map_or_else(CacheDir::none, |base| CacheDir::at(base.join("r1flow")))
}

/// Loads a workflow. If it has mistakes, shows them and returns `None`.
///
/// The workflow is leaked on purpose: dropping a thousand stages at exit takes longer than many commands.
pub(crate) fn load_workflow(global: &Global, args: &WorkflowArgs) -> Result<Option<&'static Workflow>> {
    Ok(load_from(global, args, &global.store)?.workflow.map(|workflow| kept(workflow, args)))
}

/// A workflow without mistakes, and what else the worker says about it.
pub(crate) struct Checked {
    pub(crate) workflow: &'static Workflow,
    /// Warnings and notes with their places.
    pub(crate) loaded: Loaded,
}

/// Loads a workflow and has the worker check the stages that `select` returns. If there are mistakes, shows all of them
/// and returns `None`. Of stages with mistakes of their own, the worker checks the others' keys and inputs too.
pub(crate) fn load_checked(
    global: &Global,
    args: &WorkflowArgs,
    select: impl FnOnce(&Workflow) -> Result<BTreeSet<StageName>>,
) -> Result<Option<Checked>> {
    let mut loaded = load_quietly(global, args, &global.store)?;
    let (worker, cache_dir) = (worker(global)?, cache_dir());
    if let Some(draft) = loaded.draft.take() {
        let workflow = draft.workflow.on(args.device);
        let found = mistakes::find((&worker, &cache_dir), &workflow, &draft.complete)?;
        loaded.diagnostics.extend(found.diagnostics);
        tidy(&mut loaded.diagnostics);
    }
    let Some(workflow) = loaded.workflow.take().map(|workflow| kept(workflow, args)) else {
        diagnostic::show(global, &loaded);
        return Ok(None);
    };
    let found = mistakes::find((&worker, &cache_dir), workflow, &select(workflow)?)?;
    let is_refused = found.is_refused();
    loaded.diagnostics = found.diagnostics;
    loaded.diagnostics.extend(shortages(workflow, &found.memory));
    loaded.diagnostics.extend(lacks(workflow));
    tidy(&mut loaded.diagnostics);
    if is_refused {
        diagnostic::show(global, &loaded);
        return Ok(None);
    }
    Ok(Some(Checked { workflow, loaded }))
}

/// Returns a warning for each stage that needs more of a pool than this machine has. Another machine may have it.
fn lacks(workflow: &Workflow) -> Vec<Diagnostic> {
    let Ok((pools, _)) = machine::pools(&[], 1) else { return Vec::new() };
    let lacks = workflow.graph.node_weights().flat_map(|stage| {
        let needs = needs(stage, 1).into_iter();
        needs.filter_map(|(pool, amount)| {
            let has = pools.get(&pool).copied().unwrap_or(0);
            let name = &stage.name;
            let (message, help) = match pool.as_str() {
                GPUS if amount > 1 => (
                    format!("`{name}` would hold {amount} GPUs and compute on one"),
                    "a stage uses one GPU: `run.needs.gpus = 1`",
                ),
                GPUS if has < amount => (
                    format!("`{name}` needs a GPU, and this machine has none"),
                    "`r1flow doctor` says why none is found; without `--device`, stages compute on the CPU",
                ),
                _ if has < amount => (
                    format!("`{name}` needs {amount} of `{pool}`, and this machine has {has}"),
                    "lower it in `run.needs`; a pool of your own has the size that `apply --pool NAME=N` says",
                ),
                _ => return None,
            };
            let meant = suggest(&pool, POOLS).filter(|meant| meant.ends_with('?') && !POOLS.contains(&pool.as_str()));
            let own = "a pool of your own has the size that `apply --pool NAME=N` says";
            let help = meant.map_or_else(|| help.to_owned(), |meant| format!("{meant} {own}"));
            let label = format!("this {} stage", stage.kind);
            Some(Diagnostic::of(Severity::Warning, &stage.span, message, label).with_help(help))
        })
    });
    lacks.collect()
}

/// Returns a warning for each stage on the CPU that will need more memory than is free.
fn shortages(workflow: &Workflow, memory: &[(StageName, ExpectedMemory)]) -> Vec<Diagnostic> {
    let Some((_, free)) = machine::memory() else { return Vec::new() };
    let short = memory.iter().filter(|(_, expected)| expected.bytes > free).filter_map(|(name, expected)| {
        let stage = workflow.graph.node_weights().find(|stage| stage.name == *name && stage.device == Device::Cpu)?;
        let (needs, free) = (bytes(expected.bytes), bytes(free));
        let message = format!("`{name}` needs about {needs} of memory, and {free} are free");
        let label = format!("this {} stage", stage.kind);
        Some(Diagnostic::of(Severity::Warning, &stage.span, message, label).with_help(&*expected.cures))
    });
    short.collect()
}

/// Does the same as [`load_workflow`], but first fetches the hub inputs that `selection` needs and that are missing. An
/// input that cannot be fetched is shown as a mistake.
pub(crate) fn load_fetched(
    global: &Global,
    args: &WorkflowArgs,
    selection: &Selection,
) -> Result<Option<&'static Workflow>> {
    let mut loaded = load_from(global, args, &global.store)?;
    if let Some(workflow) = &loaded.workflow {
        let read: BTreeSet<String> =
            select::inputs(workflow, selection).map_err(no_stage)?.into_iter().map(str::to_owned).collect();
        fetching::fetch_missing(global, &mut loaded, &read)?;
    }
    Ok(loaded.workflow.map(|workflow| kept(workflow, args)))
}

fn kept(workflow: Workflow, args: &WorkflowArgs) -> &'static Workflow {
    Box::leak(Box::new(workflow.on(args.device)))
}

/// Loads a workflow with the hub inputs that `store` has fetched, and shows its mistakes.
pub(crate) fn load_from(global: &Global, args: &WorkflowArgs, store: &Path) -> Result<Loaded> {
    let loaded = load_quietly(global, args, store)?;
    if !loaded.diagnostics.is_empty() {
        diagnostic::show(global, &loaded);
    }
    Ok(loaded)
}

/// Does the same as [`load_from`], but shows no mistakes.
pub(crate) fn load_quietly(global: &Global, args: &WorkflowArgs, store: &Path) -> Result<Loaded> {
    if args.file.is_dir() {
        let help = format!("name the file in it: {}", files_of(&args.file));
        return Err(
            Advice::new(format!("`{}` is a folder, and a workflow is a file", args.file.display()), help).into()
        );
    }
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

/// Returns the TOML files of a folder, or an example.
fn files_of(folder: &Path) -> String {
    let entries = fs_err::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|end| end == "toml")).collect();
    files.sort();
    let file = files.first().cloned().unwrap_or_else(|| folder.join("workflow.toml"));
    format!("`{}`", file.strip_prefix(".").unwrap_or(&file).display())
}

/// Opens the store for reading.
pub(crate) fn find_store(global: &Global) -> Result<Store> {
    let none = || {
        let path = global.store.display();
        anyhow!("there is no store at `{path}`: run `r1flow apply` here first, or name another with --store")
    };
    Store::find(&global.store)?.ok_or_else(none)
}

/// Returns an error for a stage that does not exist, with the closest known name.
pub(crate) fn no_stage(error: NoStage) -> anyhow::Error {
    no_such("stage", &error.name, error.known.iter().map(String::as_str))
}
