//! What ties a worker to its engine.

/// Names the engine's process to its workers.
pub(crate) const ENGINE: &str = "R1FLOW_ENGINE";

/// Asks the kernel to kill this process when its engine ends, however it ends, and exits if it has ended already.
#[cfg(target_os = "linux")]
pub(crate) fn die_with_engine() {
    // SAFETY: a plain system call.
    if unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } != 0 {
        tracing::warn!("the kernel will not end this worker with its engine: the end of stdin must do");
    }
    // By hand a worker has no engine; below a profiler the engine is not its parent.
    let engine = std::env::var(ENGINE).ok().and_then(|engine| engine.parse().ok());
    // SAFETY: signal 0 only asks whether the process is there.
    if engine.is_some_and(|engine| unsafe { libc::kill(engine, 0) } != 0) {
        std::process::exit(1);
    }
}

/// Elsewhere the end of stdin tells the worker that the engine is gone.
#[cfg(not(target_os = "linux"))]
pub(crate) fn die_with_engine() {}
