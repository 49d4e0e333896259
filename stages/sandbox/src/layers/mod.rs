//! The layers that hold a program, and finding out which of them work here.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};

pub(crate) mod cgroup;
pub(crate) mod landlock;
pub(crate) mod namespaces;
pub(crate) mod rlimits;
pub(crate) mod seccomp;
mod system_calls;

use crate::folder::Scratch;
use crate::program::{Layer, Policy};
use crate::sys::{self, Reaped, Side};

/// The first of the user ids that running programs get, one each, where the helper is root.
const FIRST_USER: u32 = 0x7000_0000;
/// The user id of all programs where only the usual ids exist.
const NOBODY: u32 = 65_534;

/// The layers in use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layers {
    /// The layers that were tried and work.
    pub working: BTreeSet<Layer>,
    /// The kernel's version of landlock, 0 for none. Signals and abstract sockets are held from version 6 on.
    pub landlock: i32,
    /// Why each other layer is not in use.
    pub missing: Vec<(Layer, String)>,
}

/// The user that a program becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum User {
    /// One that no other running program has.
    Own,
    Nobody,
    /// The helper's own: it is not root.
    Helper,
}

/// How programs are kept apart.
#[derive(Debug)]
pub(crate) enum Form {
    /// In namespaces, with a user namespace each or as root.
    Namespaces { user: bool },
    /// In folders below this one.
    Folders(Scratch),
}

/// What the helper has prepared for all guards.
#[derive(Debug)]
pub(crate) struct Grounds {
    pub(crate) layers: Layers,
    pub(crate) form: Form,
    pub(crate) user: User,
    pub(crate) cgroup: Option<cgroup::Cgroup>,
    pub(crate) reachable: landlock::Reachable,
    pub(crate) filters: Option<seccomp::Filters>,
    pub(crate) network: bool,
    /// The `/proc` that the helper started with.
    pub(crate) proc: OwnedFd,
}

impl Grounds {
    /// Tries each layer and prepares those that work. The process enters namespaces by it.
    pub(crate) fn prepare(policy: &Policy) -> io::Result<Self> {
        let mut found = Found::default();
        let wanted = |layer| if policy.leave_out.contains(&layer) { Err(io::Error::other("left out")) } else { Ok(()) };
        let proc = rustix::fs::open("/proc", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let landlocked = found.note(Layer::Landlock, wanted(Layer::Landlock).and_then(|()| try_landlock())).is_some();
        let user = user(policy, &mut found);
        found.note(Layer::Rlimits, wanted(Layer::Rlimits));
        let cgroup = found.note(Layer::Cgroup, wanted(Layer::Cgroup).and_then(|()| cgroup::Cgroup::create()));
        let entered = wanted(Layer::Namespaces).and_then(|()| enter_namespaces(policy));
        // Where a program has the user of the files outside, and sees them, it must not change their modes.
        let modes = entered.is_ok() || user != User::Helper;
        let allowed = seccomp::Allowed { network: policy.network, modes };
        let filters = found.note(Layer::Seccomp, wanted(Layer::Seccomp).and_then(|()| try_seccomp(allowed)));
        let form = match found.note(Layer::Namespaces, entered) {
            Some(user) => Form::Namespaces { user },
            None => Form::Folders(Scratch::create(&policy.scratch)?),
        };
        let mut reachable = landlock::Reachable::default();
        if landlocked {
            reach(&mut reachable, policy, &form)?;
        }
        let landlock = if landlocked { landlock::version() } else { 0 };
        let layers = Layers { working: found.working, landlock, missing: found.missing };
        Ok(Self { layers, form, user, cgroup, reachable, filters, network: policy.network, proc })
    }

    pub(crate) fn has(&self, layer: Layer) -> bool {
        self.layers.working.contains(&layer)
    }

    /// Returns the user and group of the program in a slot, where it becomes another.
    pub(crate) fn ids(&self, slot: usize) -> Option<u32> {
        match self.user {
            User::Own => Some(FIRST_USER + slot as u32),
            User::Nobody => Some(NOBODY),
            User::Helper => None,
        }
    }

    /// Returns whether the kernel counts the processes of each program alone.
    pub(crate) fn counts_processes(&self) -> bool {
        self.has(Layer::Cgroup) || self.bounds_processes()
    }

    /// Returns whether `RLIMIT_NPROC` counts the processes of one program alone.
    pub(crate) fn bounds_processes(&self) -> bool {
        self.has(Layer::Rlimits) && (self.user == User::Own || matches!(self.form, Form::Namespaces { user: true }))
    }
}

/// What the tries have shown.
#[derive(Default)]
struct Found {
    working: BTreeSet<Layer>,
    missing: Vec<(Layer, String)>,
}

impl Found {
    fn note<T>(&mut self, layer: Layer, tried: io::Result<T>) -> Option<T> {
        match tried {
            Ok(value) => {
                self.working.insert(layer);
                Some(value)
            }
            Err(error) => {
                self.missing.push((layer, error.to_string()));
                None
            }
        }
    }
}

/// Tells landlock what programs may reach.
fn reach(reachable: &mut landlock::Reachable, policy: &Policy, form: &Form) -> io::Result<()> {
    namespaces::SYSTEM.iter().try_for_each(|path| reachable.read(Path::new(path)))?;
    if policy.network {
        namespaces::NETWORK.iter().try_for_each(|path| reachable.read(Path::new(path)))?;
    }
    policy.readable.iter().try_for_each(|path: &PathBuf| reachable.read(path))?;
    namespaces::DEVICES.iter().try_for_each(|path| reachable.write(Path::new(path)))?;
    if matches!(form, Form::Namespaces { .. }) {
        for made_for_programs in ["/etc", "/dev"] {
            reachable.read(Path::new(made_for_programs))?;
        }
    }
    Ok(())
}

/// Finds the user that programs become.
fn user(policy: &Policy, found: &mut Found) -> User {
    if !rustix::process::geteuid().is_root() {
        found.missing.push((Layer::OwnUser, "only root can give user ids".to_owned()));
        return User::Helper;
    }
    let wanted = !policy.leave_out.contains(&Layer::OwnUser);
    let tried = if wanted { apart(|| become_user(FIRST_USER)) } else { Err(io::Error::other("left out")) };
    if found.note(Layer::OwnUser, tried).is_some() {
        User::Own
    } else if wanted && apart(|| become_user(NOBODY)).is_ok() {
        User::Nobody
    } else {
        User::Helper
    }
}

/// Becomes a user and a group of the same number, with no other groups.
pub(crate) fn become_user(id: u32) -> io::Result<()> {
    // SAFETY: this process has one thread, so its user changes as a whole.
    unsafe {
        sys::check(i64::from(libc::setgroups(0, std::ptr::null())))?;
        sys::check(i64::from(libc::setresgid(id, id, id)))?;
        sys::check(i64::from(libc::setresuid(id, id, id)))?;
    }
    Ok(())
}

fn try_seccomp(allowed: seccomp::Allowed) -> io::Result<seccomp::Filters> {
    let filters = seccomp::compile(allowed)?;
    apart(|| {
        sys::prctl(libc::PR_SET_NO_NEW_PRIVS, 1)?;
        seccomp::apply(&filters.single)?;
        // SAFETY: a call that fails or makes one child of nothing.
        match sys::check(unsafe { libc::syscall(libc::SYS_socket, libc::AF_UNIX, libc::SOCK_STREAM, 0) }) {
            Err(error) if error.raw_os_error() == Some(libc::ENOSYS) => Ok(()),
            _ => Err(io::Error::other("a filter is accepted and does not filter")),
        }
    })?;
    Ok(filters)
}

fn try_landlock() -> io::Result<()> {
    if landlock::version() == 0 {
        return Err(io::Error::other("the kernel has none"));
    }
    apart(|| {
        sys::prctl(libc::PR_SET_NO_NEW_PRIVS, 1)?;
        landlock::restrict(&landlock::Reachable::default(), &[], false)?;
        match rustix::fs::open("/", OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()) {
            Err(rustix::io::Errno::ACCESS) => Ok(()),
            _ => Err(io::Error::other("a rule set is accepted and does not restrict")),
        }
    })
}

/// Tries namespaces in another process, and enters them if that went well. Returns whether a user namespace is used.
fn enter_namespaces(policy: &Policy) -> io::Result<bool> {
    let user = !rustix::process::geteuid().is_root();
    apart(|| {
        let proc = rustix::fs::open("/proc", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        namespaces::enter(policy, user)?;
        in_new(user, || {
            if user {
                use std::os::fd::AsFd;
                namespaces::map_user(proc.as_fd(), (namespaces::USER, namespaces::USER))?;
            }
            namespaces::mount_own(&crate::Limits::default())
        })
    })?;
    namespaces::enter(policy, user)?;
    Ok(user)
}

/// The namespaces that each program has of its own.
pub(crate) fn own_namespaces(user: bool) -> i32 {
    libc::CLONE_NEWPID | libc::CLONE_NEWNS | if user { libc::CLONE_NEWUSER } else { 0 }
}

/// Does something in another process and returns how it went.
pub(super) fn apart(what: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    watch(sys::fork()?, what)
}

fn in_new(user: bool, what: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    watch(sys::fork_into(own_namespaces(user))?, what)
}

/// In the child, does something and ends with its error as code; in the parent, waits for that.
fn watch(side: Side, what: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    match side {
        Side::Child => sys::exit(match what() {
            Ok(()) => 0,
            Err(error) => error.raw_os_error().filter(|code| (1..255).contains(code)).unwrap_or(255),
        }),
        Side::Parent(child) => loop {
            match sys::reap(child) {
                Reaped::Ended(ended) if ended.pid == child => {
                    return match (libc::WIFEXITED(ended.status), libc::WEXITSTATUS(ended.status)) {
                        (true, 0) => Ok(()),
                        (true, code @ 1..255) => Err(io::Error::from_raw_os_error(code)),
                        _ => Err(io::Error::other("it was tried and does not work")),
                    };
                }
                Reaped::Nothing => return Err(io::Error::other("a trial process is lost")),
                _ => {}
            }
        },
    }
}

/// Returns whether every program sees a path, because it is one of the system's.
pub fn is_of_system(path: &Path) -> bool {
    namespaces::SYSTEM.iter().any(|system| path.starts_with(system))
}
