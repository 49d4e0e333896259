//! Runs programs against their tests, in the jail or from the cache.

use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use engine::stage::StageError;
use sandbox::{Jail, Policy, Required};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use text::program::{Found, Language, extract};

use super::Trial;
use super::job::{HARNESS, checks, job, num_cases};
use super::judge::{self, Judged, Line, judge, lines};
use super::tools::{Tools, tools};
use crate::cache::Cache;
use crate::checks::{Checker, Runner as TestRunner, StreamCase, Tests};
use crate::parallel;

/// The version of limits, comparisons and failures: a kept trial of another one says nothing.
const VERSION: u32 = 1;

/// Where programs are run, as the worker's `main` says.
#[derive(Clone, Debug)]
pub struct Place {
    /// A program that calls [`sandbox::serve`], with its arguments.
    pub helper: Vec<std::ffi::OsString>,
    /// The folder of kept verdicts, if there is one.
    pub verdicts: Option<PathBuf>,
    /// Folders that programs may read, besides the system's.
    pub readable: Vec<PathBuf>,
}

static PLACE: RwLock<Option<Place>> = RwLock::new(None);

/// Says where programs are run. Without it no stage can run any.
pub fn run_by(place: Place) {
    *PLACE.write().unwrap_or_else(PoisonError::into_inner) = Some(place);
}

/// Returns where programs are run.
pub(crate) fn place() -> Result<Place, StageError> {
    let place = PLACE.read().unwrap_or_else(PoisonError::into_inner).clone();
    place.ok_or_else(|| StageError::new("this worker has no jail to run programs in"))
}

/// An answer with the tests of its problem.
pub(crate) struct Submission<'a> {
    pub(crate) tests: &'a Tests,
    /// The problem's text, which an answer may continue.
    pub(crate) prompt: &'a str,
    pub(crate) answer: &'a str,
}

/// A jail with the tools in it.
pub(crate) struct Runner {
    jail: Jail,
    tools: Tools,
    cache: Cache<Trial>,
}

/// The runners of this process: a jail is started once. Its helper ends with the process.
static RUNNERS: Mutex<Vec<(JailKey, Arc<Runner>)>> = Mutex::new(Vec::new());

impl Runner {
    /// Returns the process's runner, which it starts if there is none yet.
    pub(crate) fn of(jail: JailKey) -> Result<Arc<Self>, StageError> {
        let mut runners = RUNNERS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, runner)) = runners.iter().find(|(key, _)| *key == jail) {
            return Ok(Arc::clone(runner));
        }
        let runner = Arc::new(Self::start(jail)?);
        runners.push((jail, Arc::clone(&runner)));
        Ok(runner)
    }

    /// Starts a jail and finds the tools in it.
    fn start(jail: JailKey) -> Result<Self, StageError> {
        let cache = Cache::open(place()?.verdicts.as_deref());
        let jail = start_jail(jail, Policy::default(), &cache)?;
        let tools = tools(&jail).map_err(failed)?;
        let layers: Vec<String> =
            jail.layers().working.iter().map(|layer| format!("{layer:?}").to_lowercase()).collect();
        tracing::info!("programs run by {tools}, in a jail of {}", layers.join(", "));
        if tools.python.is_none() {
            return Err(StageError::new("there is no `python3` here, which runs the tests of programs")
                .with_help("install it in /usr/bin or /usr/local/bin: `apt install python3`"));
        }
        Ok(Self { jail, tools, cache })
    }

    /// Runs the program of each answer against its tests, on so many threads.
    pub(crate) fn trials(&self, submissions: &[Submission<'_>], threads: usize) -> Result<Vec<Trial>, StageError> {
        let first = parallel::map_one_by_one(submissions, threads, |submission| self.trial(submission));
        let mut trials = Vec::with_capacity(submissions.len());
        for (submission, judged) in submissions.iter().zip(first) {
            let Judged { trial, may_be_load } = judged?;
            // Alone now: no other program runs.
            trials.push(if may_be_load { self.alone(submission)? } else { trial });
        }
        Ok(trials)
    }

    /// Runs the program of an answer before its trial is asked for. What comes out is kept for that, unless other load may
    /// have decided it. Mistakes are left to be met then.
    pub(crate) fn run_ahead(&self, submission: &Submission<'_>) {
        let _ = self.trial(submission);
    }

    /// Runs a program again, and keeps what comes out.
    fn alone(&self, submission: &Submission<'_>) -> Result<Trial, StageError> {
        let Ok(ready) = self.ready(submission) else { unreachable!("it was run before") };
        let trial = self.run(submission, &ready)?.trial;
        self.cache.keep(&ready.key, &trial);
        Ok(trial)
    }

    fn trial(&self, submission: &Submission<'_>) -> Result<Judged, StageError> {
        let ready = match self.ready(submission) {
            Ok(ready) => ready,
            Err(trial) => return Ok(Judged { trial, may_be_load: false }),
        };
        if let Some(trial) = self.cache.find(&ready.key) {
            return Ok(Judged { trial, may_be_load: false });
        }
        let judged = self.run(submission, &ready)?;
        if !judged.may_be_load {
            self.cache.keep(&ready.key, &judged.trial);
        }
        Ok(judged)
    }

    fn run(&self, submission: &Submission<'_>, ready: &Ready) -> Result<Judged, StageError> {
        let (program, limits) = job(submission.tests, ready.language, &ready.source);
        let outcome = self.jail.run(&program, &limits).map_err(failed)?;
        let lines = lines(&outcome);
        let checked = match submission.tests {
            Tests::Streams { checker: Checker::Program(checker), cases, .. } => {
                Some(self.check(checker, cases, &lines)?)
            }
            _ => None,
        };
        Ok(judge(submission.tests, &outcome, &lines, checked.as_deref()))
    }

    /// Runs a checker on what a program wrote, in a job of its own: the program never sees the expected outputs.
    fn check(&self, checker: &str, cases: &[StreamCase], lines: &[Line]) -> Result<Vec<bool>, StageError> {
        let written: Vec<String> = lines.iter().map(|line| line.output().to_owned()).collect();
        let (program, limits) = checks(checker, &cases[..written.len()], &written);
        let outcome = self.jail.run(&program, &limits).map_err(failed)?;
        Ok(judge::lines(&outcome).iter().map(Line::is_right_by_checker).collect())
    }

    /// Finds the program of an answer, or says why there is none that can be run.
    fn ready(&self, submission: &Submission<'_>) -> Result<Ready, Trial> {
        let Submission { tests, prompt, answer } = submission;
        let of = num_cases(tests);
        let accepted: &[Language] = match tests {
            Tests::Streams { .. } => &[Language::Python, Language::Cpp],
            _ => &[Language::Python],
        };
        let (language, source) = match extract(answer, accepted) {
            Some(Found::Program(language, source)) => (language, source.to_owned()),
            Some(Found::Continuation(rest)) => (Language::Python, format!("{prompt}{rest}")),
            None => return Err(Trial::without_program(of, "there is no program in the answer")),
        };
        if !self.tools.languages().contains(&language) {
            return Err(Trial::without_program(of, "there is no compiler for its language here"));
        }
        let key = self.key(tests, language, &source);
        Ok(Ready { language, source, key })
    }

    /// Returns what a trial depends on, hashed.
    fn key(&self, tests: &Tests, language: Language, source: &str) -> String {
        let around = (VERSION, HARNESS, self.tools.to_string(), &self.jail.layers().working);
        hash(&serde_json::json!([around, format!("{language:?}"), source, tests]).to_string())
    }

    /// Returns why tests cannot be run here, if they cannot.
    pub(crate) fn cannot_run(&self, tests: &Tests) -> Option<&'static str> {
        match tests {
            Tests::Program { runner: TestRunner::Pytest, .. } if self.tools.pytest.is_none() => {
                Some("pytest is not installed")
            }
            _ => None,
        }
    }
}

/// Starts a jail for programs of the user, which may read some files more, and the network if they ask for it.
pub(crate) fn jail(jail: JailKey, readable: Vec<PathBuf>, network: bool) -> Result<Jail, StageError> {
    let policy = Policy { readable, network, ..Policy::default() };
    start_jail(jail, policy, &Cache::open(place()?.verdicts.as_deref()))
}

fn start_jail(jail: JailKey, policy: Policy, cache: &Cache<Trial>) -> Result<Jail, StageError> {
    let place = place()?;
    let [program, arguments @ ..] = place.helper.as_slice() else {
        return Err(StageError::new("this worker names no helper for its jail"));
    };
    let mut helper = Command::new(program);
    helper.args(arguments);
    let required = match jail {
        JailKey::Required => Required::Full,
        JailKey::BestEffort => Required::Nothing,
    };
    let readable = place.readable.iter().chain(&policy.readable).cloned().collect();
    let policy = Policy { readable, required, ..policy };
    let jail = Jail::start(helper, policy, |key| cache.holds(&hash(key))).map_err(refused)?;
    if required == Required::Full {
        cache.note_that_it_holds(&hash(&jail.key()));
    }
    Ok(jail)
}

/// A program that can be run.
struct Ready {
    language: Language,
    source: String,
    key: String,
}

fn hash(text: &str) -> String {
    blake3::hash(text.as_bytes()).to_hex().to_string()
}

fn refused(error: sandbox::Error) -> StageError {
    StageError::new(format!("programs that a model wrote cannot be run here: {error}")).with_help(
        "`r1flow doctor` shows what the jail holds; `jail = \"best-effort\"` in the stage runs them without a jail that \
         holds: they may read your files and use your network",
    )
}

fn failed(error: sandbox::Error) -> StageError {
    StageError::new(error.to_string())
}

/// What must hold before programs that a model wrote are run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum JailKey {
    /// Every attack that is known is refused; else nothing is run.
    #[default]
    Required,
    /// Whatever holds on this machine, even if it is nothing: programs may read your files and use your network.
    BestEffort,
}
