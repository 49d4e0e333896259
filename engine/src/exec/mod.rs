//! Executors: where a worker's process runs.

pub(crate) mod keeper;
mod local;
pub(crate) mod session;

use std::path::Path;

pub use keeper::KEEPER;
pub use local::Local;
pub use session::Session;

/// File descriptors that a running attempt uses in the engine: six for its three pipes, a process handle, the lock of
/// its stage and its log, and two more while it reads or writes the store.
pub const DESCRIPTORS: u64 = 8;

/// What to start.
#[derive(Clone, Debug)]
pub struct Launch<'a> {
    /// The worker's program.
    pub worker: &'a Path,
    /// The attempt's folder, which becomes the working directory.
    pub dir: &'a Path,
    /// CPU threads.
    pub threads: usize,
    /// GPUs that the worker may see, by CUDA's names; if there are none the environment decides.
    pub gpus: &'a [String],
}

/// A place where workers run.
pub trait Executor: Send + Sync {
    /// Starts `worker run` with pipes on stdin, stdout and stderr, inside a tokio runtime. The worker's environment
    /// lacks the [withheld](crate::secrets::WITHHELD) variables. The worker leads a process group of its own, which the
    /// engine kills, or the keeper if the engine is gone.
    fn start(&self, launch: &Launch<'_>) -> std::io::Result<Session>;
}

/// Every executor by name.
pub const EXECUTORS: &[(&str, &dyn Executor)] = &[("local", &Local)];
