//! Options of a run: where workers run, how many at once, and how the user stops them.

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
    /// Keep running.
    #[default]
    Run,
    /// Save a checkpoint and exit.
    Stop,
    /// Exit at once.
    Kill,
}

/// How to apply.
#[derive(Clone)]
pub struct Options {
    /// The worker's program.
    pub worker: PathBuf,
    /// The cache for answers of workers.
    pub cache_dir: CacheDir,
    /// Where workers run.
    pub executor: &'static dyn Executor,
    /// Most attempts at once.
    pub slots: usize,
    /// CPU threads of a stage that does not say how many cores it needs.
    pub threads: usize,
    /// The size of each pool, GPUs aside.
    pub pools: BTreeMap<String, u64>,
    /// GPUs to lend, by CUDA's names.
    pub gpus: Vec<String>,
    /// What to bring up to date.
    pub selection: Selection,
    /// Start nothing new once a stage has failed; otherwise stages that do not need it still run.
    pub fail_fast: bool,
    /// Time without a sign of life after which a worker counts as hung.
    pub silence: Duration,
    /// Values that must not appear in a log or a message; they are masked there.
    pub secrets: Arc<Secrets>,
    /// Changed by the caller, for example at Ctrl-C.
    pub halt: watch::Receiver<Halt>,
}
