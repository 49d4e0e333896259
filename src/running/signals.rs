//! Turns signals into requests: a checkpoint first, and an immediate end only on a second INT or TERM.
//!
//! | signal | sent by | request |
//! |---|---|---|
//! | INT, TERM | Ctrl-C, `kill`, a batch system at its limit | a checkpoint and the end; the second time, the end now |
//! | HUP | a terminal that closes, an ssh connection that is lost | a checkpoint and the end, however often it comes |
//! | USR1, USR2 | a batch system some time before its limit (`--signal`) | the same |
//!
//! A terminal that closes sends HUP twice, with CONT or TERM beside it, and a batch system sends USR1 and then TERM.
//! Neither may cost the checkpoint, so only INT and TERM count towards the end at once. HUP stays ignored if it was
//! ignored when the program started (`nohup`).

use std::future::pending;

use anyhow::Result;
use engine::options::Halt;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// What signals have asked for so far.
#[derive(Default)]
struct Received {
    is_stopping: bool,
    /// How often INT or TERM has come.
    orders: u32,
}

impl Received {
    /// Counts a signal, and returns its request if it goes beyond earlier ones.
    fn next(&mut self, is_order: bool) -> Option<Halt> {
        self.orders = self.orders.saturating_add(u32::from(is_order));
        let was_stopping = std::mem::replace(&mut self.is_stopping, true);
        match (was_stopping, is_order && self.orders > 1) {
            (true, true) => Some(Halt::Kill),
            (true, false) => None,
            (false, _) => Some(Halt::Stop),
        }
    }
}

/// Turns signals into requests until it is dropped; `say` shows each to the user.
pub(crate) async fn listen(halt: watch::Sender<Halt>, say: impl Fn(Halt)) -> Result<()> {
    let [mut interrupt, mut terminate] = [signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?];
    let [mut one, mut two] = [signal(SignalKind::user_defined1())?, signal(SignalKind::user_defined2())?];
    let mut hangup = if is_ignored(libc::SIGHUP) { None } else { Some(signal(SignalKind::hangup())?) };
    let mut asked = Received::default();
    loop {
        let is_order = tokio::select! {
            _ = interrupt.recv() => true,
            _ = terminate.recv() => true,
            _ = one.recv() => false,
            _ = two.recv() => false,
            () = next(hangup.as_mut()) => false,
        };
        let Some(request) = asked.next(is_order) else { continue };
        // Sent before the message: the terminal may be gone or stopped.
        halt.send(request)?;
        say(request);
    }
}

async fn next(signal: Option<&mut Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => pending().await,
    }
}

/// Returns whether this process was started with a signal ignored.
fn is_ignored(number: libc::c_int) -> bool {
    // SAFETY: an all-zero `sigaction` is valid; without a new action the call only reads.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        libc::sigaction(number, std::ptr::null(), &raw mut action) == 0 && action.sa_sigaction == libc::SIG_IGN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_second_order_ends_at_once() {
        const ORDER: bool = true;
        const HINT: bool = false;
        let check = |signals: &[bool], expected: &[Option<Halt>]| {
            let mut asked = Received::default();
            let found: Vec<_> = signals.iter().map(|is_order| asked.next(*is_order)).collect();
            assert_eq!(found, expected, "{signals:?}");
        };
        let (stop, kill) = (Some(Halt::Stop), Some(Halt::Kill));
        check(&[ORDER, ORDER], &[stop, kill]);
        check(&[HINT; 4], &[stop, None, None, None]);
        check(&[HINT, ORDER, HINT, ORDER], &[stop, None, None, kill]);
        check(&[ORDER, HINT, HINT, ORDER], &[stop, None, None, kill]);
    }
}
