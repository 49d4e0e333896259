//! Options that every command has.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

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
