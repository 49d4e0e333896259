//! The helper: a small process that the slots come from, and with them all that runs in the jail.
//!
//! Forking a process as large as a worker is slow, and unsafe once it has threads; the helper has one thread and little
//! memory. It ends when the caller's socket closes, which the kernel does for a caller that is killed. (A signal at the
//! parent's death would come too early: it is sent when the *thread* ends that started the helper.)

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags};

use crate::inside::STATUS;
use crate::layers::{Form, Grounds};
use crate::sys::{self, Reaped, Side};
use crate::wire::{self, Hello, Ready};
use crate::{guard, slot};

/// The helper at work.
struct Helper {
    grounds: Grounds,
    slots: BTreeMap<usize, Slot>,
    /// The number of the next slot. None is used again, so that nothing of a slot that was killed is met.
    next: usize,
}

/// A slot's process.
struct Slot {
    connection: UnixStream,
    is_free: bool,
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
    rustix::process::umask(Mode::from_raw_mode(0o022));
    let grounds = Grounds::prepare(&hello.policy)?;
    keep(&grounds)?;
    Ok(Helper { grounds, slots: BTreeMap::new(), next: 0 })
}

/// Takes the descriptor whose end tells the caller that the helper and all that came from it have ended. It lies where
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

/// Starts the keeper, which removes groups and folders when everything else is gone, even if it was killed.
fn keep(grounds: &Grounds) -> io::Result<()> {
    let (end, held) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    match sys::fork()? {
        Side::Parent(_) => {
            // The helper and all that comes from it hold it until they end.
            std::mem::forget(held);
            Ok(())
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
            let mut waited = vec![PollFd::new(control, PollFlags::IN)];
            waited.extend(self.slots.values().map(|slot| PollFd::new(&slot.connection, PollFlags::IN)));
            match poll(&mut waited, None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            let [has_asked, told @ ..] = &waited.iter().map(|each| !each.revents().is_empty()).collect::<Vec<_>>()[..]
            else {
                unreachable!("the control socket is waited for")
            };
            let numbers: Vec<usize> =
                self.slots.keys().copied().zip(told).filter_map(|(at, is)| is.then_some(at)).collect();
            for number in numbers {
                self.hear(number);
            }
            while let Reaped::Ended(_) = sys::reap_ended() {}
            // Slots end when this process does, and what they run with them.
            if *has_asked && !self.answer(control)? {
                return Ok(());
            }
        }
    }

    /// Hears that a slot is free, or that it is gone.
    fn hear(&mut self, number: usize) {
        let Some(slot) = self.slots.get_mut(&number) else { return };
        match rustix::io::read(&slot.connection, &mut [0; 1]) {
            Ok(1) => slot.is_free = true,
            Err(rustix::io::Errno::INTR) => {}
            _ => drop(self.slots.remove(&number)),
        }
    }

    /// Passes the next connection to a slot. Returns whether there was one.
    fn answer(&mut self, control: &UnixStream) -> io::Result<bool> {
        let Some((connection, what_for)) = wire::receive_descriptor(control)? else { return Ok(false) };
        if what_for == wire::VICTIM {
            if let Side::Child = sys::fork()? {
                self.slots.clear();
                match let_go() {
                    Ok(()) => guard::be_a_victim(UnixStream::from(connection)),
                    Err(_) => sys::exit(1),
                }
            }
            return Ok(true);
        }
        let free = self.slots.iter().find_map(|(number, slot)| slot.is_free.then_some(*number));
        let number = match free {
            Some(number) => number,
            None => self.start_slot(&connection)?,
        };
        let slot = self.slots.get_mut(&number).expect("it is free, or was just started");
        slot.is_free = false;
        if wire::send_descriptor(&slot.connection, &connection, what_for).is_err() {
            // The caller sees its connection end.
            self.slots.remove(&number);
        }
        Ok(true)
    }

    /// Starts a slot, which must not hold the connection that is at hand: it would not end with its guard.
    fn start_slot(&mut self, at_hand: &OwnedFd) -> io::Result<usize> {
        let (ours, theirs) = UnixStream::pair()?;
        let number = self.next;
        self.next += 1;
        if let Side::Child = sys::fork()? {
            drop(ours);
            // Their ends belong to the helper alone, and are how they learn of its end.
            self.slots.clear();
            // SAFETY: the child does not come back to where it is used.
            unsafe { libc::close(at_hand.as_raw_fd()) };
            match let_go() {
                Ok(()) => slot::serve(&self.grounds, number, theirs),
                Err(_) => sys::exit(1),
            }
        }
        self.slots.insert(number, Slot { connection: ours, is_free: true });
        Ok(number)
    }
}
