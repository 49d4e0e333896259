//! Options of a run: how much of this machine its stages may use.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use engine::exec::EXECUTORS;
use engine::options::{Halt, Options};
use engine::secrets::Secrets;
use engine::select::Selection;
use tokio::sync::watch;

use crate::arguments::{Global, MachineArgs};
use crate::exit::no_such;
use crate::loading::{cache_dir, worker};
use crate::{machine, ui};

/// A worker that is silent for so long counts as hung; it sends a sign of life every ten seconds.
const SILENCE: Duration = Duration::from_mins(1);

/// Returns options for a run of `selection`.
pub(crate) fn options(
    global: &Global,
    args: &MachineArgs,
    selection: Selection,
    halt: watch::Receiver<Halt>,
) -> Result<Options> {
    let cores = machine::cores();
    let slots = args.jobs.unwrap_or(cores).max(1);
    let threads = args.threads.unwrap_or(cores / slots).max(1);
    let executor = EXECUTORS.iter().find(|(name, _)| *name == args.executor);
    let names = EXECUTORS.iter().map(|(name, _)| *name);
    // If the user asks for more threads than there are cores, the pool of cores is enlarged.
    let at_least = if args.jobs.is_some() || args.threads.is_some() { slots * threads } else { threads };
    let (pools, gpus) = machine::pools(&args.pool, at_least)?;
    let most = machine::attempts_by_open_files();
    if most < slots {
        ui::note(&format!(
            "this process may open too few files for {slots} stages side by side (`ulimit -n`): {most} run"
        ));
    }
    Ok(Options {
        worker: worker(global)?,
        cache_dir: cache_dir(),
        executor: executor.ok_or_else(|| no_such("executor", &args.executor, names))?.1,
        slots: slots.min(most),
        threads,
        pools,
        gpus,
        selection,
        fail_fast: false,
        silence: SILENCE,
        secrets: Arc::new(Secrets::of(std::env::vars_os())),
        halt,
    })
}
