//! Queries to a worker outside of attempts: its kinds, whether it could run stages with given keys, a row as a model
//! sees it.
//!
//! Each query starts libtorch, so answers of the first two are cached (`cache.rs`) for as long as the program is the
//! same.

use std::collections::HashSet;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Stdio;

use serde::de::DeserializeOwned;
use store::Digest;

use super::cache::CacheDir;
use super::engine::ENGINE;
use super::protocol::{CheckRequest, PROTOCOL, Refusal};
use super::tokens::{TokensAnswer, TokensRequest};
use crate::kind::KindList;
use crate::secrets::WITHHELD;

/// The worker's command that checks keys.
const CHECK: &str = "check";

/// Most stages that are cached as able to run; the oldest are dropped and checked again.
const MOST_REMEMBERED: usize = 20_000;

/// Why a query to a worker failed.
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
        /// What it wrote to stderr.
        stderr: String,
    },
    /// It is not a worker, or one of another version.
    #[error("the answer of `{asked}` is not understood: {reason}")]
    Answer {
        /// The program and its argument.
        asked: String,
        /// What is wrong.
        reason: String,
    },
}

/// Returns a worker's kinds, from the cache if the program is the same as before.
pub fn kinds(worker: &Path, cache_dir: &CacheDir) -> Result<KindList, Error> {
    let asked = Question::of("kinds", worker)?;
    if let Some(text) = cache_dir.read(&asked.name, &asked.question)
        && let Ok(list) = serde_json::from_slice(&text)
    {
        return Ok(list);
    }
    let (text, list): (_, KindList) = ask(worker, "kinds", |_| Ok(()))?;
    if list.protocol != PROTOCOL {
        let reason = format!("it speaks protocol {}, this engine speaks {PROTOCOL}", list.protocol);
        return Err(Error::Answer { asked: format!("{} kinds", worker.display()), reason });
    }
    cache_dir.write(&asked.name, &asked.question, &text);
    Ok(list)
}

/// Returns what the worker finds wrong with the keys of each stage, in order; `None` for a stage that may run. Keys
/// that the same program has accepted before are not checked again.
pub fn check(
    worker: &Path,
    cache_dir: &CacheDir,
    requests: impl Iterator<Item = CheckRequest>,
) -> Result<Vec<Option<Refusal>>, Error> {
    let kept = Question::of("checked", worker)?;
    let known = cache_dir.read(&kept.name, &kept.question).and_then(|text| String::from_utf8(text).ok());
    let known = known.unwrap_or_default();
    let right: HashSet<&str> = known.lines().collect();
    let (mut refusals, mut asked, mut lines) = (Vec::new(), Vec::new(), Vec::new());
    for (index, request) in requests.enumerate() {
        let line = serde_json::to_vec(&request).expect("requests are plain data");
        let digest = Digest::of(&line).hex();
        refusals.push(None);
        if !right.contains(digest.as_str()) {
            lines.extend_from_slice(&line);
            lines.push(b'\n');
            asked.push((index, digest));
        }
    }
    if asked.is_empty() {
        return Ok(refusals);
    }
    let (_, answers): (_, Vec<Option<Refusal>>) = ask(worker, CHECK, |mut stdin| stdin.write_all(&lines))?;
    if answers.len() != asked.len() {
        let reason = format!("it has {} answers for {} stages", answers.len(), asked.len());
        return Err(Error::Answer { asked: format!("{} {CHECK}", worker.display()), reason });
    }
    let mut lines: Vec<&str> = known.lines().collect();
    for ((index, digest), answer) in asked.iter().zip(answers) {
        if answer.is_none() {
            lines.push(digest);
        }
        refusals[*index] = answer;
    }
    let newest = &lines[lines.len().saturating_sub(MOST_REMEMBERED)..];
    cache_dir.write(&kept.name, &kept.question, newest.join("\n").as_bytes());
    Ok(refusals)
}

/// Asks the worker to show a row of a stage.
pub fn tokens(worker: &Path, request: &TokensRequest) -> Result<TokensAnswer, Error> {
    let line = serde_json::to_vec(request).expect("requests are plain data");
    let (_, answer) = ask(worker, "tokens", |mut stdin| stdin.write_all(&line))?;
    Ok(answer)
}

/// Starts the worker with one argument, writes to its stdin with `say`, and returns its answer, as text and parsed.
fn ask<T: DeserializeOwned>(
    worker: &Path,
    argument: &str,
    say: impl FnOnce(std::process::ChildStdin) -> std::io::Result<()>,
) -> Result<(Vec<u8>, T), Error> {
    let start = |source| Error::Start { worker: worker.display().to_string(), source };
    let mut command = std::process::Command::new(worker);
    command
        .arg(argument)
        .env(ENGINE, std::process::id().to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    for variable in WITHHELD {
        command.env_remove(variable);
    }
    if argument == CHECK {
        // Ctrl-C at the terminal then reaches only the engine, and the worker dies with it.
        command.process_group(0);
    }
    let mut child = command.spawn().map_err(start)?;
    // No deadlock: the worker reads all of stdin before it answers. If the write fails, the worker's exit says why.
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

/// A question to a program, and the cache's file for the answer: one for each path of a program.
struct Question {
    name: String,
    /// Differs when the program has been built again.
    question: String,
}

impl Question {
    fn of(what: &str, worker: &Path) -> Result<Self, Error> {
        let told = || {
            let worker = fs_err::canonicalize(worker)?;
            Ok((fs_err::metadata(&worker)?, worker))
        };
        let (found, path) = told().map_err(|source| Error::Start { worker: worker.display().to_string(), source })?;
        let (mtime, ctime) = ((found.mtime(), found.mtime_nsec()), (found.ctime(), found.ctime_nsec()));
        let identity = (PROTOCOL, &path, found.dev(), found.ino(), found.len(), mtime, ctime);
        let place = Digest::of(path.as_os_str().as_encoded_bytes()).hex();
        Ok(Self { name: format!("{what}-{}", &place[..16]), question: format!("{what} {identity:?}") })
    }
}
