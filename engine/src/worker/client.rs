//! The engine's end: asks a worker for its kinds and for mistakes in keys, and talks to one that runs.

use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::time::UNIX_EPOCH;

use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout};

use super::protocol::{CheckRequest, FromWorker, PROTOCOL, Refusal, ToWorker};
use crate::kind::KindList;

/// Why a worker cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such program, or it cannot be started.
    #[error("cannot start the worker `{worker}`")]
    Start {
        /// The program.
        worker: String,
        /// Why.
        source: std::io::Error,
    },
    /// It ended with an error.
    #[error("`{asked}` failed: {stderr}")]
    Failed {
        /// The program and its argument.
        asked: String,
        /// Its last words.
        stderr: String,
    },
    /// It is no worker, or one of another version.
    #[error("the answer of `{asked}` is not understood: {reason}")]
    Answer {
        /// The program and its argument.
        asked: String,
        /// What is wrong.
        reason: String,
    },
}

/// Returns what a worker can do, from a cache when the program is the one that was asked before.
pub fn kinds(worker: &Path, cache_dir: &Path) -> Result<KindList, Error> {
    let identity = identity(worker).map_err(|source| Error::Start { worker: worker.display().to_string(), source })?;
    let cached = cache_dir.join(format!("kinds-{}.json", &blake3_hex(&identity)[..16]));
    if let Ok(text) = std::fs::read(&cached)
        && let Ok(list) = serde_json::from_slice(&text)
    {
        return Ok(list);
    }
    let (text, list): (_, KindList) = ask(worker, "kinds", |_| Ok(()))?;
    if list.protocol != PROTOCOL {
        let reason = format!("it speaks protocol {}, this engine speaks {PROTOCOL}", list.protocol);
        return Err(Error::Answer { asked: format!("{} kinds", worker.display()), reason });
    }
    // The cache saves a start of libtorch; without it everything works.
    let draft = cached.with_extension(std::process::id().to_string());
    if let Err(error) = std::fs::create_dir_all(cache_dir)
        .and_then(|()| std::fs::write(&draft, &text))
        .and_then(|()| std::fs::rename(&draft, &cached))
    {
        tracing::debug!(%error, "the worker's kinds are not cached");
    }
    Ok(list)
}

/// Returns what is wrong with the keys of stages by the worker's word, in their order, nothing for a stage that may run.
pub fn check(worker: &Path, requests: impl Iterator<Item = CheckRequest>) -> Result<Vec<Option<Refusal>>, Error> {
    let mut asked = 0;
    let (_, refusals): (_, Vec<_>) = ask(worker, "check", |stdin| {
        let mut stdin = std::io::BufWriter::new(stdin);
        for request in requests {
            serde_json::to_writer(&mut stdin, &request)?;
            stdin.write_all(b"\n")?;
            asked += 1;
        }
        stdin.flush()
    })?;
    if refusals.len() == asked {
        return Ok(refusals);
    }
    let reason = format!("it says {} things of {asked} stages", refusals.len());
    Err(Error::Answer { asked: format!("{} check", worker.display()), reason })
}

/// Starts the worker with one argument, says something, and returns its answer, as text and parsed.
fn ask<T: DeserializeOwned>(
    worker: &Path,
    argument: &str,
    say: impl FnOnce(std::process::ChildStdin) -> std::io::Result<()>,
) -> Result<(Vec<u8>, T), Error> {
    let start = |source| Error::Start { worker: worker.display().to_string(), source };
    let mut command = std::process::Command::new(worker);
    command.arg(argument).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(start)?;
    // It answers at the end, so it cannot be stuck with its answer; one that hangs up says why.
    let said = say(child.stdin.take().expect("it is piped"));
    let output = child.wait_with_output().map_err(start)?;
    let asked = || format!("{} {argument}", worker.display());
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(Error::Failed { asked: asked(), stderr });
    }
    let parsed = said.map_err(serde_json::Error::io).and_then(|()| serde_json::from_slice(&output.stdout));
    let parsed = parsed.map_err(|error| Error::Answer { asked: asked(), reason: error.to_string() })?;
    Ok((output.stdout, parsed))
}

fn blake3_hex(text: &str) -> String {
    store::Digest::of(text.as_bytes()).hex()
}

/// What differs when the program has been built again.
fn identity(worker: &Path) -> std::io::Result<String> {
    let worker = fs_err::canonicalize(worker)?;
    let metadata = fs_err::metadata(&worker)?;
    let modified = metadata.modified()?.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    Ok(format!("{} {} {modified} {PROTOCOL}", worker.display(), metadata.len()))
}

/// A worker that runs.
pub(crate) struct Conversation {
    pub(crate) child: Child,
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
        Self { child, stdin, lines: BufReader::new(stdout).lines() }
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
        Ok(match self.lines.next_line().await? {
            None => Heard::End,
            Some(line) => match serde_json::from_str(&line) {
                Ok(message) => Heard::Message(message),
                Err(_) => Heard::Noise(line),
            },
        })
    }

    /// Kills the worker and all that it started.
    pub(crate) async fn kill(&mut self) {
        if let Some(pid) = self.child.id() {
            // SAFETY: a signal to a process group that this engine made.
            unsafe {
                libc::kill(-pid.cast_signed(), libc::SIGKILL);
            }
        }
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
