//! `like_docker COMMAND...` runs a command under the essentials of Docker's default seccomp profile, by hand.
//!
//! What that profile refuses to a container without more capabilities is refused here in the same way: new namespaces,
//! mounts, keys, io_uring and the like with EPERM, `clone3` with ENOSYS. The tests use it to try the jail as it is inside
//! a container, without Docker.

#[cfg(target_os = "linux")]
fn main() -> std::io::Result<()> {
    use std::io::Error;
    use std::os::unix::process::CommandExt;

    for filter in linux::filters().map_err(Error::other)? {
        seccompiler::apply_filter(&filter).map_err(Error::other)?;
    }
    let mut arguments = std::env::args_os().skip(1);
    let program = arguments.next().ok_or_else(|| Error::other("usage: like_docker COMMAND..."))?;
    Err(std::process::Command::new(program).args(arguments).exec())
}

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
mod linux {
    use seccompiler::{
        BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
        SeccompRule, TargetArch,
    };

    /// Refused to root without `CAP_SYS_ADMIN` and the like, as to others.
    #[rustfmt::skip]
    const REFUSED: &[i64] = &[
        libc::SYS_unshare, libc::SYS_setns, libc::SYS_mount, libc::SYS_umount2, libc::SYS_pivot_root,
        libc::SYS_open_tree, libc::SYS_move_mount, libc::SYS_fsopen, libc::SYS_fsconfig, libc::SYS_fsmount,
        libc::SYS_fspick, libc::SYS_mount_setattr, libc::SYS_keyctl, libc::SYS_add_key, libc::SYS_request_key,
        libc::SYS_bpf, libc::SYS_perf_event_open, libc::SYS_userfaultfd, libc::SYS_io_uring_setup,
        libc::SYS_io_uring_enter, libc::SYS_io_uring_register, libc::SYS_open_by_handle_at, libc::SYS_kexec_load,
        libc::SYS_init_module, libc::SYS_finit_module, libc::SYS_delete_module, libc::SYS_reboot, libc::SYS_swapon,
        libc::SYS_swapoff, libc::SYS_acct, libc::SYS_quotactl, libc::SYS_syslog, libc::SYS_settimeofday,
        libc::SYS_clock_settime, libc::SYS_adjtimex, libc::SYS_clock_adjtime, libc::SYS_move_pages, libc::SYS_mbind,
        libc::SYS_set_mempolicy, libc::SYS_vhangup, libc::SYS_sethostname, libc::SYS_setdomainname,
        libc::SYS_fanotify_init, libc::SYS_lookup_dcookie, libc::SYS_nfsservctl,
    ];
    /// Personalities that are let through.
    const PERSONALITIES: [u64; 5] = [0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff];
    /// Flags of `clone` that make namespaces.
    const NAMESPACES: u64 = 0x7e02_0000;

    pub(super) fn filters() -> Result<[BpfProgram; 2], BackendError> {
        let mut refused: Vec<(i64, Vec<SeccompRule>)> = REFUSED.iter().map(|call| (*call, Vec::new())).collect();
        // One rule for each flag: that it is set.
        let flags = (0..64).map(|bit| 1 << bit).filter(|flag| NAMESPACES & flag != 0);
        let rules: Result<_, _> = flags.map(|flag| rule(&[(0, SeccompCmpOp::MaskedEq(flag), flag)])).collect();
        refused.push((libc::SYS_clone, rules?));
        let others = PERSONALITIES.map(|allowed| (0, SeccompCmpOp::Ne, allowed));
        refused.push((libc::SYS_personality, vec![rule(&others)?]));
        refused.push((libc::SYS_socket, vec![rule(&[(0, SeccompCmpOp::Eq, libc::AF_VSOCK as u64)])?]));
        Ok([build(refused, libc::EPERM)?, build(vec![(libc::SYS_clone3, Vec::new())], libc::ENOSYS)?])
    }

    fn build(rules: Vec<(i64, Vec<SeccompRule>)>, error: i32) -> Result<BpfProgram, BackendError> {
        let target = TargetArch::try_from(std::env::consts::ARCH)?;
        let refuse = SeccompAction::Errno(error as u32);
        SeccompFilter::new(rules.into_iter().collect(), SeccompAction::Allow, refuse, target)?.try_into()
    }

    fn rule(conditions: &[(u8, SeccompCmpOp, u64)]) -> Result<SeccompRule, BackendError> {
        let condition = |(index, is, value): &(u8, SeccompCmpOp, u64)| {
            SeccompCondition::new(*index, SeccompCmpArgLen::Dword, is.clone(), *value)
        };
        SeccompRule::new(conditions.iter().map(condition).collect::<Result<_, _>>()?)
    }
}
