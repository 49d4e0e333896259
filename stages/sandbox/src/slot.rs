//! A slot: the process that starts guards, one at a time, for the programs that run one after the other.
//!
//! There are as many as programs run at the same time. A slot moves into its control groups once, and what it starts is
//! born there: moving each program costs more than starting it, since the kernel waits for all processors.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::event::{PollFd, PollFlags, poll};

use crate::guard::{self, Post};
use crate::layers::{Form, Grounds, own_namespaces};
use crate::sys::{self, Ended, Reaped, Side};
use crate::{tree, wire};

/// What a slot says when its guard has ended.
pub(crate) const FREE: u8 = b'.';

/// Starts a guard for each connection that comes, until the helper ends.
pub(crate) fn serve(grounds: &Grounds, number: usize, helper: UnixStream) -> ! {
    let served = work(grounds, number, &helper);
    sys::exit(i32::from(served.is_err()))
}

fn work(grounds: &Grounds, number: usize, helper: &UnixStream) -> io::Result<()> {
    let signals = sys::signals(&[libc::SIGCHLD])?;
    sys::prctl(libc::PR_SET_CHILD_SUBREAPER, 1)?;
    let cgroup = grounds.cgroup.as_ref().map(|cgroup| cgroup.slot(number)).transpose()?;
    if let Some(cgroup) = &cgroup {
        cgroup.enter()?;
    }
    let slot = std::process::id() as i32;
    while let Some((connection, _)) = wire::receive_descriptor(helper)? {
        let side = match grounds.form {
            Form::Namespaces { user } => sys::fork_into(own_namespaces(user))?,
            Form::Folders(_) => sys::fork()?,
        };
        match side {
            Side::Child => {
                let connection = UnixStream::from(connection);
                guard::serve(Post { grounds, slot: number, cgroup: cgroup.as_ref(), connection, parent: slot })
            }
            Side::Parent(guard) => {
                drop(connection);
                wait_for(guard, grounds, helper, &signals)?;
                rustix::io::write(helper, &[FREE])?;
            }
        }
    }
    Ok(())
}

/// Waits for a guard, and ends it if the helper is gone. A signal at the helper's death would end this process
/// before it could do that.
fn wait_for(guard: i32, grounds: &Grounds, helper: &UnixStream, signals: &OwnedFd) -> io::Result<()> {
    while !sys::has_ended(guard) {
        let mut waited = [PollFd::new(helper, PollFlags::RDHUP), PollFd::new(signals, PollFlags::IN)];
        match poll(&mut waited, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        // What the signal says is read from the process.
        let _ = rustix::io::read(signals, &mut [0; 1024]);
        if !waited[0].revents().is_empty() {
            // The guard of a namespace takes its programs with it; the other ends them first.
            let signal = if matches!(grounds.form, Form::Namespaces { .. }) { libc::SIGKILL } else { libc::SIGTERM };
            let _ = sys::kill(guard, signal);
            break;
        }
    }
    if let Reaped::Ended(Ended { status, .. }) = sys::reap(guard)
        && libc::WIFSIGNALED(status)
    {
        end_orphans(grounds);
    }
    Ok(())
}

/// Kills what a guard left that was killed itself. Its descendants became children of the slot, if it has no namespace
/// that ended with it.
fn end_orphans(grounds: &Grounds) {
    let me = std::process::id() as i32;
    loop {
        for process in tree::processes(grounds.proc.as_fd()).unwrap_or_default() {
            if process.parent == me {
                let _ = sys::kill(process.pid, libc::SIGKILL);
            }
        }
        // Their own children come here in turn.
        if let Reaped::Nothing = sys::reap(-1) {
            return;
        }
    }
}
