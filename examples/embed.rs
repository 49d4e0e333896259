//! The engine as a library: loads a workflow, prints what would run, runs it, and lists the outputs.
//!
//!     cargo run --release -p r1flow-engine --example embed -- WORKFLOW WORKER STORE
//!
//! `r1flow` itself does the same, with better messages and more options.

use std::error::Error;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use engine::exec::EXECUTORS;
use engine::kind::Kinds;
use engine::options::{Halt, Options};
use engine::plan::plan;
use engine::schedule::apply;
use engine::select::Selection;
use engine::worker::ask;
use engine::worker::cache::CacheDir;
use engine::workflow::load;
use store::Store;
use tokio::sync::watch;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file, worker, store] = arguments.as_slice() else { return Err("usage: embed WORKFLOW WORKER STORE".into()) };
    let worker = fs_err::canonicalize(worker)?;
    let mut out = std::io::stdout().lock();

    // A cache folder makes the second start quicker.
    let cache_dir = CacheDir::none();
    // The worker's kinds decide what a workflow may contain.
    let kinds = Kinds::parse(ask::kinds(&worker, &cache_dir)?)?;
    let loaded = load(Path::new(file), &[], &kinds)?;
    for mistake in &loaded.diagnostics {
        writeln!(out, "mistake: {} ({})", mistake.message, mistake.label)?;
    }
    let workflow = loaded.workflow.ok_or("the workflow has mistakes")?;

    let store = Store::open(Path::new(store))?;
    for row in plan(&workflow, &store, &Selection::default())?.rows {
        writeln!(out, "plan: {} is {:?}", row.stage, row.status)?;
    }

    // Sending `Halt::Stop` asks every running stage to save a checkpoint and end.
    let (_sender, halt) = watch::channel(Halt::Run);
    let options = Options {
        worker,
        cache_dir,
        executor: EXECUTORS[0].1,
        slots: 2,
        threads: 1,
        pools: [("cores".to_owned(), 2)].into(),
        gpus: Vec::new(),
        selection: Selection::default(),
        fail_fast: false,
        silence: Duration::from_mins(1),
        secrets: Arc::default(),
        halt,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let summary = runtime.block_on(apply(&workflow, &store, &options, |_event| {}))?;
    for (stage, fingerprint) in &summary.done {
        for (output, made) in store.record(fingerprint)?.into_iter().flat_map(|record| record.outputs) {
            writeln!(out, "{stage}.{output}: {}", made.digest)?;
        }
    }
    if summary.failed.is_empty() { Ok(()) } else { Err(format!("{} stages failed", summary.failed.len()).into()) }
}
