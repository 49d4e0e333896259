//! Rewards of your own: a program in Python that scores completions.
//!
//! ```toml
//! [inputs]
//! brevity = { text = "brevity.py" }
//!
//! [grpo.rl.rewards]
//! accuracy    = 1.0
//! own.brevity = { program = "inputs.brevity", weight = 0.2 }
//! ```
//! The program is run once for each batch. It reads one completion a line on its standard input, as JSON:
//! ```text
//! {"prompt", "completion", "thought", "answer", "gold", "correct", "finished", "tokens", "task"}
//! ```
//! and writes one line for each: a number, or `null` where the reward does not apply. It is an input, hashed by content,
//! so an edit of it reruns what it rewards. It runs in the jail, unless `jail` says otherwise, with the files and the
//! network that its keys name; it must give the same scores again for the same lines.

use std::path::PathBuf;
use std::time::Duration;

use engine::artifact::Text;
use engine::diagnostic::count;
use engine::stage::{Input, StageError};
use sandbox::{End, File, Jail, Limits, Outcome, Program};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Graded, Reward, reach};
use crate::loading::Loading;
use crate::programs::{self, short};

/// Most bytes of a program.
const MOST: u64 = 1 << 20;

/// The keys of a reward of your own, beside those of every reward.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Own {
    /// The program: an input `{ text = "reward.py" }`.
    program: Input<Text>,
    /// The interpreter. Absent: `python3` of /usr/local/bin, /usr/bin or /bin. For a virtual environment the whole path of
    /// its `bin/python`, with its folder and that of the interpreter which it links to in `reads`.
    #[serde(default)]
    python: Option<PathBuf>,
    /// Files and folders that it may read, beside the system's: whole paths.
    #[serde(default)]
    reads: Vec<PathBuf>,
    /// Whether it may use the network.
    #[serde(default)]
    network: bool,
    /// Seconds on the clock for a batch.
    #[serde(default = "seconds")]
    #[schemars(range(min = 1, max = 86_400))]
    seconds: u64,
    /// MiB of memory.
    #[serde(default = "memory_mib")]
    #[schemars(range(min = 64, max = 1_048_576))]
    memory_mib: u64,
}

fn seconds() -> u64 {
    600
}

fn memory_mib() -> u64 {
    4_096
}

impl Own {
    /// Refuses an interpreter or a path to read that is not there.
    pub(super) fn check(&self, name: &str) -> Result<(), StageError> {
        reach::check(self.python.as_deref(), &self.reads)
            .map_err(|error| StageError { message: format!("reward `{name}`: {}", error.message), ..error })
    }

    /// Starts the jail of the program.
    pub(super) fn load(self, name: &str, loading: &Loading<'_>) -> Result<Box<dyn Reward>, StageError> {
        let help = "a reward is one file of Python";
        let source =
            outside::read_text(self.program.path(), MOST, help).map_err(|error| StageError::new(error.to_string()))?;
        let jail = programs::jail(loading.jail, self.reads.clone(), self.network)?;
        Ok(Box::new(OwnReward { name: name.to_owned(), own: self, source, jail }))
    }

    /// Returns the program of a batch and its limits.
    fn program(&self, source: &str, lines: String) -> (Program, Limits) {
        let python = self.python.as_ref().map_or_else(|| "python3".to_owned(), |python| python.display().to_string());
        let size = lines.len() as u64;
        let file = File { name: "reward.py".to_owned(), bytes: source.into(), executable: false };
        let arguments = [python.as_str(), "-X", "utf8", "reward.py"].map(str::to_owned).to_vec();
        let wall = Duration::from_secs(self.seconds);
        let limits = Limits {
            wall,
            // It may use several cores.
            cpu: wall * 64,
            memory: self.memory_mib << 20,
            output: size + (16 << 20),
            processes: 256,
            ..Limits::default()
        };
        (Program { arguments, files: vec![file], input: lines.into_bytes() }, limits)
    }
}

/// A loaded reward of your own.
struct OwnReward {
    name: String,
    own: Own,
    source: String,
    jail: Jail,
}

impl Reward for OwnReward {
    fn score(&self, rows: &[&Graded<'_>]) -> Result<Vec<Option<f64>>, StageError> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let lines: String = rows.iter().map(|row| line(row) + "\n").collect();
        let (program, limits) = self.own.program(&self.source, lines);
        let outcome = self.jail.run(&program, &limits).map_err(|error| StageError::new(error.to_string()))?;
        self.scores(rows, &outcome)
    }
}

impl OwnReward {
    /// Reads the scores, one a line.
    fn scores(&self, rows: &[&Graded<'_>], outcome: &Outcome) -> Result<Vec<Option<f64>>, StageError> {
        self.ended_well(outcome)?;
        let output = String::from_utf8_lossy(&outcome.output);
        let lines: Vec<&str> = output.lines().collect();
        let scores = lines.iter().zip(rows).enumerate().map(|(index, (line, row))| {
            score(line).map_err(|()| {
                let prompt = short(&row.scored.prompt.prompt.last_text());
                self.wrong(format!("line {} is `{}`, about `{prompt}`", index + 1, short(line))).with_help(
                    "a line is a finite number, or `null` where the reward does not apply; print the rest to stderr",
                )
            })
        });
        let scores = scores.collect::<Result<Vec<_>, _>>()?;
        if lines.len() != rows.len() {
            let (lines, rows) = (count(lines.len(), "line"), count(rows.len(), "completion"));
            return Err(self
                .wrong(format!("it wrote {lines} for {rows}"))
                .with_help("write one line for each line that is read, in the same order"));
        }
        Ok(scores)
    }

    /// Refuses what did not come to its end.
    fn ended_well(&self, outcome: &Outcome) -> Result<(), StageError> {
        let seconds = self.own.seconds;
        let message = match &outcome.end {
            End::Exited(0) => return Ok(()),
            End::Exited(code) => {
                let errors = String::from_utf8_lossy(&outcome.errors).trim_end().to_owned();
                let last = errors.lines().last().unwrap_or_default();
                let error = self.wrong(format!("it ended with {code}: {}", short(last)));
                return Err(match missing_in_jail(last) {
                    Some(help) => error.with_help(help),
                    None => error,
                });
            }
            End::WallTime | End::CpuTime => format!("it took longer than `seconds` = {seconds}"),
            End::Memory => format!("it needed more memory than `memory-mib` = {}", self.own.memory_mib),
            End::NotStarted(reason) => {
                let python =
                    self.own.python.as_ref().map_or_else(|| "python3".into(), |python| python.to_string_lossy());
                let help = "the interpreter and all that it loads must be files of the system or in `reads`";
                return Err(self.wrong(format!("`{python}` cannot be started: {reason}")).with_help(help));
            }
            other => format!("it was stopped: {other:?}"),
        };
        Err(self.wrong(message))
    }

    fn wrong(&self, message: String) -> StageError {
        StageError::new(format!("reward `{}`: {message}", self.name))
    }
}

/// Returns what to do about an exception whose cause is often the jail.
fn missing_in_jail(exception: &str) -> Option<&'static str> {
    let is = |names: &[&str]| names.iter().any(|name| exception.starts_with(name));
    if is(&["ModuleNotFoundError", "ImportError"]) {
        return Some(
            "`python` names an interpreter that has the package, such as a virtual environment's `bin/python`; its folder \
             goes to `reads`",
        );
    }
    if is(&["FileNotFoundError", "PermissionError"]) && exception.contains('\'') {
        return Some("it sees only the system's files and those of `reads`, which takes whole paths");
    }
    let of_network = ["Network is unreachable", "Name or service not known", "name resolution"];
    if of_network.iter().any(|words| exception.contains(words)) {
        return Some("it has no network unless `network = true`");
    }
    None
}

/// Returns what the program reads of a completion.
fn line(row: &Graded<'_>) -> String {
    let Graded { scored, grade } = row;
    json!({
        "prompt": scored.prompt.prompt,
        "completion": scored.completion,
        "thought": grade.reasoning,
        "answer": grade.answer,
        "gold": scored.prompt.answer,
        "correct": grade.verdict.map(|_| grade.correct),
        "finished": scored.finished,
        "tokens": scored.num_tokens,
        "task": scored.prompt.task,
    })
    .to_string()
}

/// Reads a score: `None` is one that does not apply. Fails for what is no score.
fn score(line: &str) -> Result<Option<f64>, ()> {
    match serde_json::from_str(line.trim()).map_err(drop)? {
        Value::Null => Ok(None),
        Value::Number(number) => number.as_f64().filter(|score| score.is_finite()).map(Some).ok_or(()),
        _ => Err(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exception_of_the_jail_gets_its_key() {
        for (exception, key) in [
            ("ModuleNotFoundError: No module named 'sympy'", Some("`python`")),
            ("FileNotFoundError: [Errno 2] No such file or directory: '/data/x'", Some("`reads`")),
            ("OSError: [Errno 101] Network is unreachable", Some("`network = true`")),
            ("KeyError: 'gold'", None),
        ] {
            let help = missing_in_jail(exception);
            assert_eq!(help.is_some(), key.is_some(), "{exception}");
            assert!(key.is_none_or(|key| help.unwrap().contains(key)), "{exception}: {help:?}");
        }
    }

    #[test]
    fn a_line_is_a_finite_number_or_null() {
        assert_eq!([score("1"), score(" -0.5 "), score("null")], [Ok(Some(1.0)), Ok(Some(-0.5)), Ok(None)]);
        for line in ["", "NaN", "Infinity", "1e999", "\"1\"", "[1]", "1 2", "score: 1"] {
            assert_eq!(score(line), Err(()), "{line}");
        }
    }
}
