//! The helper: a small process that starts a guard for each program.
//!
//! Forking a process as large as a worker is slow, and unsafe once it has threads; the helper has one thread and little
//! memory. It ends when the caller's socket closes, which the kernel does for a caller that is killed. (A signal at the
//! parent's death would come too early: it is sent when the *thread* ends that started the helper.)

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags};

use crate::guard::{self, Post};
use crate::inside::STATUS;
use crate::layers::{Form, Grounds, own_namespaces};
use crate::sys::{self, Ended, Reaped, Side};
use crate::tree;
use crate::wire::{self, Hello, Ready};

/// The helper at work.
struct Helper {
    grounds: Grounds,
    signals: OwnedFd,
    /// The guards that run, and the slot of each.
    guards: BTreeMap<i32, Option<usize>>,
    /// The process that cleans up after this one; see [`keep`].
    keeper: i32,
}

/// Serves a [`Jail`](crate::Jail) until it ends: the whole work of the helper process, whose standard input it is.
pub fn serve() -> ExitCode {
    // SAFETY: standard input belongs to this function, as its documentation says.
    let mut control = UnixStream::from(unsafe { OwnedFd::from_raw_fd(0) });
    let prepared = prepare(&mut control);
    let ready: Ready = prepared.as_ref().map(|helper| helper.grounds.layers.clone()).map_err(ToString::to_string);
    let told = wire::send(&mut control, &ready, &[]);
    let served = prepared.and_then(|mut helper| told.and_then(|()| helper.serve(&control)));
    if served.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn prepare(control: &mut UnixStream) -> io::Result<Helper> {
    let num_threads = fs_err::read_dir("/proc/self/task")?.count();
    if num_threads != 1 {
        return Err(io::Error::other(format!("the jail's helper has {num_threads} threads, and must have one")));
    }
    sys::close_from(STATUS)?;
    let hello: Hello = wire::receive(control)?;
    hold_for_caller(control)?;
    sys::ignore_signals();
    sys::prctl(libc::PR_SET_CHILD_SUBREAPER, 1)?;
    rustix::process::umask(Mode::from_raw_mode(0o022));
    let grounds = Grounds::prepare(&hello.policy)?;
    let keeper = keep(&grounds)?;
    let signals = sys::signals(&[libc::SIGCHLD])?;
    Ok(Helper { grounds, signals, guards: BTreeMap::new(), keeper })
}

/// Takes the descriptor whose end tells the caller that the helper, its keeper and all guards have ended. It lies where
/// programs have their status, so that nothing else is there.
fn hold_for_caller(control: &UnixStream) -> io::Result<()> {
    let held = wire::receive_descriptor(control)?.ok_or(io::ErrorKind::UnexpectedEof)?.0;
    if held.as_raw_fd() != STATUS {
        // SAFETY: nothing is in this place.
        sys::check(i64::from(unsafe { libc::dup3(held.as_raw_fd(), STATUS, libc::O_CLOEXEC) }))?;
        return Ok(());
    }
    std::mem::forget(held);
    Ok(())
}

/// Lets go of the control socket in a child, so that the caller sees it end with the helper.
fn let_go() -> io::Result<()> {
    let nothing = rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    // SAFETY: the child uses the socket no more.
    sys::check(i64::from(unsafe { libc::dup2(nothing.as_raw_fd(), 0) })).map(drop)
}

/// Starts the keeper, which removes groups and folders when the helper and all guards are gone, even if they are killed.
fn keep(grounds: &Grounds) -> io::Result<i32> {
    let (end, held) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    match sys::fork()? {
        Side::Parent(keeper) => {
            // The helper and its guards hold it until they end.
            std::mem::forget(held);
            Ok(keeper)
        }
        Side::Child => {
            drop(held);
            let _ = let_go();
            let _ = rustix::process::setsid();
            while let Err(rustix::io::Errno::INTR) = rustix::io::read(&end, &mut [0; 1]) {}
            if let Some(cgroup) = &grounds.cgroup {
                cgroup.remove();
            }
            if let Form::Folders(scratch) = &grounds.form {
                let _ = scratch.remove();
            }
            sys::exit(0)
        }
    }
}

impl Helper {
    fn serve(&mut self, control: &UnixStream) -> io::Result<()> {
        loop {
            let mut waited = [PollFd::new(control, PollFlags::IN), PollFd::new(&self.signals, PollFlags::IN)];
            match poll(&mut waited, None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            let has_asked = !waited[0].revents().is_empty();
            self.reap();
            if has_asked && !self.answer(control)? {
                return Ok(self.end());
            }
        }
    }

    /// Starts a guard for the next connection. Returns whether there was one.
    fn answer(&mut self, control: &UnixStream) -> io::Result<bool> {
        let Some((connection, what_for)) = wire::receive_descriptor(control)? else { return Ok(false) };
        let connection = UnixStream::from(connection);
        if what_for == wire::VICTIM {
            match sys::fork()? {
                Side::Child => match let_go() {
                    Ok(()) => guard::be_a_victim(connection),
                    Err(_) => sys::exit(1),
                },
                Side::Parent(victim) => self.guards.insert(victim, None),
            };
            return Ok(true);
        }
        let slot = (0..).find(|slot| !self.guards.values().any(|taken| taken == &Some(*slot))).expect("numbers are many");
        // Made before the fork, so that it is made once.
        if let Some(cgroup) = &mut self.grounds.cgroup {
            cgroup.slot(slot)?;
        }
        let helper = std::process::id() as i32;
        let side = match self.grounds.form {
            Form::Namespaces { user } => sys::fork_into(own_namespaces(user)),
            Form::Folders(_) => sys::fork(),
        };
        match side {
            Ok(Side::Child) => {
                if let_go().is_err() {
                    sys::exit(1);
                }
                let cgroup = self.grounds.cgroup.as_ref().and_then(|cgroup| cgroup.made(slot));
                guard::serve(Post { grounds: &self.grounds, slot, cgroup, connection, helper })
            }
            Ok(Side::Parent(guard)) => {
                self.guards.insert(guard, Some(slot));
            }
            // The caller sees its connection end.
            Err(error) => tracing::warn!(%error, "the jail cannot start a process"),
        }
        Ok(true)
    }

    fn reap(&mut self) {
        let mut signals = [0; 1024];
        // What the signals say is read from the processes.
        let _ = rustix::io::read(&self.signals, &mut signals);
        while let Reaped::Ended(Ended { pid, status }) = sys::reap_ended() {
            if self.guards.remove(&pid).is_some() && libc::WIFSIGNALED(status) {
                self.end_orphans();
            }
        }
    }

    /// Kills what a guard left that was killed itself. Its descendants became children of the helper.
    fn end_orphans(&self) {
        if matches!(self.grounds.form, Form::Namespaces { .. }) {
            return;
        }
        // SAFETY: it has no arguments.
        let (me, own) = (std::process::id() as i32, unsafe { libc::getpgrp() });
        for process in tree::processes(self.grounds.proc.as_fd()).unwrap_or_default() {
            let is_ours = self.guards.contains_key(&process.pid) || process.pid == self.keeper;
            if process.parent == me && !is_ours {
                // A group of its own; the helper's means that it has just been forked. A group whose first process is
                // outside of this namespace shows as 0.
                if process.group > 1 && process.group != own {
                    let _ = sys::kill(-process.group, libc::SIGKILL);
                }
                let _ = sys::kill(process.pid, libc::SIGKILL);
            }
        }
    }

    /// Ends every guard with its program.
    fn end(&mut self) {
        let signal = if matches!(self.grounds.form, Form::Namespaces { .. }) { libc::SIGKILL } else { libc::SIGTERM };
        for guard in self.guards.keys() {
            let _ = sys::kill(*guard, signal);
        }
        while !self.guards.is_empty() {
            match sys::reap(-1) {
                Reaped::Ended(ended) => drop(self.guards.remove(&ended.pid)),
                _ => break,
            }
        }
        self.end_orphans();
    }
}
