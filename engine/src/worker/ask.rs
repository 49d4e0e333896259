//! What the engine asks a worker before anything runs: its kinds, and whether it could run stages with such keys.
//!
//! A question costs a start of libtorch, so answers are remembered in a folder of the user's cache for as long as the program
//! is the same. Without that folder everything works.

use std::collections::HashSet;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Stdio;
use std::time::UNIX_EPOCH;

use serde::de::DeserializeOwned;
use store::Digest;

use super::engine::ENGINE;
use super::protocol::{CheckRequest, PROTOCOL, Refusal};
use crate::kind::KindList;
use crate::secrets::WITHHELD;

/// The argument for questions about keys.
const CHECK: &str = "check";

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
    let cached = cache_dir.join(format!("kinds-{}.json", identity(worker)?));
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
/// What the same program has found right before it is not asked again.
pub fn check(
    worker: &Path,
    cache_dir: &Path,
    requests: impl Iterator<Item = CheckRequest>,
) -> Result<Vec<Option<Refusal>>, Error> {
    let cached = cache_dir.join(format!("checked-{}", identity(worker)?));
    let right = std::fs::read_to_string(&cached).unwrap_or_default();
    let right: HashSet<&str> = right.lines().collect();
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
        let reason = format!("it says {} things of {} stages", answers.len(), asked.len());
        return Err(Error::Answer { asked: format!("{} {CHECK}", worker.display()), reason });
    }
    let mut found_right = String::new();
    for ((index, digest), answer) in asked.into_iter().zip(answers) {
        if answer.is_none() {
            found_right.push_str(&digest);
            found_right.push('\n');
        }
        refusals[index] = answer;
    }
    let append = || {
        std::fs::create_dir_all(cache_dir)?;
        std::fs::OpenOptions::new().create(true).append(true).open(&cached)?.write_all(found_right.as_bytes())
    };
    if let Err(error) = append() {
        tracing::debug!(%error, "what the worker has found right is not remembered");
    }
    Ok(refusals)
}

/// Starts the worker with one argument, says something, and returns its answer, as text and parsed.
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
        // It dies with the engine, which alone hears a Ctrl-C at the terminal.
        command.process_group(0);
    }
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

/// Returns 16 hex digits that differ when the program has been built again.
fn identity(worker: &Path) -> Result<String, Error> {
    let told = || {
        let worker = fs_err::canonicalize(worker)?;
        let metadata = fs_err::metadata(&worker)?;
        let modified = metadata.modified()?.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        Ok(format!("{} {} {modified} {PROTOCOL}", worker.display(), metadata.len()))
    };
    let told = told().map_err(|source| Error::Start { worker: worker.display().to_string(), source })?;
    Ok(Digest::of(told.as_bytes()).hex()[..16].to_owned())
}
