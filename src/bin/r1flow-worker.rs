//! The worker: runs one attempt at a stage with libtorch, on the engine's commands from stdin. `r1flow-worker gpus`
//! prints the GPUs that it finds.

use engine::stage::serve::Worker;
use stages::artifacts::Import;

fn main() -> std::process::ExitCode {
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
    if std::env::args().nth(1).as_deref() == Some("gpus") {
        return stages::tell_gpus();
    }
    let worker = Worker::new(stages::KINDS).with_imports::<Import>().with_grader(stages::judging::grade);
    worker.with_processor(|| Some(stages::processor())).serve()
}
