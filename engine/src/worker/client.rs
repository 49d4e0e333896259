//! The engine's end of a conversation with a worker that runs.

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout};

use super::protocol::{FromWorker, ToWorker};
use crate::exec::keeper::Group;

/// A worker that runs.
pub(crate) struct Conversation {
    pub(crate) child: Child,
    /// Until the worker has ended.
    group: Option<Group>,
    stdin: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
}

/// What a worker said.
pub(crate) enum Heard {
    Message(FromWorker),
    /// A line that is not of the protocol, say of a library that prints.
    Noise(String),
    /// It has closed its end.
    End,
}

impl Conversation {
    pub(crate) fn with(mut child: Child) -> Self {
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().expect("the executor pipes stdout");
        let group = child.id().map(Group::led_by);
        Self { child, group, stdin, lines: BufReader::new(stdout).lines() }
    }

    pub(crate) async fn say(&mut self, message: &ToWorker) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(message)?;
        line.push(b'\n');
        match &mut self.stdin {
            Some(stdin) => {
                stdin.write_all(&line).await?;
                stdin.flush().await
            }
            None => Ok(()),
        }
    }

    /// Waits for the next line. Safe to drop and call again.
    pub(crate) async fn hear(&mut self) -> std::io::Result<Heard> {
        let line = loop {
            tokio::select! {
                biased;
                line = self.lines.next_line() => break line?,
                // Else what it has started could hold its end open.
                _ = self.child.wait(), if self.group.is_some() => self.group = None,
            }
        };
        Ok(match line {
            None => Heard::End,
            Some(line) => match serde_json::from_str(&line) {
                Ok(message) => Heard::Message(message),
                Err(_) => Heard::Noise(line),
            },
        })
    }

    /// Kills the worker and all that it started.
    pub(crate) async fn kill(&mut self) {
        self.group = None;
        let _ = self.child.wait().await;
    }

    /// Returns the worker's CPU seconds so far, where the system tells.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        self.child.id().and_then(cpu_seconds).unwrap_or(0.0)
    }
}

/// Reads user and system time from `/proc/PID/stat` (fields 14 and 15, in clock ticks).
fn cpu_seconds(pid: u32) -> Option<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks: f64 = fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
    // SAFETY: sysconf has no preconditions.
    let per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    (per_second > 0).then(|| ticks / per_second as f64)
}
