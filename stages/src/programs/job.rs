//! What goes into the jail for one program and its tests: the harness, the program, the inputs, the limits.

use std::time::Duration;

use sandbox::{File, Limits, Program};
use serde::Serialize;
use serde_json::Value;
use text::program::Language;

use crate::checks::{Runner as TestRunner, StreamCase, Tests};

/// The program that runs another one against all cases.
pub(super) const HARNESS: &str = include_str!("harness.py");

/// CPU seconds of a case, where the tests name none.
const SECONDS: f64 = 6.0;

/// As many times the limit of a case may all cases of a program take together.
const CASES: f64 = 10.0;

/// Bytes that a case may write beyond the longest expected output.
const SPARE_OUTPUT: usize = 16 << 10;

/// Bytes of memory of a program.
const MEMORY: u64 = 1 << 30;

/// A job of the harness.
#[derive(Serialize)]
struct Job<'a> {
    mode: &'static str,
    language: &'static str,
    function: Option<&'a str>,
    seconds: f64,
    wall: f64,
    cases: usize,
    output: usize,
}

/// Returns how many cases tests have; 0 for rules, which are no tests of programs.
pub(super) fn num_cases(tests: &Tests) -> usize {
    match tests {
        Tests::Streams { cases, .. } => cases.len(),
        Tests::Calls { cases, .. } => cases.len(),
        Tests::Program { .. } => 1,
        Tests::Rules { .. } | Tests::Puzzle { .. } => 0,
    }
}

/// Makes the program that the jail runs, and its limits.
pub(super) fn job(tests: &Tests, language: Language, source: &str) -> (Program, Limits) {
    let (mode, function, time_limit) = match tests {
        Tests::Streams { time_limit, .. } => ("streams", None, *time_limit),
        Tests::Calls { function, time_limit, .. } => ("calls", Some(function.as_str()), *time_limit),
        Tests::Program { runner: TestRunner::Python, function, .. } => ("asserts", function.as_deref(), None),
        Tests::Program { runner: TestRunner::Pytest, function, .. } => ("pytest", function.as_deref(), None),
        Tests::Rules { .. } | Tests::Puzzle { .. } => unreachable!("the caller has tests of programs"),
    };
    let (language, name) = match language {
        Language::Python => ("python", "solution.py"),
        Language::Cpp => ("cpp", "solution.cpp"),
    };
    let inputs = inputs(tests);
    let cases = inputs.len();
    let seconds = time_limit.unwrap_or(SECONDS);
    let output = longest_output(tests) + SPARE_OUTPUT;
    let job = Job { mode, language, function, seconds, wall: wall(seconds), cases, output };
    packed(&job, name, source, numbered("in", inputs))
}

/// Makes the program that runs a checker on what another program wrote.
pub(super) fn checks(checker: &str, cases: &[StreamCase], written: &[String]) -> (Program, Limits) {
    let job = Job {
        mode: "checks",
        language: "python",
        function: None,
        seconds: SECONDS,
        wall: wall(SECONDS),
        cases: written.len(),
        output: SPARE_OUTPUT,
    };
    let texts = |text: fn(&StreamCase) -> &String| cases.iter().map(move |case| text(case).clone().into_bytes());
    let files = numbered("in", texts(|case| &case.input))
        .chain(numbered("expected", texts(|case| &case.output)))
        .chain(numbered("written", written.iter().map(|text| text.clone().into_bytes())));
    packed(&job, "solution.py", checker, files)
}

fn numbered(folder: &'static str, texts: impl IntoIterator<Item = Vec<u8>>) -> impl Iterator<Item = File> {
    texts.into_iter().enumerate().map(move |(case, text)| file(format!("{folder}/{case}"), text))
}

fn file(name: String, bytes: Vec<u8>) -> File {
    File { name, bytes, executable: false }
}

/// Returns the seconds on the clock that a case may take: more than its CPU time, as other programs run beside it.
fn wall(seconds: f64) -> f64 {
    4.0 * seconds + 10.0
}

fn packed(job: &Job<'_>, name: &str, source: &str, files: impl Iterator<Item = File>) -> (Program, Limits) {
    let told = serde_json::to_vec(job).expect("numbers and texts");
    let own = [("harness.py", HARNESS.into()), ("job.json", told), (name, source.into())];
    let files: Vec<File> = own.into_iter().map(|(name, bytes)| file(name.to_owned(), bytes)).chain(files).collect();
    let limits = limits(job, files.iter().map(|file| file.bytes.len()).sum());
    let arguments = ["python3", "-I", "-X", "utf8", "harness.py"].map(str::to_owned).to_vec();
    (Program { arguments, files, input: Vec::new() }, limits)
}

/// Returns the input of each case: what is read, the arguments as JSON, or the program that tests.
fn inputs(tests: &Tests) -> Vec<Vec<u8>> {
    match tests {
        Tests::Streams { cases, .. } => cases.iter().map(|case| case.input.clone().into_bytes()).collect(),
        Tests::Calls { cases, .. } => {
            cases.iter().map(|case| Value::from(case.arguments.clone()).to_string().into_bytes()).collect()
        }
        Tests::Program { code, .. } => vec![code.clone().into_bytes()],
        Tests::Rules { .. } | Tests::Puzzle { .. } => Vec::new(),
    }
}

fn longest_output(tests: &Tests) -> usize {
    match tests {
        Tests::Streams { cases, .. } => cases.iter().map(|case| case.output.len()).max(),
        // As JSON with indents and escapes a value may be longer than what is expected.
        Tests::Calls { cases, .. } => {
            let length = |value: &Value| 4 * value.to_string().len();
            cases.iter().flat_map(|case| case.expected.iter().map(length)).max()
        }
        Tests::Program { .. } | Tests::Rules { .. } | Tests::Puzzle { .. } => None,
    }
    .unwrap_or_default()
}

/// Returns the bounds of a whole job. They are above those of a case, which the harness sets.
fn limits(job: &Job<'_>, input: usize) -> Limits {
    let times = (job.cases as f64).min(CASES);
    // Each case's output is told as JSON, which may need six characters for one.
    let told = (6 * job.output + 4_096) * job.cases;
    let disk = input + 4 * job.output + (32 << 20);
    Limits {
        wall: Duration::from_secs_f64(job.wall * times + 30.0),
        cpu: Duration::from_secs_f64(job.seconds * times + 10.0),
        memory: MEMORY,
        output: told as u64,
        file_size: disk as u64,
        disk: disk as u64,
        ..Limits::default()
    }
}
