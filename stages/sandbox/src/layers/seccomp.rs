//! Seccomp: the system calls that a program may make. All others, and those that a new kernel brings, do not exist
//! for it (`ENOSYS`, on which C libraries fall back to older calls).
//!
//! It is a list of what is allowed, because a list of what is denied is out of date with each new kernel. Calls of
//! another architecture (32-bit programs, x32) end the process. Left out on purpose: sockets, new namespaces, mounts,
//! ptrace and its kin, keys, io_uring, bpf, perf, memfd (memory that no limit of a process counts), inotify (it tells
//! of files outside), System V and POSIX queues and shared memory, `setsid` and `setpgid` (so that the process group
//! holds every descendant), and changing other processes' priority or limits.

use std::collections::BTreeMap;
use std::io;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};

use super::system_calls::{BY_NAME, FORKS, OLD_FORKS, ONLY_NETWORK, allowed};

/// Flags of `clone` that make namespaces.
const NAMESPACES: u64 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET) as u64;

/// `fcntl` without those that send signals, watch folders or enlarge pipes.
const FCNTL: &[i32] = &[
    libc::F_DUPFD,
    libc::F_DUPFD_CLOEXEC,
    libc::F_GETFD,
    libc::F_SETFD,
    libc::F_GETFL,
    libc::F_SETFL,
    libc::F_GETLK,
    libc::F_SETLK,
    libc::F_SETLKW,
    libc::F_OFD_GETLK,
    libc::F_OFD_SETLK,
    libc::F_OFD_SETLKW,
    libc::F_GETPIPE_SZ,
    libc::F_GET_SEALS,
    libc::F_GETOWN,
];
/// `ioctl` for what C libraries ask of files and terminals, and nothing that changes a terminal.
const IOCTL: &[u64] = &[
    libc::TCGETS,
    libc::TIOCGWINSZ,
    libc::TIOCGPGRP,
    libc::FIONREAD,
    libc::FIONBIO,
    libc::FIOCLEX,
    libc::FIONCLEX,
    // TCGETS2 and FIGETBSZ.
    0x802c_542a,
    0x2,
];
/// `prctl` for names, and reading what stands.
const PRCTL: &[i32] = &[
    libc::PR_SET_NAME,
    libc::PR_GET_NAME,
    libc::PR_GET_DUMPABLE,
    libc::PR_GET_PDEATHSIG,
    libc::PR_CAPBSET_READ,
    libc::PR_GET_SECCOMP,
    libc::PR_GET_NO_NEW_PRIVS,
    libc::PR_SET_NO_NEW_PRIVS,
    libc::PR_GET_TIMERSLACK,
    // PR_SET_VMA, with which C libraries name their memory.
    0x5356_4d41,
];

/// The filter for programs that may start processes and threads, and the one for those that may not.
#[derive(Debug, Clone)]
pub(crate) struct Filters {
    pub(crate) many: BpfProgram,
    pub(crate) single: BpfProgram,
}

/// What a filter lets through besides a program's own computing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Allowed {
    pub(crate) network: bool,
    /// Changing the mode, owner and times of any file by its name, as the program's user may.
    pub(crate) modes: bool,
}

/// Compiles both filters.
pub(crate) fn compile(allowed: Allowed) -> io::Result<Filters> {
    Ok(Filters { many: filter(allowed, true)?, single: filter(allowed, false)? })
}

/// Applies a filter to this process, for good.
pub(crate) fn apply(filter: &BpfProgram) -> io::Result<()> {
    seccompiler::apply_filter(filter).map_err(io::Error::other)
}

/// Compiles a filter that refuses signals to anything but this process and its own group. It serves where neither a
/// namespace, nor a user id of its own, nor landlock keeps signals in.
pub(crate) fn signals_to_itself_only() -> io::Result<BpfProgram> {
    let me = u64::from(std::process::id());
    let mut rules = BTreeMap::new();
    let calls =
        [libc::SYS_kill, libc::SYS_tkill, libc::SYS_tgkill, libc::SYS_rt_sigqueueinfo, libc::SYS_rt_tgsigqueueinfo];
    for call in calls {
        rules.insert(call, vec![all([argument(0, SeccompCmpOp::Ne, me)?, argument(0, SeccompCmpOp::Ne, 0)?])?]);
    }
    build(rules, SeccompAction::Allow, SeccompAction::Errno(libc::EPERM as u32))
}

fn filter(also: Allowed, forks: bool) -> io::Result<BpfProgram> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = allowed().map(|call| (call, Vec::new())).collect();
    if also.modes {
        rules.extend(BY_NAME.iter().map(|call| (*call, Vec::new())));
    } else {
        // Without a name it is about an open file.
        rules.insert(libc::SYS_utimensat, vec![all([no_pointer(1)?])?]);
    }
    if also.network {
        rules.extend(ONLY_NETWORK.iter().map(|call| (*call, Vec::new())));
    } else {
        // Datagram sockets could send to any address. A stream's two ends can only talk to each other.
        let stream = SeccompCmpOp::MaskedEq(0xf);
        let pair =
            [argument(0, SeccompCmpOp::Eq, libc::AF_UNIX as u64)?, argument(1, stream, libc::SOCK_STREAM as u64)?];
        rules.insert(libc::SYS_socketpair, vec![all(pair)?]);
        rules.insert(libc::SYS_sendto, vec![all([no_pointer(4)?])?]);
    }
    if forks {
        let plain = argument(0, SeccompCmpOp::MaskedEq(NAMESPACES), 0)?;
        rules.insert(FORKS, vec![all([plain])?]);
        rules.extend(OLD_FORKS.iter().map(|call| (*call, Vec::new())));
    }
    rules.insert(libc::SYS_fcntl, any_of(1, FCNTL.iter().map(|command| *command as u64))?);
    rules.insert(libc::SYS_ioctl, any_of(1, IOCTL.iter().copied())?);
    rules.insert(libc::SYS_prctl, any_of(0, PRCTL.iter().map(|option| *option as u64))?);
    // Asking for the personality, not changing it.
    rules.insert(libc::SYS_personality, any_of(0, [0xffff_ffff])?);
    // Only its own limits and processors: 0 is the caller.
    rules.insert(libc::SYS_prlimit64, any_of(0, [0])?);
    rules.insert(libc::SYS_sched_setaffinity, any_of(0, [0])?);
    let kinds = |index| -> io::Result<Vec<SeccompRule>> {
        let of_kind = SeccompCmpOp::MaskedEq(u64::from(libc::S_IFMT));
        [0, libc::S_IFREG, libc::S_IFIFO]
            .into_iter()
            .map(|kind| all([argument(index, of_kind.clone(), u64::from(kind))?]))
            .collect()
    };
    rules.insert(libc::SYS_mknodat, kinds(2)?);
    #[cfg(target_arch = "x86_64")]
    rules.insert(libc::SYS_mknod, kinds(1)?);
    build(rules, SeccompAction::Errno(libc::ENOSYS as u32), SeccompAction::Allow)
}

fn build(
    rules: BTreeMap<i64, Vec<SeccompRule>>,
    otherwise: SeccompAction,
    matching: SeccompAction,
) -> io::Result<BpfProgram> {
    let target = TargetArch::try_from(std::env::consts::ARCH).map_err(io::Error::other)?;
    SeccompFilter::new(rules, otherwise, matching, target).and_then(TryInto::try_into).map_err(io::Error::other)
}

/// A rule that holds where all conditions do.
fn all(conditions: impl IntoIterator<Item = SeccompCondition>) -> io::Result<SeccompRule> {
    SeccompRule::new(conditions.into_iter().collect()).map_err(io::Error::other)
}

/// A condition that an argument is a null pointer.
fn no_pointer(index: u8) -> io::Result<SeccompCondition> {
    SeccompCondition::new(index, SeccompCmpArgLen::Qword, SeccompCmpOp::Eq, 0).map_err(io::Error::other)
}

/// Rules that hold where an argument is one of some values.
fn any_of(index: u8, values: impl IntoIterator<Item = u64>) -> io::Result<Vec<SeccompRule>> {
    values.into_iter().map(|value| all([argument(index, SeccompCmpOp::Eq, value)?])).collect()
}

/// A condition on the lower half of an argument, the only one that the kernel looks at for these calls.
fn argument(index: u8, is: SeccompCmpOp, value: u64) -> io::Result<SeccompCondition> {
    SeccompCondition::new(index, SeccompCmpArgLen::Dword, is, value).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys;

    /// Applies a filter to a thread of its own and returns the errors of some calls there.
    fn errors(filter: BpfProgram, calls: Vec<fn() -> i64>) -> Vec<Option<i32>> {
        let tried = std::thread::spawn(move || {
            sys::prctl(libc::PR_SET_NO_NEW_PRIVS, 1).unwrap();
            apply(&filter).unwrap();
            calls.into_iter().map(|call| sys::check(call()).err().and_then(|error| error.raw_os_error())).collect()
        });
        tried.join().unwrap()
    }

    fn kill(whom: i32) -> i64 {
        // SAFETY: signal 0 only asks.
        i64::from(unsafe { libc::kill(whom, 0) })
    }

    #[test]
    fn signals_reach_only_this_process_and_its_group() {
        let calls: Vec<fn() -> i64> =
            vec![|| kill(std::process::id() as i32), || kill(0), || kill(1), || kill(-1), || kill(-2)];
        let refused = Some(libc::EPERM);
        assert_eq!(errors(signals_to_itself_only().unwrap(), calls), [None, None, refused, refused, refused]);
    }

    #[test]
    fn modes_change_by_name_only_where_that_is_allowed() {
        // SAFETY: the names are constants, and no such file exists.
        let calls: Vec<fn() -> i64> = vec![
            || i64::from(unsafe { libc::chmod(c"no-such-file".as_ptr(), 0) }),
            || i64::from(unsafe { libc::utimensat(-1, c"no-such-file".as_ptr(), std::ptr::null(), 0) }),
            || i64::from(unsafe { libc::futimens(-1, std::ptr::null()) }),
        ];
        let compiled = |modes| compile(Allowed { network: false, modes }).unwrap().many;
        let [absent, unknown] = [Some(libc::ENOSYS), Some(libc::EBADF)];
        assert_eq!(errors(compiled(false), calls.clone()), [absent, absent, unknown]);
        assert_eq!(errors(compiled(true), calls), [Some(libc::ENOENT), unknown, unknown]);
    }
}
