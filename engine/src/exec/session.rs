//! A session: the engine's connection to the worker of an attempt, until the worker has ended.
//!
//! Today it leads one process; the engine need not know how many. Sending never blocks: a worker that does not read its
//! stdin can still be read from and killed.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read};
use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, FromRawFd, RawFd};
use std::process::ExitStatus;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout};
use tokio::sync::mpsc;

use super::keeper::Group;
use crate::worker::lines::Lines;
use crate::worker::protocol::{FromWorker, ToWorker};
use crate::worker::understand::understand;

/// Most bytes of one read.
pub(crate) const CHUNK: usize = 1 << 16;

/// Most bytes that a pipe can hold when its writer is dead; more bytes are from other processes that hold it open.
const PIPE: usize = 1 << 20;

/// A running worker.
pub struct Session {
    child: Child,
    /// `None` once a log has taken it.
    stderr: Option<ChildStderr>,
    /// `None` once the worker has ended.
    group: Option<Group>,
    say: mpsc::UnboundedSender<Vec<u8>>,
    stdout: ChildStdout,
    has_ended: bool,
    has_said_so: bool,
    lines: Lines,
    heard: VecDeque<Heard>,
    chunk: Vec<u8>,
}

/// What was read from a worker.
#[derive(Debug)]
pub(crate) enum Heard {
    Message(FromWorker),
    /// Output that is not of the protocol, for example of a library that prints.
    Noise(Vec<u8>),
    /// The worker has closed its stdout, and may still be running.
    End,
    /// The worker has exited.
    Death(std::io::Result<ExitStatus>),
}

impl Session {
    /// Makes a session with a process that has just been started with pipes on stdin, stdout and stderr.
    ///
    /// # Panics
    ///
    /// If one of the three is not a pipe, or outside a tokio runtime.
    pub fn lead(mut child: Child) -> Self {
        let group = child.id().map(Group::led_by);
        let stdin = child.stdin.take().expect("the executor pipes stdin");
        let stdout = child.stdout.take().expect("the executor pipes stdout");
        let stderr = Some(child.stderr.take().expect("the executor pipes stderr"));
        let (say, said) = mpsc::unbounded_channel();
        tokio::spawn(write(stdin, said));
        Self {
            child,
            stderr,
            group,
            say,
            stdout,
            has_ended: false,
            has_said_so: false,
            lines: Lines::default(),
            heard: VecDeque::new(),
            chunk: vec![0; CHUNK],
        }
    }

    /// Returns the worker's stderr. Can be called once.
    pub(crate) fn take_stderr(&mut self) -> ChildStderr {
        self.stderr.take().expect("one log follows it")
    }

    /// Sends a message. If the worker has just ended there is no error here: [`Self::hear`] returns its end.
    pub(crate) fn say(&self, message: &ToWorker) {
        let mut line = serde_json::to_vec(message).expect("messages are plain data");
        line.push(b'\n');
        let _ = self.say.send(line);
    }

    /// Waits for the next output, or the worker's end. Cancel safe: it can be dropped and called again.
    pub(crate) async fn hear(&mut self) -> std::io::Result<Heard> {
        loop {
            if let Some(heard) = self.heard.pop_front() {
                return Ok(heard);
            }
            if let Some(line) = self.lines.next() {
                let (noise, message) = understand(line);
                if !noise.is_empty() || message.is_none() {
                    self.heard.push_back(Heard::Noise(noise));
                }
                self.heard.extend(message.map(Heard::Message));
                continue;
            }
            if self.has_ended {
                return Ok(if std::mem::replace(&mut self.has_said_so, true) {
                    Heard::Death(self.end().await)
                } else {
                    Heard::End
                });
            }
            tokio::select! {
                biased;
                read = self.stdout.read(&mut self.chunk) => match read? {
                    0 => self.finish(),
                    number => self.lines.push(&self.chunk[..number]),
                },
                // Does not wait for the end of stdout: a process that the worker started could hold it open forever.
                _ = self.child.wait(), if self.group.is_some() => {
                    self.group = None;
                    let rest = what_is_left(self.stdout.as_raw_fd());
                    self.lines.push(&rest);
                    self.finish();
                }
            }
        }
    }

    fn finish(&mut self) {
        self.has_ended = true;
        self.lines.finish();
    }

    async fn end(&mut self) -> std::io::Result<ExitStatus> {
        let status = self.child.wait().await;
        self.group = None;
        status
    }

    /// Kills the worker and the processes that it started.
    pub(crate) async fn kill(&mut self) {
        self.group = None;
        let _ = self.child.wait().await;
    }

    /// Returns the CPU seconds that the worker has used so far; 0 if the system does not report them.
    pub(crate) fn spent(&self) -> f64 {
        self.child.id().and_then(cpu_seconds).unwrap_or(0.0)
    }
}

/// Writes messages to stdin, and keeps stdin open until the session is dropped: the end of stdin tells a worker that
/// the engine is gone.
async fn write(mut stdin: ChildStdin, mut said: mpsc::UnboundedReceiver<Vec<u8>>) {
    while let Some(line) = said.recv().await {
        if stdin.write_all(&line).await.is_err() {
            return;
        }
    }
}

/// Reads what is left in a pipe whose writer is dead, without waiting for other processes that hold it open.
pub(crate) fn what_is_left(pipe: RawFd) -> Vec<u8> {
    // SAFETY: the caller's pipe is open, and is not closed here.
    let mut file = ManuallyDrop::new(unsafe { std::fs::File::from_raw_fd(pipe) });
    let (mut left, mut chunk) = (Vec::new(), vec![0; CHUNK]);
    while left.len() < PIPE {
        match file.read(&mut chunk) {
            Ok(number) if number > 0 => left.extend_from_slice(&chunk[..number]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // End of file, or no data yet: tokio's pipes are non-blocking.
            Ok(_) | Err(_) => break,
        }
    }
    left
}

/// Reads user and system time from `/proc/PID/stat` (fields 14 and 15, in clock ticks).
fn cpu_seconds(pid: u32) -> Option<f64> {
    let stat = fs_err::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks: f64 = fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
    // SAFETY: sysconf has no preconditions.
    let per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    (per_second > 0).then(|| ticks / per_second as f64)
}
