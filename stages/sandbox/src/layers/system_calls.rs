//! The system calls of the filter, by processor.

/// Calls that serve a program's own computing, files and processes, with any arguments.
#[rustfmt::skip]
const COMMON: &[i64] = &[
    libc::SYS_read, libc::SYS_write, libc::SYS_openat, libc::SYS_close, libc::SYS_fstat, libc::SYS_statx,
    libc::SYS_ppoll, libc::SYS_pselect6, libc::SYS_lseek, libc::SYS_mmap, libc::SYS_mprotect, libc::SYS_munmap,
    libc::SYS_brk, libc::SYS_mremap, libc::SYS_msync, libc::SYS_mincore, libc::SYS_madvise, libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask, libc::SYS_rt_sigreturn, libc::SYS_rt_sigpending, libc::SYS_rt_sigtimedwait,
    libc::SYS_rt_sigsuspend, libc::SYS_sigaltstack, libc::SYS_pread64, libc::SYS_pwrite64, libc::SYS_readv,
    libc::SYS_writev, libc::SYS_preadv, libc::SYS_pwritev, libc::SYS_preadv2, libc::SYS_pwritev2, libc::SYS_faccessat,
    libc::SYS_faccessat2, libc::SYS_openat2, libc::SYS_pipe2, libc::SYS_sched_yield, libc::SYS_dup, libc::SYS_dup3,
    libc::SYS_nanosleep, libc::SYS_clock_nanosleep, libc::SYS_getitimer, libc::SYS_setitimer, libc::SYS_getpid,
    libc::SYS_gettid, libc::SYS_getppid, libc::SYS_getpgid, libc::SYS_getsid, libc::SYS_sendfile, libc::SYS_recvfrom,
    libc::SYS_shutdown, libc::SYS_getsockopt, libc::SYS_getsockname, libc::SYS_getpeername, libc::SYS_execve,
    libc::SYS_execveat, libc::SYS_exit, libc::SYS_exit_group, libc::SYS_wait4, libc::SYS_waitid, libc::SYS_kill,
    libc::SYS_tkill, libc::SYS_tgkill, libc::SYS_rt_sigqueueinfo, libc::SYS_rt_tgsigqueueinfo, libc::SYS_uname,
    libc::SYS_flock, libc::SYS_fsync, libc::SYS_fdatasync, libc::SYS_truncate, libc::SYS_ftruncate, libc::SYS_fallocate,
    libc::SYS_getdents64, libc::SYS_getcwd, libc::SYS_chdir, libc::SYS_fchdir, libc::SYS_renameat, libc::SYS_renameat2,
    libc::SYS_mkdirat, libc::SYS_linkat, libc::SYS_unlinkat, libc::SYS_symlinkat, libc::SYS_readlinkat,
    libc::SYS_fchmod, libc::SYS_fchown, libc::SYS_umask, libc::SYS_gettimeofday, libc::SYS_getrlimit,
    libc::SYS_setrlimit, libc::SYS_getrusage, libc::SYS_sysinfo, libc::SYS_times, libc::SYS_getuid, libc::SYS_getgid,
    libc::SYS_geteuid, libc::SYS_getegid, libc::SYS_getresuid, libc::SYS_getresgid, libc::SYS_getgroups,
    libc::SYS_capget, libc::SYS_newfstatat, libc::SYS_statfs, libc::SYS_fstatfs, libc::SYS_getpriority,
    libc::SYS_sched_getparam, libc::SYS_sched_getscheduler, libc::SYS_sched_get_priority_max,
    libc::SYS_sched_get_priority_min, libc::SYS_sched_getaffinity, libc::SYS_sched_rr_get_interval,
    libc::SYS_sched_getattr, libc::SYS_mlock, libc::SYS_munlock, libc::SYS_mlock2, libc::SYS_set_tid_address,
    libc::SYS_set_robust_list, libc::SYS_futex, libc::SYS_epoll_create1, libc::SYS_epoll_ctl, libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2, libc::SYS_eventfd2, libc::SYS_signalfd4, libc::SYS_timerfd_create,
    libc::SYS_timerfd_settime, libc::SYS_timerfd_gettime, libc::SYS_timer_create, libc::SYS_timer_settime,
    libc::SYS_timer_gettime, libc::SYS_timer_getoverrun, libc::SYS_timer_delete, libc::SYS_clock_gettime,
    libc::SYS_clock_getres, libc::SYS_getrandom, libc::SYS_rseq, libc::SYS_membarrier, libc::SYS_copy_file_range,
    libc::SYS_splice, libc::SYS_tee, libc::SYS_vmsplice, libc::SYS_close_range, libc::SYS_sync_file_range,
    libc::SYS_fadvise64, libc::SYS_readahead, libc::SYS_getcpu, libc::SYS_restart_syscall, libc::SYS_pkey_mprotect,
    libc::SYS_pkey_alloc, libc::SYS_pkey_free, libc::SYS_get_mempolicy, libc::SYS_getxattr, libc::SYS_lgetxattr,
    libc::SYS_fgetxattr, libc::SYS_listxattr, libc::SYS_llistxattr, libc::SYS_flistxattr, libc::SYS_mseal,
    libc::SYS_futex_waitv,
];

/// The older forms that only x86-64 has.
#[cfg(target_arch = "x86_64")]
#[rustfmt::skip]
const OLD: &[i64] = &[
    libc::SYS_open, libc::SYS_creat, libc::SYS_stat, libc::SYS_lstat, libc::SYS_poll, libc::SYS_select,
    libc::SYS_access, libc::SYS_pipe, libc::SYS_dup2, libc::SYS_pause, libc::SYS_alarm, libc::SYS_getpgrp,
    libc::SYS_getdents, libc::SYS_rename, libc::SYS_mkdir, libc::SYS_rmdir, libc::SYS_link, libc::SYS_unlink,
    libc::SYS_symlink, libc::SYS_readlink, libc::SYS_epoll_create, libc::SYS_epoll_wait, libc::SYS_eventfd,
    libc::SYS_signalfd, libc::SYS_time, libc::SYS_arch_prctl,
];
#[cfg(not(target_arch = "x86_64"))]
const OLD: &[i64] = &[];

/// Calls that change a file's mode, owner or times by its name. Landlock does not restrict them.
#[cfg(target_arch = "x86_64")]
#[rustfmt::skip]
pub(super) const BY_NAME: &[i64] = &[
    libc::SYS_fchmodat, libc::SYS_fchmodat2, libc::SYS_fchownat, libc::SYS_utimensat, libc::SYS_chmod, libc::SYS_chown,
    libc::SYS_lchown, libc::SYS_utime, libc::SYS_utimes, libc::SYS_futimesat,
];
#[cfg(not(target_arch = "x86_64"))]
pub(super) const BY_NAME: &[i64] = &[libc::SYS_fchmodat, libc::SYS_fchmodat2, libc::SYS_fchownat, libc::SYS_utimensat];

/// Calls that come with a network.
#[rustfmt::skip]
pub(super) const ONLY_NETWORK: &[i64] = &[
    libc::SYS_socket, libc::SYS_connect, libc::SYS_bind, libc::SYS_listen, libc::SYS_accept, libc::SYS_accept4,
    libc::SYS_socketpair, libc::SYS_sendto, libc::SYS_sendmsg, libc::SYS_sendmmsg, libc::SYS_recvmsg,
    libc::SYS_recvmmsg, libc::SYS_setsockopt,
];

/// The call that starts processes and threads. `clone3` is refused: a filter cannot see its flags.
pub(super) const FORKS: i64 = libc::SYS_clone;

/// The older forms of it, which only x86-64 has.
#[cfg(target_arch = "x86_64")]
pub(super) const OLD_FORKS: &[i64] = &[libc::SYS_fork, libc::SYS_vfork];
#[cfg(not(target_arch = "x86_64"))]
pub(super) const OLD_FORKS: &[i64] = &[];

/// Returns the calls that are allowed with any arguments.
pub(super) fn allowed() -> impl Iterator<Item = i64> {
    COMMON.iter().chain(OLD).copied()
}
