//! The helper: a small process that starts a guard for each program.
//!
//! Forking a process as large as a worker is slow, and unsafe once it has threads; the helper has one thread and little
//! memory. It ends when the caller's socket closes, which the kernel does for a caller that is killed. (A signal at the
//! parent's death would come too early: it is sent when the *thread* ends that started the helper.)

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use rustix::event::{PollFd, PollFlags, poll};

use crate::guard::{self, Post};
use crate::inside::STATUS;
use crate::layers::{Form, Grounds, own_namespaces};
use crate::sys::{self, Ended, Reaped, Side};
use crate::tree;
use crate::wire::{self, Hello, Ready};

/// The helper at work.
struct Helper {
    grounds: Grounds,
    control: UnixStream,
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
    let prepared = wire::receive::<Hello>(&mut control).and_then(|hello| prepare(&hello, &control));
    let ready: Ready = prepared.as_ref().map(|helper| helper.grounds.layers.clone()).map_err(ToString::to_string);
    let told = wire::send(&mut control, &ready, &[]);
    let served = prepared.and_then(|mut helper| told.and_then(|()| helper.serve()));
    // The control socket is the helper's standard input, and stays open to the end.
    std::mem::forget(control);
    if served.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn prepare(hello: &Hello, control: &UnixStream) -> io::Result<Helper> {
    let num_threads = fs_err::read_dir("/proc/self/task")?.count();
    if num_threads != 1 {
        return Err(io::Error::other(format!("the jail's helper has {num_threads} threads, and must have one")));
    }
    // Programs inherit none, and the place of the status is free for them: this holds it until then.
    sys::close_from(STATUS)?;
    std::mem::forget(rustix::io::fcntl_dupfd_cloexec(control, STATUS)?);
    sys::ignore_signals();
    sys::prctl(libc::PR_SET_CHILD_SUBREAPER, 1)?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    let grounds = Grounds::prepare(&hello.policy)?;
    let keeper = keep(&grounds)?;
    let signals = sys::signals(&[libc::SIGCHLD])?;
    Ok(Helper { grounds, control: control.try_clone()?, signals, guards: BTreeMap::new(), keeper })
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
    fn serve(&mut self) -> io::Result<()> {
        loop {
            let mut waited = [PollFd::new(&self.control, PollFlags::IN), PollFd::new(&self.signals, PollFlags::IN)];
            match poll(&mut waited, None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            let has_asked = !waited[0].revents().is_empty();
            self.reap();
            if has_asked && !self.answer()? {
                return Ok(self.end());
            }
        }
    }

    /// Starts a guard for the next connection. Returns whether there was one.
    fn answer(&mut self) -> io::Result<bool> {
        let Some((connection, what_for)) = wire::receive_descriptor(&self.control)? else { return Ok(false) };
        let connection = UnixStream::from(connection);
        if what_for == wire::VICTIM {
            match sys::fork()? {
                Side::Child => guard::be_a_victim(connection),
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
        let me = std::process::id() as i32;
        for process in tree::processes(self.grounds.proc.as_fd()).unwrap_or_default() {
            let is_ours = self.guards.contains_key(&process.pid) || process.pid == self.keeper;
            if process.parent == me && !is_ours {
                // A group of its own; the helper's would mean that it has just been forked.
                if process.group != rustix::process::getpgrp().as_raw_nonzero().get() {
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
