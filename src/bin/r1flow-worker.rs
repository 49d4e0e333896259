//! The worker: runs one attempt at a stage with libtorch, on the engine's commands from stdin. `r1flow-worker gpus`
//! prints the GPUs that it finds. `r1flow-worker jail` is the parent of the programs that a model wrote, and
//! `r1flow-worker attacks` tells how the jail holds.

use std::path::PathBuf;

use engine::stage::serve::Worker;
use stages::artifacts::Import;
use stages::programs::{self, Place};

/// The argument with which this program serves a jail.
const JAIL: &str = "jail";

fn main() -> std::process::ExitCode {
    if std::env::args().nth(1).as_deref() == Some(JAIL) {
        return programs::serve_jail();
    }
    programs::run_by(place());
    stages::bound_caches();
    // Its stderr is the stage's log.
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::INFO)
        .with_writer(std::io::stderr)
        .with_target(false)
        .without_time()
        .with_ansi(false)
        .log_internal_errors(false)
        .init();
    match std::env::args().nth(1).as_deref() {
        Some("gpus") => return stages::tell_gpus(),
        Some("attacks") => return programs::tell_jail(),
        _ => {}
    }
    let worker = Worker::new(stages::KINDS).with_imports::<Import>().with_grader(stages::judging::grade);
    worker.with_processor(|| Some(stages::processor())).serve()
}

/// Returns where programs that a model wrote are run, and where verdicts on them are kept.
fn place() -> Place {
    let folder = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = folder("XDG_CACHE_HOME").or_else(|| folder("HOME").map(|home| home.join(".cache")));
    Place {
        helper: std::env::current_exe().map(|program| vec![program.into(), JAIL.into()]).unwrap_or_default(),
        verdicts: cache.map(|cache| cache.join("r1flow/verdicts")),
        readable: Vec::new(),
    }
}
