//! How to run: where, side by side with how many others, and what the user asks of what runs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::exec::Executor;
use crate::secrets::Secrets;
use crate::select::Selection;
use crate::worker::cache::CacheDir;

/// What a user may ask of running attempts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Halt {
    /// Go on.
    #[default]
    Run,
    /// Save a checkpoint and leave.
    Stop,
    /// Leave at once.
    Kill,
}

/// How to apply.
#[derive(Clone)]
pub struct Options {
    /// The worker's program.
    pub worker: PathBuf,
    /// Where answers of workers are remembered.
    pub cache_dir: CacheDir,
    /// Where workers run.
    pub executor: &'static dyn Executor,
    /// Attempts side by side.
    pub slots: usize,
    /// CPU threads of a stage that does not say how many cores it needs.
    pub threads: usize,
    /// What there is of each pool, GPUs aside.
    pub pools: BTreeMap<String, u64>,
    /// GPUs to lend, by the names that CUDA knows them by.
    pub gpus: Vec<String>,
    /// What to bring up to date.
    pub selection: Selection,
    /// Start nothing new once a stage has failed; else what does not need it goes on.
    pub fail_fast: bool,
    /// Time without a sign of life after which a worker counts as hung.
    pub silence: Duration,
    /// What must not stand in a log or a message; masked there.
    pub secrets: Arc<Secrets>,
    /// Changed by the caller, for example at Ctrl-C.
    pub halt: watch::Receiver<Halt>,
}
