//! Programs of the user's own that look at completions: rewards and verifiers. Each is one file of Python, an input, run
//! once for each batch in the jail: a line of JSON in for each completion, a line out.

mod reach;

use std::path::PathBuf;
use std::time::Duration;

use engine::artifact::Text;
use engine::diagnostic::count;
use engine::stage::{Input, StageError};
use sandbox::{End, File, Jail, Limits, Outcome, Program};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::programs::{self, JailKey, short};

/// The program's name in the jail.
const PROGRAM: &str = "program.py";
/// Most bytes of a program.
const MOST: u64 = 1 << 20;

/// A program of your own: the keys of a reward, or of the key `verifier`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Own {
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

/// Refuses a stage's `verifier` that is not there.
pub(crate) fn check(verifier: Option<&Own>) -> Result<(), StageError> {
    verifier.map_or(Ok(()), |own| own.check("`verifier`"))
}

impl Own {
    /// Refuses an interpreter or a path to read that is not there; `whose` is the reward or verifier, for messages.
    pub(crate) fn check(&self, whose: &str) -> Result<(), StageError> {
        reach::check(self.python.as_deref(), &self.reads)
            .map_err(|error| StageError { message: format!("{whose}: {}", error.message), ..error })
    }

    /// Starts the jail of the program.
    pub(crate) fn load(self, whose: &str, jail: JailKey) -> Result<LoadedOwn, StageError> {
        let help = "a reward or a verifier is one file of Python";
        let source =
            outside::read_text(self.program.path(), MOST, help).map_err(|error| StageError::new(error.to_string()))?;
        let jail = programs::jail(jail, self.reads.clone(), self.network)?;
        Ok(LoadedOwn { whose: whose.to_owned(), own: self, source, jail })
    }

    /// Returns the program of a batch and its limits.
    fn program(&self, source: &str, lines: String) -> (Program, Limits) {
        let python = self.python.as_ref().map_or_else(|| "python3".to_owned(), |python| python.display().to_string());
        let size = lines.len() as u64;
        let file = File { name: PROGRAM.to_owned(), bytes: source.into(), executable: false };
        let arguments = [python.as_str(), "-X", "utf8", PROGRAM].map(str::to_owned).to_vec();
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

/// A loaded program.
pub(crate) struct LoadedOwn {
    /// For messages.
    whose: String,
    own: Own,
    source: String,
    jail: Jail,
}

/// What a program is told of a completion, and how messages name its prompt.
pub(crate) struct Told {
    pub(crate) line: Value,
    pub(crate) prompt: String,
}

impl LoadedOwn {
    /// Runs the program on a batch, and reads a line for each completion by `read`, which fails for what is no answer;
    /// `wanted` says what is one.
    pub(crate) fn answers<T>(
        &self,
        told: &[Told],
        wanted: &str,
        read: impl Fn(&Value) -> Result<T, ()>,
    ) -> Result<Vec<T>, StageError> {
        if told.is_empty() {
            return Ok(Vec::new());
        }
        let lines: String = told.iter().map(|told| told.line.to_string() + "\n").collect();
        let (program, limits) = self.own.program(&self.source, lines);
        let outcome = self.jail.run(&program, &limits).map_err(|error| StageError::new(error.to_string()))?;
        self.ended_well(&outcome)?;
        let output = String::from_utf8_lossy(&outcome.output);
        let lines: Vec<&str> = output.lines().collect();
        let answers = lines.iter().zip(told).enumerate().map(|(index, (line, told))| {
            let answer = serde_json::from_str(line.trim()).map_err(drop).and_then(|answer| read(&answer));
            answer.map_err(|()| {
                let prompt = short(&told.prompt);
                self.wrong(format!("line {} is `{}`, about `{prompt}`", index + 1, short(line)))
                    .with_help(format!("a line is {wanted}; print the rest to stderr"))
            })
        });
        let answers = answers.collect::<Result<Vec<_>, _>>()?;
        if lines.len() != told.len() {
            let (lines, rows) = (count(lines.len(), "line"), count(told.len(), "completion"));
            return Err(self
                .wrong(format!("it wrote {lines} for {rows}"))
                .with_help("write one line for each line that is read, in the same order"));
        }
        Ok(answers)
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
        StageError::new(format!("{}: {message}", self.whose))
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
}
