//! From the fork to the program: a process puts on every layer, then executes.
//!
//! The order matters: each step needs rights that a later one takes away.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use rustix::fs::{Mode, OFlags};

use crate::attacks::{self, Targets};
use crate::layers::{Form, Grounds, User, become_user, landlock, namespaces, rlimits, seccomp};
use crate::program::{Layer, Limits};
use crate::sys;

/// What is run.
pub(crate) enum What {
    /// The first of these paths that can be executed.
    Program { paths: Vec<CString>, arguments: Vec<CString> },
    /// An attack, by this process itself: it needs no interpreter and no file.
    Attack { name: String, targets: Targets },
}

/// What a program starts with.
pub(crate) struct Start<'a> {
    pub(crate) grounds: &'a Grounds,
    pub(crate) what: What,
    pub(crate) limits: Limits,
    pub(crate) user: Option<u32>,
    /// The bound of `RLIMIT_NPROC`.
    pub(crate) tasks: Option<u64>,
    pub(crate) folder: OwnedFd,
    pub(crate) environment: Vec<CString>,
    pub(crate) input: OwnedFd,
    pub(crate) output: OwnedFd,
    pub(crate) errors: OwnedFd,
    /// Tells the guard why there is no program. It closes when there is one.
    pub(crate) status: OwnedFd,
    pub(crate) guard: i32,
}

/// The first byte of the status where a layer failed.
pub(crate) const FAILED: u8 = b'!';
/// The first byte of the status where the program cannot be executed.
pub(crate) const NO_PROGRAM: u8 = b'x';
/// Where the status is, until the program closes it.
pub(crate) const STATUS: RawFd = 3;
/// How much more a program yields the processor than its worker does.
const NICE: i32 = 5;

/// Becomes the program.
pub(crate) fn enter(start: Start) -> ! {
    let error = match put_on(&start) {
        Ok(()) => match start.what {
            What::Attack { name, targets } => {
                // SAFETY: nothing in this process uses it any more.
                unsafe {
                    libc::close(STATUS);
                }
                sys::exit(attacks::carry_out(&name, &targets));
            }
            What::Program { ref paths, ref arguments } => {
                // The path that exists says more than one that does not.
                let errors = paths.iter().map(|path| sys::execute(path, arguments, &start.environment));
                let error = errors.min_by_key(|error| error.kind() == io::ErrorKind::NotFound);
                format!("{}{}", char::from(NO_PROGRAM), error.map_or("no such program".to_owned(), |it| it.to_string()))
            }
        },
        Err((step, error)) => format!("{}{step}: {error}", char::from(FAILED)),
    };
    // SAFETY: the guard holds the other end; if it is gone, the message is not needed.
    let status = unsafe { BorrowedFd::borrow_raw(STATUS) };
    let _ = rustix::io::write(status, error.as_bytes());
    sys::exit(126)
}

/// Puts on every layer that works here.
fn put_on(start: &Start) -> Result<(), (&'static str, io::Error)> {
    fn step(name: &'static str) -> impl FnOnce(io::Error) -> (&'static str, io::Error) {
        move |error| (name, error)
    }
    let grounds = start.grounds;
    place_descriptors(start).map_err(step("descriptors"))?;
    rustix::process::setpgid(None, None).map_err(|error| ("group", error.into()))?;
    // Files about this process are its own only with this. Its guard's memory is in it until it executes; what keeps
    // others' programs from that are the layers that they have on.
    let _ = sys::prctl(libc::PR_SET_DUMPABLE, 1);
    // Where it is refused, the larger process goes first.
    let _ = yield_memory(grounds);
    rustix::process::fchdir(&start.folder).map_err(|error| ("folder", error.into()))?;
    sys::reset_signals();
    rustix::process::umask(Mode::from_raw_mode(0o022));
    // It fails only where the process has less of the processor already.
    let _ = rustix::process::nice(NICE);
    let base = match start.what {
        What::Attack { .. } => address_space(grounds).map_err(step("memory"))?,
        What::Program { .. } => 0,
    };
    if let Some(user) = start.user {
        become_user(user).map_err(step("user"))?;
    }
    // Anything may kill a process that it sees; a new user is out of its parent's reach until this is set.
    let _ = sys::prctl(libc::PR_SET_DUMPABLE, 1);
    sys::signal_at_parent_s_death(libc::SIGKILL).map_err(step("parent"))?;
    if rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get()) != Some(start.guard) {
        sys::exit(126);
    }
    if !grounds.layers.working.is_empty() {
        namespaces::drop_capabilities().map_err(step("capabilities"))?;
    }
    if grounds.has(Layer::Landlock) || grounds.has(Layer::Seccomp) {
        sys::prctl(libc::PR_SET_NO_NEW_PRIVS, 1).map_err(step("no_new_privs"))?;
    }
    if grounds.has(Layer::Landlock) {
        restrict(start).map_err(step("landlock"))?;
    }
    sys::close_from(STATUS + 1).map_err(step("descriptors"))?;
    if grounds.has(Layer::Rlimits) {
        rlimits::apply(&start.limits, base, start.tasks).map_err(step("limits"))?;
    }
    // With the same addresses in every run, so that what depends on them is the same. It is refused in some containers.
    // SAFETY: it changes how later programs are loaded.
    unsafe {
        libc::personality(libc::ADDR_NO_RANDOMIZE as libc::c_ulong);
    }
    filter(start).map_err(step("seccomp"))
}

/// Makes this process the first to be killed where memory runs out, before its guard and the worker.
fn yield_memory(grounds: &Grounds) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    let file = rustix::fs::openat(&grounds.proc, "self/oom_score_adj", flags, Mode::empty())?;
    rustix::io::write(&file, b"1000")?;
    Ok(())
}

/// Restricts files to those of the system and its own.
fn restrict(start: &Start) -> io::Result<()> {
    let whole = match start.grounds.form {
        Form::Namespaces { .. } => Some(crate::folder::open_folder(rustix::fs::CWD, namespaces::WRITABLE)?),
        Form::Folders(_) => None,
    };
    let own = whole.as_ref().unwrap_or(&start.folder);
    landlock::restrict(&start.grounds.reachable, &[own.as_fd()], start.grounds.network)
}

/// Restricts system calls. This is the last step: the filter refuses what the others need.
fn filter(start: &Start) -> io::Result<()> {
    let grounds = start.grounds;
    let Some(filters) = &grounds.filters else { return Ok(()) };
    let held_otherwise = matches!(grounds.form, Form::Namespaces { .. })
        || grounds.user == User::Own
        || grounds.layers.landlock >= landlock::WITH_SCOPES;
    if !held_otherwise {
        seccomp::apply(&seccomp::signals_to_itself_only()?)?;
    }
    seccomp::apply(if start.limits.processes <= 1 { &filters.single } else { &filters.many })
}

/// Puts standard input, output, errors and the status in their places.
fn place_descriptors(start: &Start) -> io::Result<()> {
    let wanted = [&start.input, &start.output, &start.errors, &start.status];
    // First out of the way of each other.
    let mut high = Vec::new();
    for descriptor in wanted {
        high.push(rustix::io::fcntl_dupfd_cloexec(descriptor, 10)?);
    }
    for (place, descriptor) in high.iter().enumerate() {
        let flags = if place as RawFd == STATUS { libc::O_CLOEXEC } else { 0 };
        // SAFETY: what was in this place belongs to the process that this one was forked from, and is not used here.
        sys::check(i64::from(unsafe { libc::dup3(descriptor.as_raw_fd(), place as RawFd, flags) }))?;
    }
    Ok(())
}

/// Returns the bytes of address space that this process has.
fn address_space(grounds: &Grounds) -> io::Result<u64> {
    let file = rustix::fs::openat(&grounds.proc, "self/statm", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mut text = [0; 256];
    let size = rustix::io::read(&file, &mut text)?;
    let text = String::from_utf8_lossy(&text[..size]);
    let pages = text.split(' ').next().and_then(|number| number.parse::<u64>().ok());
    pages.map(|number| number * rustix::param::page_size() as u64).ok_or_else(|| io::Error::other("no size in `statm`"))
}
