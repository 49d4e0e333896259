//! Arguments that every command has, and those that several share.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use engine::placement::Device;
use engine::select::Selection;
use engine::workflow::hub::PREFIX;

/// Options of every command.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Where artifacts are kept.
    #[arg(long, global = true, env = "R1FLOW_STORE", default_value = ".r1flow", value_name = "DIR", value_parser = store_folder)]
    pub(crate) store: PathBuf,
    /// The worker program; by default `r1flow-worker` beside this program.
    #[arg(long, global = true, env = "R1FLOW_WORKER", value_name = "FILE")]
    pub(crate) worker: Option<PathBuf>,
    /// Print JSON instead of text.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Log more: `-v` for info, `-vv` for debug. `plan -v` also prints the values of every stage.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// When to use colours.
    #[arg(long, global = true, value_enum, default_value = "auto")]
    pub(crate) color: Color,
}

fn store_folder(text: &str) -> Result<PathBuf, String> {
    if std::path::Path::new(text).is_file() {
        return Err("a store is a folder, and this is a file".to_owned());
    }
    on_this_machine(text).map_err(|scheme| format!("a store is a folder of this machine, `{scheme}` is not supported"))
}

/// Parses the path of a file or folder that is written; an address of something remote is none.
pub(crate) fn local(text: &str) -> Result<PathBuf, String> {
    on_this_machine(text).map_err(|scheme| {
        format!("what is written stays on this machine, `{scheme}` is not supported: write a folder, and upload it")
    })
}

/// Returns a path, or the beginning of an address as the error.
fn on_this_machine(text: &str) -> Result<PathBuf, String> {
    match text.split_once("://") {
        Some((scheme, _)) => Err(format!("{scheme}:")),
        None if text.starts_with(PREFIX) => Err(PREFIX.to_owned()),
        None => Ok(PathBuf::from(text)),
    }
}

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal.
    Auto,
    /// Everywhere.
    Always,
    /// Nowhere.
    Never,
}

/// A workflow file and the values that replace some of its own.
#[derive(Clone, Debug, Args)]
pub(crate) struct WorkflowArgs {
    /// The workflow file.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Replace a value: `zero.steps=100`, `inputs.base.model=/models/qwen`.
    #[arg(long = "set", value_name = "STAGE.KEY=VALUE")]
    pub(crate) sets: Vec<String>,
    /// Where stages compute: `cpu`, `cuda` (each stage gets its own GPU), or `cuda:N` (all use GPU N).
    #[arg(long, default_value_t)]
    pub(crate) device: Device,
}

/// Which stages a command works on; each option may be repeated and takes stages or families.
#[derive(Debug, Args)]
pub(crate) struct SelectionArgs {
    /// Only this stage and its upstream stages.
    #[arg(long, value_name = "STAGE")]
    until: Vec<String>,
    /// Only this stage and its downstream stages; their other upstream stages must be fresh.
    #[arg(long, value_name = "STAGE")]
    from: Vec<String>,
    /// Only this stage; its upstream stages must be fresh.
    #[arg(long, value_name = "STAGE")]
    only: Vec<String>,
    /// Run this stage even if it is fresh.
    #[arg(long, value_name = "STAGE")]
    force: Vec<String>,
}

impl SelectionArgs {
    /// Returns the selection that these options describe.
    pub(crate) fn selection(&self) -> Selection {
        let Self { until, from, only, force } = self;
        Selection { until: until.clone(), from: from.clone(), only: only.clone(), force: force.clone() }
    }
}

/// How much of this machine stages may use.
#[derive(Debug, Args)]
pub(crate) struct MachineArgs {
    /// Stages that run in parallel; by default the number of cores.
    #[arg(long, short, value_name = "N")]
    pub(crate) jobs: Option<usize>,
    /// CPU threads of a stage that does not set its own need; by default the cores divided by the jobs.
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<usize>,
    /// Size of a pool: `cores`, `memory-gib`, `gpus`, or one of your own (repeatable).
    #[arg(long, value_name = "NAME=N")]
    pub(crate) pool: Vec<String>,
    /// Where workers run.
    #[arg(long, default_value = "local")]
    pub(crate) executor: String,
}

/// The workflow in which stage names are looked up.
#[derive(Clone, Debug, Args)]
pub(crate) struct NameArgs {
    /// The workflow that the stage belongs to; by default the workflow of this store that has the stage.
    #[arg(long, value_name = "FILE")]
    pub(crate) workflow: Option<PathBuf>,
    /// Replace a value of the workflow, as `apply` did.
    #[arg(long = "set", value_name = "STAGE.KEY=VALUE")]
    pub(crate) sets: Vec<String>,
    /// The `--device` that `apply` had; by default any device on which this store has a result.
    #[arg(long)]
    pub(crate) device: Option<Device>,
}
