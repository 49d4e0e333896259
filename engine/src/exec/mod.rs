//! Executors: where a worker's process runs.

pub(crate) mod keeper;
mod local;
pub(crate) mod session;

use std::path::Path;

pub use keeper::KEEPER;
pub use local::Local;
pub use session::Session;

/// File descriptors that an attempt takes of the engine while it runs: its three pipes, a handle of its process, the lock of
/// its stage and its log, which is six; and two more while it reads or writes the store.
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
    /// GPUs that it may see, by the names that CUDA knows them by; where there are none the environment decides.
    pub gpus: &'a [String],
}

/// A place where workers run.
pub trait Executor: Send + Sync {
    /// Starts `worker run` with pipes on stdin, stdout and stderr, inside a tokio runtime. Of the environment it is not given what is
    /// [withheld](crate::secrets::WITHHELD). It leads a process group of its own, which the engine kills, and the
    /// keeper where the engine is gone.
    fn start(&self, launch: &Launch<'_>) -> std::io::Result<Session>;
}

/// Every executor by name.
pub const EXECUTORS: &[(&str, &dyn Executor)] = &[("local", &Local)];
