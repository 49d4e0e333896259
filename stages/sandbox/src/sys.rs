//! System calls that rustix does not have, as functions with results.

use std::ffi::CString;
use std::io;
use std::time::Duration;

/// Which side of a fork this is.
pub(crate) enum Side {
    Parent(i32),
    Child,
}

/// Returns the error of the last call if it failed.
pub(crate) fn check(result: i64) -> io::Result<i64> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Forks a process that has one thread.
pub(crate) fn fork() -> io::Result<Side> {
    // SAFETY: the helper and its guards have one thread, so the child may do all that the parent may.
    match check(i64::from(unsafe { libc::fork() }))? {
        0 => Ok(Side::Child),
        child => Ok(Side::Parent(child as i32)),
    }
}

/// Forks into new namespaces. The process must have one thread.
pub(crate) fn fork_into(namespaces: i32) -> io::Result<Side> {
    let flags = i64::from(namespaces | libc::SIGCHLD);
    // SAFETY: without a stack and without `CLONE_VM` this is a fork, see there.
    match check(unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) })? {
        0 => Ok(Side::Child),
        child => Ok(Side::Parent(child as i32)),
    }
}

/// Ends this process at once: no destructor of the process that it was forked from runs.
pub(crate) fn exit(code: i32) -> ! {
    // SAFETY: it ends the process.
    unsafe { libc::_exit(code) }
}

/// A process that has ended.
pub(crate) struct Ended {
    pub(crate) pid: i32,
    pub(crate) status: i32,
}

/// What there is to reap.
pub(crate) enum Reaped {
    Ended(Ended),
    /// There are children, and none has ended.
    Running,
    /// There are no children.
    Nothing,
}

/// Returns a child that has ended, and does not reap it: until then, no other process gets its number.
pub(crate) fn peek() -> Option<i32> {
    peek_at(libc::P_ALL, 0)
}

/// Returns whether a child has ended, and does not reap it.
pub(crate) fn has_ended(child: i32) -> bool {
    peek_at(libc::P_PID, child) == Some(child)
}

fn peek_at(kind: libc::idtype_t, which: i32) -> Option<i32> {
    // SAFETY: all zeros is a value of this structure, and the call fills it.
    unsafe {
        let mut about: libc::siginfo_t = std::mem::zeroed();
        let how = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
        check(i64::from(libc::waitid(kind, which as u32, &raw mut about, how))).ok()?;
        Some(about.si_pid()).filter(|pid| *pid != 0)
    }
}

/// Reaps a child (-1 for any), and waits for it.
pub(crate) fn reap(whom: i32) -> Reaped {
    reap_with(whom, 0)
}

/// Reaps a child that has ended.
pub(crate) fn reap_ended() -> Reaped {
    reap_with(-1, libc::WNOHANG)
}

fn reap_with(whom: i32, options: i32) -> Reaped {
    let mut status = 0;
    loop {
        // SAFETY: it writes to `status`.
        let pid = unsafe { libc::waitpid(whom, &raw mut status, options) };
        match pid {
            0 => return Reaped::Running,
            -1 if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
            -1 => return Reaped::Nothing,
            pid => return Reaped::Ended(Ended { pid, status }),
        }
    }
}

/// Returns the CPU time of all reaped children, and the resident memory of the largest in bytes.
pub(crate) fn used_by_children() -> (Duration, u64) {
    // SAFETY: all zeros is a value of this structure, and the call fills it.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_CHILDREN, &raw mut usage);
        usage
    };
    let duration =
        |time: libc::timeval| Duration::from_secs(time.tv_sec as u64) + Duration::from_micros(time.tv_usec as u64);
    (duration(usage.ru_utime) + duration(usage.ru_stime), usage.ru_maxrss as u64 * 1024)
}

/// Sends a signal to a process, to a group (negative), or to all that may be signalled (-1).
pub(crate) fn kill(whom: i32, signal: i32) -> io::Result<()> {
    // SAFETY: a signal.
    check(i64::from(unsafe { libc::kill(whom, signal) })).map(drop)
}

/// Sets what happens on each signal back to the default, and blocks none.
pub(crate) fn reset_signals() {
    // SAFETY: no handler is installed; signals that cannot be changed are refused.
    unsafe {
        for signal in 1..=64 {
            libc::signal(signal, libc::SIG_DFL);
        }
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
    }
}

/// Ignores the signals of a terminal and of batch systems.
pub(crate) fn ignore_signals() {
    for signal in [libc::SIGINT, libc::SIGHUP, libc::SIGQUIT, libc::SIGTERM, libc::SIGUSR1, libc::SIGUSR2] {
        // SAFETY: no handler is installed.
        unsafe {
            libc::signal(signal, libc::SIG_IGN);
        }
    }
}

/// Blocks a set of signals and returns a descriptor that they are read from.
pub(crate) fn signals(of: &[i32]) -> io::Result<std::os::fd::OwnedFd> {
    use std::os::fd::FromRawFd;
    // SAFETY: the set is initialised before use; the descriptor is new and owned here.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        for signal in of {
            // An ignored signal would never be queued.
            libc::signal(*signal, libc::SIG_DFL);
            libc::sigaddset(&raw mut set, *signal);
        }
        libc::sigprocmask(libc::SIG_SETMASK, &raw const set, std::ptr::null_mut());
        let descriptor = check(i64::from(libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK)))?;
        Ok(std::os::fd::OwnedFd::from_raw_fd(descriptor as i32))
    }
}

/// Makes the kernel send a signal to this process when its parent dies.
pub(crate) fn signal_at_parent_s_death(signal: i32) -> io::Result<()> {
    prctl(libc::PR_SET_PDEATHSIG, signal as u64)
}

/// Closes every descriptor from this one on.
pub(crate) fn close_from(first: i32) -> io::Result<()> {
    // SAFETY: the caller uses none of them again.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) }).map(drop)
}

/// Calls prctl with one argument.
pub(crate) fn prctl(option: i32, argument: u64) -> io::Result<()> {
    // SAFETY: the options that are used here take a number.
    check(i64::from(unsafe { libc::prctl(option, argument, 0, 0, 0) })).map(drop)
}

/// Executes a program in place of this one; returns only if that fails.
pub(crate) fn execute(path: &CString, arguments: &[CString], environment: &[CString]) -> io::Error {
    let pointers = |of: &[CString]| of.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect::<Vec<_>>();
    let (arguments, environment) = (pointers(arguments), pointers(environment));
    // SAFETY: both lists end with a null pointer and outlive the call.
    unsafe {
        libc::execve(path.as_ptr(), arguments.as_ptr(), environment.as_ptr());
    }
    io::Error::last_os_error()
}
