//! Watching a program: its output, its end, and what it uses until then.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::OFlags;

use crate::guard::Post;
use crate::inside::{FAILED, NO_PROGRAM};
use crate::layers::cgroup::Slot;
use crate::layers::{Form, Grounds};
use crate::program::{End, Layer, Limits};
use crate::sys::{self, Reaped};
use crate::wire::{Answer, OutcomeHead};
use crate::{folder, tree};

/// How long a program may go unwatched where only the guard bounds what it takes.
const SHORT: Duration = Duration::from_millis(20);
/// The least time between two looks at CPU time.
const SHORTEST: Duration = Duration::from_millis(10);
/// A look takes at most one part in this many of the time.
const LOOK_SHARE: u32 = 5;
/// The most time between two looks, however slow they are.
const LONGEST: Duration = Duration::from_millis(200);
/// A time that can be added to any other.
const MOST_WALL: Duration = Duration::from_hours(24 * 365);
/// Folders in each other, beyond which a program's folder counts as full.
const DEEPEST: usize = 64;

/// The ends of a program's pipes.
pub(crate) struct Pipes {
    /// Standard output, standard error, and the status of the start. None where the other end is closed.
    ends: [Option<OwnedFd>; 3],
    read: [Vec<u8>; 3],
}

/// A program that runs.
pub(crate) struct Watched<'a> {
    grounds: &'a Grounds,
    post: &'a Post<'a>,
    program: i32,
    limits: Limits,
    pipes: Pipes,
    signals: OwnedFd,
    proc: OwnedFd,
    folder: OwnedFd,
    user: Option<u32>,
    /// How many processes of the group the kernel had killed before.
    killed_before: u64,
    started: Instant,
    wall: Duration,
    has_ended: bool,
    status: Option<i32>,
    /// Why the guard ended it.
    stopped: Option<End>,
}

impl Pipes {
    pub(crate) fn new(output: OwnedFd, errors: OwnedFd, status: OwnedFd) -> io::Result<Self> {
        for end in [&output, &errors, &status] {
            rustix::fs::fcntl_setfl(end, OFlags::NONBLOCK)?;
        }
        Ok(Self { ends: [Some(output), Some(errors), Some(status)], read: Default::default() })
    }

    /// Reads what is there. Returns whether output and errors are within a number of bytes.
    fn read(&mut self, most: u64) -> bool {
        let mut buffer = vec![0; 65_536];
        for index in 0..self.ends.len() {
            while let Some(end) = &self.ends[index] {
                match rustix::io::read(end, &mut buffer) {
                    Ok(0) => self.ends[index] = None,
                    Ok(size) => self.read[index].extend_from_slice(&buffer[..size]),
                    Err(rustix::io::Errno::INTR) => {}
                    Err(_) => break,
                }
                if self.read[0].len() as u64 + self.read[1].len() as u64 > most {
                    return false;
                }
            }
        }
        true
    }
}

impl<'a> Watched<'a> {
    #[expect(clippy::too_many_arguments, reason = "it only collects them")]
    pub(crate) fn new(
        post: &'a Post<'a>,
        program: i32,
        limits: Limits,
        pipes: Pipes,
        signals: OwnedFd,
        proc: OwnedFd,
        folder: OwnedFd,
        user: Option<u32>,
    ) -> Self {
        let (started, wall) = (Instant::now(), Duration::ZERO);
        let killed_before = post.cgroup.map_or(0, Slot::num_killed);
        let (has_ended, status, stopped) = (false, None, None);
        Self {
            grounds: post.grounds,
            post,
            program,
            limits,
            pipes,
            signals,
            proc,
            folder,
            user,
            killed_before,
            started,
            wall,
            has_ended,
            status,
            stopped,
        }
    }

    /// Watches until the program has ended or must end, then ends everything that it started.
    pub(crate) fn watch(&mut self) -> io::Result<()> {
        let mut next_look = Some(self.started + self.first_look());
        let deadline = self.started + self.limits.wall.min(MOST_WALL);
        while !self.has_ended && self.stopped.is_none() {
            let now = Instant::now();
            if now >= deadline {
                self.stopped = Some(End::WallTime);
                break;
            }
            if next_look.is_some_and(|at| now >= at) {
                self.stopped = self.look();
                let took = now.elapsed();
                next_look = Some(now + self.pause().max((took * LOOK_SHARE).min(LONGEST)));
                continue;
            }
            let until = next_look.map_or(deadline, |at| at.min(deadline));
            if self.wait(until - now)? {
                // The caller or the slot is gone, and no answer is waited for.
                self.end_all();
                self.clear_away();
                sys::exit(1);
            }
            if !self.pipes.read(self.limits.output) {
                self.stopped = Some(End::Output);
            }
            self.reap();
        }
        self.wall = self.started.elapsed();
        self.end_all();
        if !self.pipes.read(self.limits.output) && self.stopped.is_none() {
            self.stopped = Some(End::Output);
        }
        Ok(())
    }

    /// Returns how the program ended.
    pub(crate) fn outcome(self) -> (Answer, Vec<u8>, Vec<u8>) {
        let has_been_short = self.has_been_short();
        let [mut output, errors, status] = self.pipes.read;
        let (cpu, memory) = sys::used_by_children();
        let why = || String::from_utf8_lossy(&status[1..]).into_owned();
        let end = match (status.first(), self.stopped, self.status) {
            (Some(&FAILED), ..) => return (Err(format!("the jail cannot be closed: {}", why())), output, errors),
            (Some(&NO_PROGRAM), ..) => End::NotStarted(why()),
            _ if has_been_short => End::Memory,
            (_, Some(End::WallTime), _) if cpu <= self.limits.cpu => End::WallTime,
            (_, Some(end), _) if !matches!(end, End::WallTime | End::CpuTime) => end,
            _ if cpu > self.limits.cpu => End::CpuTime,
            (_, Some(end), _) => end,
            (_, None, Some(status)) if libc::WIFEXITED(status) => End::Exited(libc::WEXITSTATUS(status)),
            (_, None, Some(status)) => End::Signalled(libc::WTERMSIG(status)),
            (_, None, None) => End::Signalled(libc::SIGKILL),
        };
        output.truncate(self.limits.output as usize);
        let mut errors = errors;
        errors.truncate(self.limits.output as usize - output.len());
        let head =
            OutcomeHead { end, output: output.len() as u64, errors: errors.len() as u64, cpu, wall: self.wall, memory };
        (Ok(head), output, errors)
    }

    /// Waits for something to happen. Returns whether the caller or the slot is gone.
    fn wait(&self, time: Duration) -> io::Result<bool> {
        let mut waited = vec![
            PollFd::new(&self.post.connection, PollFlags::IN | PollFlags::RDHUP),
            PollFd::new(&self.signals, PollFlags::IN),
        ];
        waited.extend(self.pipes.ends.iter().flatten().map(|end| PollFd::new(end, PollFlags::IN)));
        let time = rustix::time::Timespec::try_from(time).map_err(io::Error::other)?;
        match poll(&mut waited, Some(&time)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let is_gone = !waited[0].revents().is_empty();
        let mut signals = [0; 1024];
        let size = rustix::io::read(&self.signals, &mut signals).unwrap_or(0);
        // Each entry begins with the signal's number; what children do is read from them.
        let numbers = signals[..size].chunks_exact(size_of::<libc::signalfd_siginfo>());
        let is_told =
            numbers.filter_map(|entry| entry.first_chunk()).any(|it| i32::from_ne_bytes(*it) == libc::SIGTERM);
        Ok(is_gone || is_told || self.is_orphan())
    }

    fn is_orphan(&self) -> bool {
        let parent = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get());
        matches!(self.grounds.form, Form::Folders(_)) && parent != Some(self.post.parent)
    }

    /// Reaps descendants that have lost their parents. The program itself stays, so that its number stays its own.
    fn reap(&mut self) {
        while let Some(ended) = sys::peek() {
            if ended == self.program {
                self.has_ended = true;
                return;
            }
            sys::reap(ended);
        }
    }

    /// Kills every descendant, and returns when there is none.
    fn end_all(&mut self) {
        // All of a namespace, or all of the group, which none can leave while the filter works. A process that is to be
        // killed forks no more.
        let all = if matches!(self.grounds.form, Form::Namespaces { .. }) { -1 } else { -self.program };
        let _ = sys::kill(all, libc::SIGKILL);
        // It may not have made its group yet.
        let _ = sys::kill(self.program, libc::SIGKILL);
        loop {
            if !self.grounds.has(Layer::Seccomp)
                && let Ok(used) = tree::used_by_descendants(self.proc.as_fd(), std::process::id() as i32)
            {
                used.pids.iter().for_each(|pid| drop(sys::kill(*pid, libc::SIGKILL)));
            }
            match sys::reap(-1) {
                Reaped::Ended(ended) if ended.pid == self.program => self.status = Some(ended.status),
                Reaped::Nothing => return,
                _ => {}
            }
        }
    }

    fn clear_away(&self) {
        if let Form::Folders(scratch) = &self.grounds.form {
            // No process is left to tell.
            let _ = scratch.clear(self.post.slot);
        }
    }

    /// Returns when the program is first looked at.
    fn first_look(&self) -> Duration {
        if self.kernel_bounds_all() { self.limits.cpu.min(self.pause()) } else { SHORT }
    }

    /// Returns whether only CPU time is left for the guard to bound.
    fn kernel_bounds_all(&self) -> bool {
        matches!(self.grounds.form, Form::Namespaces { .. })
            && (self.grounds.has(Layer::Cgroup) || self.limits.processes <= 1)
    }

    /// Returns the time between two looks, unless they are slow.
    fn pause(&self) -> Duration {
        if self.kernel_bounds_all() {
            let most = self.limits.processes.clamp(1, 16);
            (self.limits.cpu.saturating_sub(sys::used_by_children().0) / most / 4).max(SHORTEST)
        } else {
            SHORT
        }
    }

    /// Returns whether the kernel has killed a process of the program's group because its memory ran out.
    fn has_been_short(&self) -> bool {
        self.post.cgroup.is_some_and(|cgroup| cgroup.num_killed() > self.killed_before)
    }

    /// Returns the limit that the program is over.
    fn look(&self) -> Option<End> {
        if self.has_been_short() {
            return Some(End::Memory);
        }
        let used = tree::used_by_descendants(self.proc.as_fd(), std::process::id() as i32).ok()?;
        if used.cpu + sys::used_by_children().0 > self.limits.cpu {
            return Some(End::CpuTime);
        }
        if !self.grounds.has(Layer::Cgroup) && used.resident > self.limits.memory {
            return Some(End::Memory);
        }
        if !self.grounds.counts_processes() && used.tasks > u64::from(self.limits.processes) {
            return Some(End::Processes);
        }
        let is_measured = matches!(self.grounds.form, Form::Folders(_));
        (is_measured && self.is_full(&used.pids)).then_some(End::Disk)
    }

    /// Returns whether the program's files take too much.
    fn is_full(&self, pids: &[i32]) -> bool {
        let Some(taken) = self.as_the_program(|| folder::measure(self.folder.as_fd(), DEEPEST)) else { return true };
        let device = rustix::fs::fstat(&self.folder).map_or(0, |about| about.st_dev);
        let removed = self.as_the_program(|| tree::removed_files(self.proc.as_fd(), pids, device));
        taken.bytes + removed > self.limits.disk || taken.files > self.limits.num_files()
    }

    /// Does something with the program's rights to files: root without all its capabilities may not look into others'.
    fn as_the_program<T>(&self, what: impl FnOnce() -> T) -> T {
        let set = |user: u32, group: u32| {
            // SAFETY: they change what this process may open.
            unsafe {
                libc::setfsgid(group);
                libc::setfsuid(user);
            }
        };
        let Some(user) = self.user else { return what() };
        set(user, user);
        let done = what();
        set(rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        done
    }
}
