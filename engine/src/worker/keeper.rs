//! The keeper: a process that ends what a worker leaves behind.
//!
//! The kernel kills a worker when its engine dies, but not what the worker itself has started: a sandbox, a helper. Those
//! are in the worker's process group, and the keeper, which is not, kills the group as soon as the worker is gone,
//! however it went.

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

/// A worker's keeper.
pub(crate) struct Keeper(Option<i32>);

#[cfg(target_os = "linux")]
impl Keeper {
    /// Starts it; none where this process does not lead a group of its own, as when somebody runs a worker by hand.
    ///
    /// It is a fork without exec, so it must come before any thread: the keeper itself makes system calls only.
    pub(crate) fn start() -> Self {
        // SAFETY: plain system calls.
        let (worker, group) = unsafe { (libc::getpid(), libc::getpgrp()) };
        if worker != group {
            return Self(None);
        }
        // SAFETY: the child makes async-signal-safe calls only, and never returns.
        match unsafe { libc::fork() } {
            0 => keep(worker),
            child if child > 0 => Self(Some(child)),
            _ => {
                tracing::warn!("no keeper can be started: what this stage starts may outlive it");
                Self(None)
            }
        }
    }

    /// Ends it: the engine itself kills the group of a worker that says how it ended.
    pub(crate) fn end(self) {
        let Self(Some(keeper)) = self else { return };
        // SAFETY: a signal to a child that nobody has waited for, so its number is still its own.
        unsafe {
            libc::kill(keeper, libc::SIGKILL);
            libc::waitpid(keeper, std::ptr::null_mut(), 0);
        }
    }
}

/// Waits until the worker is gone, then kills its group.
#[cfg(target_os = "linux")]
fn keep(worker: i32) -> ! {
    // SAFETY: system calls with pointers to values on the stack, as they ask for.
    unsafe {
        libc::setpgid(0, 0);
        // The engine waits for the end of the worker's output, which is not the keeper's to prolong.
        for file in 0..3 {
            libc::close(file);
        }
        let mut gone = std::mem::zeroed::<libc::sigset_t>();
        libc::sigemptyset(&raw mut gone);
        libc::sigaddset(&raw mut gone, libc::SIGUSR1);
        libc::sigprocmask(libc::SIG_BLOCK, &raw const gone, std::ptr::null_mut());
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGUSR1);
        // It may have gone before the call above.
        while libc::getppid() == worker {
            let mut signal = 0;
            libc::sigwait(&raw const gone, &raw mut signal);
        }
        libc::kill(-worker, libc::SIGKILL);
        libc::_exit(0);
    }
}

#[cfg(not(target_os = "linux"))]
impl Keeper {
    /// There is none: elsewhere no signal tells of a parent's death.
    pub(crate) fn start() -> Self {
        Self(None)
    }

    /// Nothing to end.
    pub(crate) fn end(self) {}
}
