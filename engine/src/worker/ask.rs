//! Queries to a worker outside of attempts: its kinds, what it finds about stages before they run, a row as a model
//! sees it, the grades of completions in a file.
//!
//! Each query starts libtorch, so answers of the first two are cached (`cache.rs`) for as long as the program is the
//! same.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Stdio};

use serde::de::DeserializeOwned;
use store::Digest;

use super::cache::CacheDir;
use super::check::{CheckRequest, Checked};
use super::engine::ENGINE;
use super::grade::{GradeEnd, GradeLine, GradeRequest, GradedRow};
use super::protocol::PROTOCOL;
use super::tokens::{TokensAnswer, TokensRequest};
use crate::kind::KindList;
use crate::secrets::WITHHELD;

/// The worker's command that checks keys.
const CHECK: &str = "check";

/// Most stages whose answers are cached; the oldest are dropped and checked again.
const MOST_REMEMBERED: usize = 20_000;

/// A stage to be checked, and what its inputs are at the moment.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The question.
    pub request: CheckRequest,
    /// Differs when a file that the worker may read has changed. Without it, the answer is not cached.
    pub stamp: Option<Digest>,
}

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
    /// The file may not be executed.
    #[error("the worker `{worker}` is no program: it may not be executed; help: `chmod +x {worker}`")]
    NoProgram {
        /// The file.
        worker: String,
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

/// Returns what the worker finds about each stage, in order. An answer is cached if the stage could run, and used again
/// for the same keys, the same files and the same program.
pub fn check(worker: &Path, cache_dir: &CacheDir, asks: impl Iterator<Item = Ask>) -> Result<Vec<Checked>, Error> {
    let kept = Question::of("checked", worker)?;
    let known = cache_dir.read(&kept.name, &kept.question).and_then(|text| String::from_utf8(text).ok());
    let known = known.unwrap_or_default();
    let cached: HashMap<&str, &str> = known.lines().filter_map(|line| line.split_once(' ')).collect();
    let (mut answers, mut asked, mut lines) = (Vec::new(), Vec::new(), Vec::new());
    for (index, Ask { request, stamp }) in asks.enumerate() {
        let line = serde_json::to_vec(&request).expect("requests are plain data");
        let name = stamp.map(|stamp| Digest::of(&[&line, stamp.hex().as_bytes()].concat()).hex());
        let answer = name.as_ref().and_then(|name| serde_json::from_str(cached.get(name.as_str())?).ok());
        if answer.is_none() {
            lines.extend_from_slice(&line);
            lines.push(b'\n');
            asked.push((index, name));
        }
        answers.push(answer.unwrap_or_default());
    }
    if asked.is_empty() {
        return Ok(answers);
    }
    let (_, found): (_, Vec<Checked>) = ask(worker, CHECK, |mut stdin| stdin.write_all(&lines))?;
    if found.len() != asked.len() {
        let reason = format!("it has {} answers for {} stages", found.len(), asked.len());
        return Err(Error::Answer { asked: format!("{} {CHECK}", worker.display()), reason });
    }
    let mut lines: Vec<Cow<'_, str>> = known.lines().map(Cow::Borrowed).collect();
    for ((index, name), answer) in asked.into_iter().zip(found) {
        if let Some(name) = name.filter(|_| !answer.is_refused()) {
            let text = serde_json::to_string(&answer).expect("answers are plain data");
            lines.push(Cow::Owned(format!("{name} {text}")));
        }
        answers[index] = answer;
    }
    let newest = &lines[lines.len().saturating_sub(MOST_REMEMBERED)..];
    cache_dir.write(&kept.name, &kept.question, newest.join("\n").as_bytes());
    Ok(answers)
}

/// Asks the worker to show a row of a stage.
pub fn tokens(worker: &Path, request: &TokensRequest) -> Result<TokensAnswer, Error> {
    let line = serde_json::to_vec(request).expect("requests are plain data");
    let (_, answer) = ask(worker, "tokens", |mut stdin| stdin.write_all(&line))?;
    Ok(answer)
}

/// Has the worker grade the completions of a file, and calls `take` with each row until it breaks.
pub fn grade(
    worker: &Path,
    request: &GradeRequest,
    take: &mut dyn FnMut(GradedRow) -> ControlFlow<()>,
) -> Result<GradeEnd, Error> {
    let asked = || format!("{} grade", worker.display());
    let line = serde_json::to_vec(request).expect("requests are plain data");
    let mut child = start(worker, "grade")?;
    // If the write fails, the worker's exit says why.
    let _ = child.stdin.take().expect("it is piped").write_all(&line);
    let mut stderr = child.stderr.take().expect("it is piped");
    // Read meanwhile, because a worker that cannot write its log would wait.
    let log = std::thread::spawn(move || {
        let mut log = Vec::new();
        let _ = stderr.read_to_end(&mut log);
        String::from_utf8_lossy(&log).trim().to_owned()
    });
    let end = follow(BufReader::new(child.stdout.take().expect("it is piped")), take);
    if !matches!(end, Ok(Some(GradeEnd::Done(_) | GradeEnd::Refused(_)) | None)) {
        // It may have ended already.
        let _ = child.kill();
    }
    let status = child.wait().map_err(|source| Error::Start { worker: worker.display().to_string(), source })?;
    let log = log.join().unwrap_or_default();
    match end {
        Ok(Some(end)) => {
            if !log.is_empty() {
                tracing::info!("{log}");
            }
            Ok(end)
        }
        Err(reason) => Err(Error::Answer { asked: asked(), reason }),
        Ok(None) if status.success() => Err(Error::Answer { asked: asked(), reason: "it has no end".to_owned() }),
        Ok(None) => Err(Error::Failed { asked: asked(), stderr: log }),
    }
}

/// Passes on the rows of an answer, and returns how it ends; `None` if it breaks off.
fn follow(
    answer: impl BufRead,
    take: &mut dyn FnMut(GradedRow) -> ControlFlow<()>,
) -> Result<Option<GradeEnd>, String> {
    for line in answer.lines() {
        let line = line.map_err(|error| error.to_string())?;
        match serde_json::from_str(&line).map_err(|error| error.to_string())? {
            GradeLine::Row(row) => {
                if take(*row).is_break() {
                    return Ok(Some(GradeEnd::Stopped));
                }
            }
            GradeLine::Done(counts) => return Ok(Some(GradeEnd::Done(counts))),
            GradeLine::Refused(refusal) => return Ok(Some(GradeEnd::Refused(refusal))),
        }
    }
    Ok(None)
}

/// Starts the worker with one argument, and with pipes.
fn start(worker: &Path, argument: &str) -> Result<Child, Error> {
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
    command.spawn().map_err(|source| {
        if source.kind() == std::io::ErrorKind::PermissionDenied && worker.is_file() {
            return Error::NoProgram { worker: worker.display().to_string() };
        }
        Error::Start { worker: worker.display().to_string(), source }
    })
}

/// Starts the worker with one argument, writes to its stdin with `say`, and returns its answer, as text and parsed.
fn ask<T: DeserializeOwned>(
    worker: &Path,
    argument: &str,
    say: impl FnOnce(std::process::ChildStdin) -> std::io::Result<()>,
) -> Result<(Vec<u8>, T), Error> {
    let mut child = start(worker, argument)?;
    // No deadlock: the worker reads all of stdin before it answers. If the write fails, the worker's exit says why.
    let said = say(child.stdin.take().expect("it is piped"));
    let output =
        child.wait_with_output().map_err(|source| Error::Start { worker: worker.display().to_string(), source })?;
    let asked = || format!("{} {argument}", worker.display());
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(Error::Failed { asked: asked(), stderr });
    }
    let parsed = said.map_err(serde_json::Error::io).and_then(|()| serde_json::from_slice(&output.stdout));
    let parsed = parsed.map_err(|error| {
        let first =
            String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().chars().take(60).collect();
        Error::Answer { asked: asked(), reason: not_understood(&error.to_string(), first) }
    })?;
    Ok((output.stdout, parsed))
}

/// Says why an answer is not understood, and how it begins.
fn not_understood(reason: &str, first: String) -> String {
    if first.trim().is_empty() {
        return format!("it is empty; help: {WRITES}");
    }
    format!("{reason}, in `{first}`; help: {WRITES}")
}

/// What a worker writes.
const WRITES: &str = "a worker writes one line of JSON, and nothing else, to standard output; what is printed for people goes to \
                      standard error";

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
