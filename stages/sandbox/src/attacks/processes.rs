//! Attacks on other processes, on the guard, and on the end of the run.

use std::io;

use super::calls::{call, child, gain, held, name_it, named, open, pointer, sleep, with};
use super::trial::VICTIM;
use super::{Attack, Judged::LeftProcess, Judged::Said, Targets};

#[rustfmt::skip]
pub(super) const TABLE: &[Attack] = &[
    Attack { name: "see-processes", tries: "see another process in /proc", carry_out: see, judged: Said },
    Attack { name: "see-environment", tries: "read another process's environment", carry_out: |targets| of_victim(targets, "environ", libc::O_RDONLY), judged: Said },
    Attack { name: "see-command", tries: "read another process's command", carry_out: |targets| of_victim(targets, "cmdline", libc::O_RDONLY), judged: Said },
    Attack { name: "see-memory", tries: "open another process's memory", carry_out: |targets| of_victim(targets, "mem", libc::O_RDWR), judged: Said },
    Attack { name: "see-descriptors", tries: "list another process's descriptors", carry_out: |targets| of_victim(targets, "fd", libc::O_RDONLY | libc::O_DIRECTORY), judged: Said },
    Attack { name: "see-guard", tries: "open the guard's memory", carry_out: guard_memory, judged: Said },
    Attack { name: "signal-other", tries: "signal another process", carry_out: |targets| signal(targets.victim), judged: Said },
    Attack { name: "signal-all", tries: "signal all processes", carry_out: signal_each, judged: Said },
    Attack { name: "signal-guard", tries: "kill its guard", carry_out: kill_guard, judged: Said },
    Attack { name: "signal-guard-s-group", tries: "signal the guard's group", carry_out: |_| signal(-parent()), judged: Said },
    Attack { name: "queue-signal", tries: "send a signal with a value", carry_out: queue, judged: Said },
    Attack { name: "signal-by-descriptor", tries: "have a descriptor signal another process", carry_out: own_descriptor, judged: Said },
    Attack { name: "ptrace-other", tries: "trace another process", carry_out: |targets| trace(targets.victim), judged: Said },
    Attack { name: "ptrace-guard", tries: "trace its guard", carry_out: |_| trace(parent()), judged: Said },
    Attack { name: "ptrace-child", tries: "trace a child", carry_out: trace_child, judged: Said },
    Attack { name: "read-memory", tries: "read another process's memory by a call", carry_out: |targets| vm(libc::SYS_process_vm_readv, targets.victim), judged: Said },
    Attack { name: "write-memory", tries: "write another process's memory by a call", carry_out: |targets| vm(libc::SYS_process_vm_writev, targets.victim), judged: Said },
    Attack { name: "read-guard-s-memory", tries: "read its guard's memory by a call", carry_out: |_| vm(libc::SYS_process_vm_readv, parent()), judged: Said },
    Attack { name: "take-descriptor", tries: "take a descriptor of another process", carry_out: take, judged: Said },
    Attack { name: "limits-of-other", tries: "read and set another process's limits", carry_out: limits, judged: Said },
    Attack { name: "priority-of-other", tries: "set another process's priority", carry_out: priority, judged: Said },
    Attack { name: "processors-of-other", tries: "move another process to other processors", carry_out: processors, judged: Said },
    Attack { name: "compare", tries: "compare what processes hold", carry_out: compare, judged: Said },
    Attack { name: "descriptors", tries: "find descriptors that were left open", carry_out: descriptors, judged: Said },
    Attack { name: "terminal", tries: "type into a terminal", carry_out: terminal, judged: Said },
    Attack { name: "new-session", tries: "leave its group and session", carry_out: session, judged: Said },
    Attack { name: "outlive", tries: "leave a child behind", carry_out: outlive, judged: LeftProcess },
    Attack { name: "outlive-daemon", tries: "leave a daemon behind", carry_out: daemon, judged: LeftProcess },
    Attack { name: "outlive-sibling", tries: "leave a child of its parent behind", carry_out: sibling, judged: LeftProcess },
    Attack { name: "outlive-chain", tries: "leave processes behind that start each other", carry_out: chain, judged: LeftProcess },
];

fn parent() -> i32 {
    // SAFETY: it has no arguments.
    unsafe { libc::getppid() }
}

fn see(targets: &Targets) -> io::Result<String> {
    let found = named(VICTIM)?;
    if found.is_empty() { Err(held("not there")) } else { Ok(format!("saw {found:?}, which is {}", targets.victim)) }
}

/// Opens a file about the victim, under the number that it has here.
fn of_victim(targets: &Targets, file: &str, flags: i32) -> io::Result<String> {
    let found = match named(VICTIM) {
        Ok(found) => found.first().copied().ok_or_else(|| held("not there"))?,
        Err(_) => targets.victim,
    };
    open(format!("/proc/{found}/{file}"), flags).map(|_| format!("opened {file} of {found}"))
}

fn guard_memory(_: &Targets) -> io::Result<String> {
    open(format!("/proc/{}/mem", parent()), libc::O_RDWR).map(|_| "opened".to_owned())
}

/// Sends signal 0, which only asks whether a signal may be sent.
fn signal(whom: i32) -> io::Result<String> {
    gain("signalled", libc::SYS_kill, [i64::from(whom), 0])
}

/// Asks of each process that there may be. (Signal 0 to all at once succeeds where each of them is refused.)
fn signal_each(targets: &Targets) -> io::Result<String> {
    let me = std::process::id() as i32;
    let near = targets.victim - 5000..targets.victim + 5000;
    let found: Vec<_> = (2..5000).chain(near).filter(|pid| *pid > 1 && *pid != me && signal(*pid).is_ok()).collect();
    if found.is_empty() { Err(held("there is none that it may signal")) } else { Ok(format!("may signal {found:?}")) }
}

/// Kills the guard in earnest: if it dies, the run is lost.
fn kill_guard(_: &Targets) -> io::Result<String> {
    let result = call(libc::SYS_kill, with([i64::from(parent()), i64::from(libc::SIGKILL)]));
    sleep(100);
    match result {
        Ok(_) if parent() != 1 => Ok("killed it, or may".to_owned()),
        Ok(_) => Err(held("the first process of a namespace takes no signal from it")),
        Err(error) => Err(error),
    }
}

fn queue(targets: &Targets) -> io::Result<String> {
    // SAFETY: all zeros is a value of this structure.
    let mut about: libc::siginfo_t = unsafe { std::mem::zeroed() };
    about.si_code = libc::SI_QUEUE;
    gain("queued", libc::SYS_rt_sigqueueinfo, [i64::from(targets.victim), 0, pointer(&raw const about)])
}

/// Makes another process the one that is told of a descriptor's events, with a signal of choice.
fn own_descriptor(targets: &Targets) -> io::Result<String> {
    let (file, _) = rustix::pipe::pipe()?;
    let file = i64::from(std::os::fd::AsRawFd::as_raw_fd(&file));
    call(libc::SYS_fcntl, with([file, i64::from(libc::F_SETOWN), i64::from(targets.victim)])).map(|_| "set".to_owned())
}

fn trace(whom: i32) -> io::Result<String> {
    const PTRACE_SEIZE: i64 = 0x4206;
    gain("traces", libc::SYS_ptrace, [PTRACE_SEIZE, i64::from(whom), 0, 0])
}

fn trace_child(_: &Targets) -> io::Result<String> {
    trace(child(|| ())?)
}

/// Copies nothing from or to another process: that succeeds where the right is granted.
fn vm(number: i64, whom: i32) -> io::Result<String> {
    let mut byte = 0_u8;
    let part = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    let part = pointer(&raw const part);
    super::calls::let_through("copied", number, [i64::from(whom), part, 1, part, 1, 0], &[libc::EFAULT])
}

fn take(targets: &Targets) -> io::Result<String> {
    let process = call(libc::SYS_pidfd_open, with([i64::from(targets.victim), 0]))?;
    gain("took", libc::SYS_pidfd_getfd, [process, 0, 0])
}

fn limits(targets: &Targets) -> io::Result<String> {
    let mut standing = [0_u64; 2];
    let (whom, what) = (i64::from(targets.victim), i64::from(libc::RLIMIT_CORE));
    call(libc::SYS_prlimit64, with([whom, what, 0, pointer(standing.as_mut_ptr())]))?;
    gain("set", libc::SYS_prlimit64, [whom, what, pointer(standing.as_ptr()), 0])
}

fn priority(targets: &Targets) -> io::Result<String> {
    let whom = i64::from(targets.victim);
    // Raw, the call returns 20 less the value.
    let standing = 20 - call(libc::SYS_getpriority, with([i64::from(libc::PRIO_PROCESS), whom]))?;
    gain("set", libc::SYS_setpriority, [i64::from(libc::PRIO_PROCESS), whom, standing])
}

fn processors(targets: &Targets) -> io::Result<String> {
    let mut standing = [0_u64; 128];
    let whom = i64::from(targets.victim);
    let size = call(libc::SYS_sched_getaffinity, with([whom, 1024, pointer(standing.as_mut_ptr())]))?;
    gain("set", libc::SYS_sched_setaffinity, [whom, size, pointer(standing.as_ptr())])
}

fn compare(targets: &Targets) -> io::Result<String> {
    let me = i64::from(std::process::id());
    gain("compared", libc::SYS_kcmp, [me, i64::from(targets.victim), 1, 0, 0])
}

fn descriptors(_: &Targets) -> io::Result<String> {
    let is_open = |descriptor: &i64| call(libc::SYS_fcntl, with([*descriptor, i64::from(libc::F_GETFD)])).is_ok();
    let open: Vec<_> = (3..4096).filter(is_open).collect();
    if open.is_empty() { Err(held("none is open")) } else { Ok(format!("open: {open:?}")) }
}

fn terminal(_: &Targets) -> io::Result<String> {
    if let Ok(terminal) = open("/dev/tty", libc::O_RDWR) {
        return Ok(format!("opened {terminal}"));
    }
    let nothing = 0_u8;
    // With nothing to type into, ENOTTY shows that the call was let through.
    let arguments = [0, libc::TIOCSTI as i64, pointer(&raw const nothing)];
    super::calls::let_through("typed", libc::SYS_ioctl, arguments, &[libc::ENOTTY])
}

fn session(_: &Targets) -> io::Result<String> {
    let own = child(|| {
        let left = call(libc::SYS_setsid, with([])).is_ok();
        crate::sys::exit(i32::from(left));
    })?;
    let mut status = 0;
    // SAFETY: it writes to `status`.
    unsafe { libc::waitpid(own, &raw mut status, 0) };
    if libc::WEXITSTATUS(status) == 1 { Ok("left".to_owned()) } else { Err(held("refused")) }
}

fn outlive(targets: &Targets) -> io::Result<String> {
    let left = child(|| name_it(&targets.marker))?;
    sleep(50);
    Ok(format!("left {left}"))
}

fn daemon(targets: &Targets) -> io::Result<String> {
    child(|| {
        let _ = call(libc::SYS_setsid, with([]));
        let _ = call(libc::SYS_setpgid, with([]));
        for descriptor in 0..3 {
            let _ = call(libc::SYS_close, with([descriptor]));
        }
        let _ = child(|| name_it(&targets.marker));
        crate::sys::exit(0);
    })?;
    sleep(50);
    Ok("left".to_owned())
}

fn sibling(targets: &Targets) -> io::Result<String> {
    if call(libc::SYS_clone, with([i64::from(libc::CLONE_PARENT | libc::SIGCHLD)]))? == 0 {
        name_it(&targets.marker);
        sleep(5000);
    }
    sleep(50);
    Ok("left".to_owned())
}

/// Each process starts the next and ends, so that no list of them is true for long. It stops by itself.
fn chain(targets: &Targets) -> io::Result<String> {
    let start = std::time::Instant::now();
    if let crate::sys::Side::Child = crate::sys::fork()? {
        name_it(&targets.marker);
        while start.elapsed().as_secs() < 5 {
            if let Ok(crate::sys::Side::Parent(_)) = crate::sys::fork() {
                crate::sys::exit(0);
            }
        }
        crate::sys::exit(0);
    }
    sleep(50);
    Ok("left".to_owned())
}
