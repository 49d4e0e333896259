//! Arguments that every command has, and those that several share.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use engine::placement::Device;
use engine::select::Selection;

/// Options of every command.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Where artifacts are kept.
    #[arg(long, global = true, env = "R1FLOW_STORE", default_value = ".r1flow", value_name = "DIR")]
    pub(crate) store: PathBuf,
    /// The worker's program; the one beside this program unless given.
    #[arg(long, global = true, env = "R1FLOW_WORKER", value_name = "FILE")]
    pub(crate) worker: Option<PathBuf>,
    /// Print JSON instead of text.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Say more; twice, everything.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// When to use colours.
    #[arg(long, global = true, value_enum, default_value = "auto")]
    pub(crate) color: Color,
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
    /// Where tensors live: `cpu`, `cuda` (a GPU of its own for each stage), or `cuda:N` for all.
    #[arg(long, default_value_t)]
    pub(crate) device: Device,
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
    /// Returns the stages that they select.
    pub(crate) fn selection(&self) -> Selection {
        let Self { until, from, only, force } = self;
        Selection { until: until.clone(), from: from.clone(), only: only.clone(), force: force.clone() }
    }
}

/// What stages may take of this machine.
#[derive(Debug, Args)]
pub(crate) struct MachineArgs {
    /// Stages that run side by side; as many as there are cores unless given.
    #[arg(long, short, value_name = "N")]
    pub(crate) jobs: Option<usize>,
    /// CPU threads of a stage that does not say what it needs; the cores divided by the jobs unless given.
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<usize>,
    /// What there is of a pool: `cores`, `memory-gib`, `gpus`, or one of your own (repeatable).
    #[arg(long, value_name = "NAME=N")]
    pub(crate) pool: Vec<String>,
    /// Where workers run.
    #[arg(long, default_value = "local")]
    pub(crate) executor: String,
}

/// Which workflow names belong to.
#[derive(Clone, Debug, Args)]
pub(crate) struct NameArgs {
    /// The workflow that names belong to; the one of this store that has them unless given.
    #[arg(long, value_name = "FILE")]
    pub(crate) workflow: Option<PathBuf>,
    /// Replace a value of the workflow, as `apply` did.
    #[arg(long = "set", value_name = "STAGE.KEY=VALUE")]
    pub(crate) sets: Vec<String>,
    /// Where tensors lived; wherever that was unless given.
    #[arg(long)]
    pub(crate) device: Option<Device>,
}
