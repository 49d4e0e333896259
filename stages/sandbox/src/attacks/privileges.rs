//! Attacks that would raise the program's rights, or change the machine.

use std::io;

use super::calls::{call, gain, held, let_through, open, pointer, text, with};
use super::{Attack, Judged::Said, Targets};

#[rustfmt::skip]
pub(super) const TABLE: &[Attack] = &[
    Attack { name: "become-root", tries: "become root", carry_out: |_| gain("root", libc::SYS_setresuid, [0, 0, 0]), judged: Said },
    Attack { name: "join-group", tries: "join other groups", carry_out: groups, judged: Said },
    Attack { name: "set-uid", tries: "gain rights from set-uid programs such as su", carry_out: set_uid, judged: Said },
    Attack { name: "capabilities", tries: "use capabilities", carry_out: capabilities, judged: Said },
    Attack { name: "user-namespace", tries: "make a user namespace", carry_out: |_| unshare(libc::CLONE_NEWUSER), judged: Said },
    Attack { name: "mount-namespace", tries: "make a mount namespace", carry_out: |_| unshare(libc::CLONE_NEWNS), judged: Said },
    Attack { name: "network-namespace", tries: "make a network namespace", carry_out: |_| unshare(libc::CLONE_NEWNET), judged: Said },
    Attack { name: "clone-namespace", tries: "start a process in a user namespace", carry_out: clone, judged: Said },
    Attack { name: "clone3-namespace", tries: "do so by clone3, whose flags no filter sees", carry_out: clone3, judged: Said },
    Attack { name: "enter-namespace", tries: "enter another process's namespace", carry_out: enter, judged: Said },
    Attack { name: "mount", tries: "mount a file system", carry_out: mount, judged: Said },
    Attack { name: "new-mount", tries: "mount one by the newer calls", carry_out: new_mount, judged: Said },
    Attack { name: "open-tree", tries: "copy a tree of mounts", carry_out: open_tree, judged: Said },
    Attack { name: "unmount", tries: "take off what covers other files", carry_out: unmount, judged: Said },
    Attack { name: "chroot", tries: "change its root", carry_out: chroot, judged: Said },
    Attack { name: "set-clock", tries: "set the clock", carry_out: clock, judged: Said },
    Attack { name: "tune-clock", tries: "tune the clock", carry_out: tune, judged: Said },
    Attack { name: "host-name", tries: "rename the machine", carry_out: host_name, judged: Said },
    Attack { name: "reboot", tries: "restart the machine", carry_out: |_| let_through("reboot", libc::SYS_reboot, [0, 0, 0, 0], &[libc::EINVAL]), judged: Said },
    Attack { name: "kernel-module", tries: "load a kernel module", carry_out: |_| let_through("a module", libc::SYS_finit_module, [-1, 0, 0], &[libc::EBADF, libc::EFAULT, libc::EINVAL]), judged: Said },
    Attack { name: "kexec", tries: "load another kernel", carry_out: |_| let_through("a kernel", libc::SYS_kexec_load, [0, 0, 0, 0x7fff_0000], &[libc::EINVAL]), judged: Said },
    Attack { name: "swap", tries: "change swap space", carry_out: swap, judged: Said },
    Attack { name: "accounting", tries: "switch process accounting", carry_out: accounting, judged: Said },
    Attack { name: "kernel-log", tries: "read the kernel's log", carry_out: log, judged: Said },
    Attack { name: "hang-up", tries: "hang up the terminal", carry_out: |_| gain("hung up", libc::SYS_vhangup, []), judged: Said },
    Attack { name: "quota", tries: "change quotas", carry_out: |_| let_through("quotas", libc::SYS_quotactl, [0x80_0001 << 8, 0, 0, 0], &[libc::ENODEV, libc::ENOTBLK]), judged: Said },
    Attack { name: "real-time", tries: "run before all others", carry_out: real_time, judged: Said },
    Attack { name: "raise-priority", tries: "raise its priority", carry_out: |_| gain("raised", libc::SYS_setpriority, [0, 0, -20]), judged: Said },
    Attack { name: "disk-priority", tries: "raise its priority on the disk", carry_out: |_| gain("raised", libc::SYS_ioprio_set, [1, 0, 1 << 13]), judged: Said },
    Attack { name: "lock-memory", tries: "lock its memory in place", carry_out: lock, judged: Said },
    Attack { name: "raise-limits", tries: "raise its limits", carry_out: raise, judged: Said },
    Attack { name: "core-dump", tries: "leave a core dump", carry_out: core_dump, judged: Said },
];

fn groups(_: &Targets) -> io::Result<String> {
    let group = 0_u32;
    gain("joined", libc::SYS_setgroups, [1, pointer(&raw const group)])
}

/// Reads the flag by which the kernel gives no new rights to whatever is executed.
fn set_uid(_: &Targets) -> io::Result<String> {
    match call(libc::SYS_prctl, with([i64::from(libc::PR_GET_NO_NEW_PRIVS)]))? {
        1 => Err(held("nothing that is executed gains rights")),
        _ => Ok("set-uid programs have their effect".to_owned()),
    }
}

fn capabilities(_: &Targets) -> io::Result<String> {
    const VERSION: u32 = 0x2008_0522;
    let (header, mut sets) = ([VERSION, 0], [0_u32; 6]);
    call(libc::SYS_capget, with([pointer(header.as_ptr()), pointer(sets.as_mut_ptr())]))?;
    if sets == [0; 6] { Err(held("it has none")) } else { Ok(format!("has {sets:x?}")) }
}

fn unshare(flags: i32) -> io::Result<String> {
    gain("made", libc::SYS_unshare, [i64::from(flags)])
}

fn clone(_: &Targets) -> io::Result<String> {
    let child = call(libc::SYS_clone, with([i64::from(libc::CLONE_NEWUSER | libc::SIGCHLD)]))?;
    if child == 0 {
        crate::sys::exit(0);
    }
    Ok(format!("started {child}"))
}

fn clone3(_: &Targets) -> io::Result<String> {
    let mut arguments = [0_u64; 8];
    arguments[0] = libc::CLONE_NEWUSER as u64;
    arguments[4] = libc::SIGCHLD as u64;
    let child = call(libc::SYS_clone3, with([pointer(arguments.as_ptr()), 64]))?;
    if child == 0 {
        crate::sys::exit(0);
    }
    Ok(format!("started {child}"))
}

fn enter(targets: &Targets) -> io::Result<String> {
    let namespace = open(format!("/proc/{}/ns/mnt", targets.victim), libc::O_RDONLY)
        .or_else(|_| open("/proc/1/ns/mnt", libc::O_RDONLY))
        .or_else(|_| call(libc::SYS_pidfd_open, with([i64::from(targets.victim), 0])))?;
    gain("entered", libc::SYS_setns, [namespace, i64::from(libc::CLONE_NEWNS)])
}

/// Mounts a file system of a kind that there is not: ENODEV comes after the right was granted.
fn mount(_: &Targets) -> io::Result<String> {
    let (kind, at) = (c"no-such-kind", c".");
    let [kind, at] = [kind, at].map(|text| pointer(text.as_ptr()));
    let_through("mounted", libc::SYS_mount, [kind, at, kind, 0, 0], &[libc::ENODEV])
}

fn new_mount(_: &Targets) -> io::Result<String> {
    let kind = c"tmpfs";
    gain("opened", libc::SYS_fsopen, [pointer(kind.as_ptr()), 0])
}

fn open_tree(_: &Targets) -> io::Result<String> {
    const CLONE: i64 = 1;
    let root = c"/";
    gain("copied", libc::SYS_open_tree, [i64::from(libc::AT_FDCWD), pointer(root.as_ptr()), CLONE])
}

fn unmount(_: &Targets) -> io::Result<String> {
    // A folder on which nothing is mounted: EINVAL comes after the right was granted.
    let at = c".";
    let_through("unmounted", libc::SYS_umount2, [pointer(at.as_ptr()), i64::from(libc::MNT_DETACH)], &[libc::EINVAL])
}

fn chroot(_: &Targets) -> io::Result<String> {
    let at = c".";
    gain("changed", libc::SYS_chroot, [pointer(at.as_ptr())])
}

/// Sets the clock to the time that it shows.
fn clock(_: &Targets) -> io::Result<String> {
    let mut now = [0_i64; 2];
    call(libc::SYS_clock_gettime, with([i64::from(libc::CLOCK_REALTIME), pointer(now.as_mut_ptr())]))?;
    gain("set", libc::SYS_clock_settime, [i64::from(libc::CLOCK_REALTIME), pointer(now.as_ptr())])
}

/// Sets the clock's tick to its value.
fn tune(_: &Targets) -> io::Result<String> {
    // SAFETY: all zeros is a value of this structure, and asks without changing.
    let mut standing: libc::timex = unsafe { std::mem::zeroed() };
    call(libc::SYS_adjtimex, with([pointer(&raw mut standing)]))?;
    standing.modes = libc::ADJ_TICK;
    gain("set", libc::SYS_adjtimex, [pointer(&raw mut standing)])
}

/// Gives the machine the name that it has.
fn host_name(_: &Targets) -> io::Result<String> {
    let name = rustix::system::uname().nodename().to_bytes().to_vec();
    gain("set", libc::SYS_sethostname, [pointer(name.as_ptr()), name.len() as i64])
}

fn swap(_: &Targets) -> io::Result<String> {
    let nothing = text("no-such-file");
    let_through("swap", libc::SYS_swapoff, [pointer(nothing.as_ptr())], &[libc::ENOENT])
}

fn accounting(_: &Targets) -> io::Result<String> {
    let nothing = text("no-such-file");
    let_through("switched", libc::SYS_acct, [pointer(nothing.as_ptr())], &[libc::ENOENT])
}

fn log(_: &Targets) -> io::Result<String> {
    const READ_ALL: i64 = 3;
    let mut bytes = [0_u8; 64];
    gain("read", libc::SYS_syslog, [READ_ALL, pointer(bytes.as_mut_ptr()), 64])
}

fn real_time(_: &Targets) -> io::Result<String> {
    let priority = 1_i32;
    gain("set", libc::SYS_sched_setscheduler, [0, i64::from(libc::SCHED_FIFO), pointer(&raw const priority)])
}

fn lock(targets: &Targets) -> io::Result<String> {
    let bytes = vec![1_u8; (targets.limits.memory / 8) as usize];
    gain("locked", libc::SYS_mlock, [pointer(bytes.as_ptr()), bytes.len() as i64])
}

fn raise(_: &Targets) -> io::Result<String> {
    for resource in [libc::RLIMIT_AS, libc::RLIMIT_CPU, libc::RLIMIT_FSIZE] {
        let unbounded = [u64::MAX; 2];
        let arguments = with([0, i64::from(resource), pointer(unbounded.as_ptr()), 0]);
        if call(libc::SYS_prlimit64, arguments).is_ok() {
            return Ok(format!("raised limit {resource}"));
        }
    }
    Err(held("none can be raised"))
}

fn core_dump(_: &Targets) -> io::Result<String> {
    let mut standing = [0_u64; 2];
    call(libc::SYS_prlimit64, with([0, i64::from(libc::RLIMIT_CORE), 0, pointer(standing.as_mut_ptr())]))?;
    let most = [standing[1]; 2];
    call(libc::SYS_prlimit64, with([0, i64::from(libc::RLIMIT_CORE), pointer(most.as_ptr()), 0]))?;
    if most[0] == 0 { Err(held("its size is 0")) } else { Ok(format!("may have {} bytes", most[0])) }
}
