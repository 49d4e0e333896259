//! A slot: the process that starts guards, one at a time, for the programs that run one after the other.
//!
//! There are as many as programs run at the same time. A slot moves into its control groups once, and what it starts is
//! born there: moving each program costs more than starting it, since the kernel waits for all processors.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

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
    sys::signal_at_parent_s_death(libc::SIGKILL)?;
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
                if let Reaped::Ended(Ended { status, .. }) = sys::reap(guard)
                    && libc::WIFSIGNALED(status)
                {
                    end_orphans(grounds);
                }
                rustix::io::write(helper, &[FREE])?;
            }
        }
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
