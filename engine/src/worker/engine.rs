//! Ties a worker to its engine.

/// The environment variable that gives workers the engine's process id.
pub(crate) const ENGINE: &str = "R1FLOW_ENGINE";

/// Asks the kernel to kill this process when its engine ends, and exits if it has ended already.
#[cfg(target_os = "linux")]
#[expect(clippy::disallowed_methods, reason = "a worker has its engine's number before it has read anything")]
pub(crate) fn die_with_engine() {
    // SAFETY: a plain system call.
    if unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } != 0 {
        tracing::warn!("the kernel will not end this worker with its engine: the worker will rely on the end of stdin");
    }
    // From a variable, not the parent's id: under a profiler the engine is not the parent. A worker started by hand has
    // no engine.
    let engine = std::env::var(ENGINE).ok().and_then(|engine| engine.parse().ok());
    // SAFETY: signal 0 only asks whether the process is there.
    if engine.is_some_and(|engine| unsafe { libc::kill(engine, 0) } != 0) {
        std::process::exit(1);
    }
}

/// Does nothing: on other systems only the end of stdin tells the worker that the engine is gone.
#[cfg(not(target_os = "linux"))]
pub(crate) fn die_with_engine() {}

/// Ignores signals that request an end and leaves them to the engine, which requests a checkpoint first: a batch system
/// or a service manager sends them to every process. Processes that the stage starts do not inherit this.
pub(crate) fn leave_signals_to_engine() {
    extern "C" fn nothing(_: libc::c_int) {}
    for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGTERM, libc::SIGUSR1, libc::SIGUSR2] {
        // SAFETY: zeros are an action without flags; its handler does nothing, which is safe at any moment.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = nothing as extern "C" fn(libc::c_int) as libc::sighandler_t;
            action.sa_flags = libc::SA_RESTART;
            libc::sigaction(signal, &raw const action, std::ptr::null_mut());
        }
    }
}
