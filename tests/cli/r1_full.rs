//! The paper's recipe, `r1-full.toml`: it passes `check` once it has data, and runs to its end, cut down to tiny models
//! and 20 made-up rows in the form of each data set that it names.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::Value;

use super::programs::must_skip;
use super::r1::{repository, sandbox};
use super::support::Sandbox;

fn rows() -> PathBuf {
    repository().join("tests/workflows/r1-full")
}

fn recipe(file: &str) -> String {
    rows().join(file).display().to_string()
}

#[test]
fn it_passes_check_and_can_be_planned_once_it_has_data() {
    let sandbox = sandbox();
    sandbox.write("r1-full.toml", &fs_err::read_to_string(repository().join("workflows/r1-full.toml")).unwrap());
    let without = sandbox.run(&["check", "r1-full.toml"]);
    assert!(without.code == Some(2) && without.stderr.contains("`r1-full/base` is not there"), "{without}");
    std::os::unix::fs::symlink(rows(), sandbox.root().join("r1-full")).unwrap();
    let golden = repository().join("tests/workflows/golden/model").display().to_string();
    let models = ["base", "judge", "qwen", "llama"].map(|name| format!("inputs.{name}.model={golden}"));
    let sets: Vec<&str> = models.iter().flat_map(|set| ["--set", set]).collect();
    let told = sandbox.ok(&[&["check", "r1-full.toml"], &sets[..]].concat());
    assert!(told.ends_with("no mistakes\n"), "{told}");
    let plan = sandbox.json(&[&["plan", "r1-full.toml"], &sets[..]].concat());
    let status = |stage: &str| {
        plan["rows"].as_array().unwrap().iter().find(|row| row["stage"] == stage).unwrap()["status"].clone()
    };
    assert_eq!([status("zero"), status("alignment-rl"), status("student/llama")], ["dirty", "dirty", "dirty"]);
    // Rows of one's own instead of a data set's.
    sandbox.write("mine.jsonl", "{\"prompt\": \"1+1=\", \"answer\": \"2\"}\n");
    let mine = ["--set", "inputs.math.prompts=mine.jsonl", "--set", "inputs.math.fields.answer=answer"];
    sandbox.ok(&[&["check", "r1-full.toml"], &sets[..], &mine].concat());
}

/// The cut recipe with models of its own.
struct Cut {
    sandbox: Sandbox,
    arguments: Vec<String>,
}

impl Cut {
    /// Trains and exports the models.
    fn prepare() -> Self {
        let sandbox = sandbox();
        sandbox.ok(&["apply", &recipe("models.toml")]);
        let mut arguments = vec![recipe("cut.toml")];
        for name in ["base", "judge", "qwen", "llama"] {
            sandbox.ok(&["export", &format!("{name}.model"), name, "--workflow", &recipe("models.toml")]);
            arguments.push("--set".to_owned());
            arguments.push(format!("inputs.{name}.model={}", sandbox.root().join(name).display()));
        }
        Self { sandbox, arguments }
    }

    /// Returns the words of a command about the recipe.
    fn words<'a>(&'a self, command: &[&'a str]) -> Vec<&'a str> {
        command.iter().copied().chain(self.arguments.iter().map(String::as_str)).collect()
    }

    /// Returns the summary of a stage.
    fn summary(&self, stage: &str) -> Value {
        self.sandbox.json(&self.words(&["show", stage, "--workflow"]))["record"]["summary"].clone()
    }
}

/// Every stage of the recipe.
const STAGES: [&str; 22] = [
    "logic",
    "zero",
    "zero-outputs",
    "few-shot-outputs",
    "cold-start",
    "reasoning-rl",
    "reasoning-data",
    "generalist",
    "chat-answers",
    "judged-pairs",
    "helpful",
    "harmless",
    "alignment-rl",
    "student/qwen",
    "student/llama",
    "scores/zero",
    "scores/cold-start",
    "scores/reasoning-rl",
    "scores/generalist",
    "scores/alignment-rl",
    "scores/student/qwen",
    "scores/student/llama",
];

#[test]
fn it_runs_to_its_end_on_rows_as_they_are_published() {
    let cut = Cut::prepare();
    let output = cut.sandbox.run(&cut.words(&["apply"]));
    if must_skip(&output) {
        return;
    }
    assert_eq!(output.code, Some(0), "{output}");
    let plan = cut.sandbox.json(&cut.words(&["plan"]));
    let done: BTreeSet<&str> =
        plan["rows"].as_array().unwrap().iter().map(|row| row["stage"].as_str().unwrap()).collect();
    assert_eq!(done, BTreeSet::from(STAGES));
    assert!(plan["rows"].as_array().unwrap().iter().all(|row| row["status"] == "fresh"), "{plan:#}");
    for stage in ["zero-outputs", "few-shot-outputs", "reasoning-data"] {
        assert_eq!(cut.summary(stage)["gold-unparsed"], 0, "{stage}");
    }
    every_row_is_read(&cut);
    programs_are_run(&cut);
    the_judge_is_asked(&cut);
    the_students_are_of_their_architectures(&cut);
    everything_is_scored(&cut);
}

/// Of 20 rows each of math, code, medicine, science, logic and open questions, 10 of math are repeated.
fn every_row_is_read(cut: &Cut) {
    let data = cut.summary("reasoning-data");
    assert_eq!((&data["prompts"], &data["prompts-too-long"]), (&110.into(), &0.into()), "{data}");
    assert_eq!(data["inputs"]["inputs.math"]["left-out-by-unique"], 10, "{data}");
    assert_eq!(data["inputs"]["inputs.code"]["bad"], 0, "{data}");
    // The tiny model knows the answers to all but logic, and programs are among what is kept.
    assert!(data["kept-by-source"].as_object().unwrap().len() >= 4, "{data}");
    let accuracy = cut.summary("zero")["accuracy"].as_f64().unwrap();
    assert!(accuracy > 0.0 && accuracy < 1.0, "{accuracy}");
    assert!(cut.summary("generalist")["rows"].as_u64() > Some(20));
    let pairs = cut.summary("judged-pairs");
    assert!(pairs["judged"].as_u64() > Some(0) && pairs["pairs"].as_u64() >= pairs["kept"].as_u64(), "{pairs}");
    for (stage, judgements) in [("helpful", 20 + pairs["kept"].as_u64().unwrap()), ("harmless", 20)] {
        let summary = cut.summary(stage);
        let count = |key: &str| summary[key].as_u64().unwrap();
        assert_eq!(count("judgements") + count("held-out"), judgements, "{summary}");
    }
}

/// Some programs pass their tests and others do not, each for a reason.
fn programs_are_run(cut: &Cut) {
    let kept = cut.sandbox.root().join("cache/r1flow/verdicts");
    let shards = fs_err::read_dir(kept).unwrap().map(|entry| entry.unwrap().path());
    let shards = shards.filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    let lines = shards.map(|path| fs_err::read_to_string(path).unwrap()).collect::<String>();
    let trials = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["verdict"].clone());
    let failures: Vec<Option<String>> = trials.map(|trial| trial["failure"].as_str().map(str::to_owned)).collect();
    assert!(failures.len() >= 20, "{failures:?}");
    assert!(failures.contains(&None) && failures.contains(&Some("wrong".to_owned())), "{failures:?}");
}

/// Of the answers to open questions those are kept that the judge takes for right, in whatever words.
fn the_judge_is_asked(cut: &Cut) {
    let rows =
        cut.sandbox.ok(&cut.words(&["show", "reasoning-data.samples", "--json", "--rows", "1000", "--workflow"]));
    let rows = rows.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let judged: Vec<Value> = rows.filter(|row| row["verify"] == "judge").collect();
    assert!(judged.len() > 5, "{judged:?}");
    for row in &judged {
        assert!(row["answer"] == "a dozen" && row["completion"].as_str().unwrap().contains("twelve eggs"), "{row}");
    }
}

fn the_students_are_of_their_architectures(cut: &Cut) {
    for (student, architecture) in [("qwen", "qwen2"), ("llama", "llama")] {
        let folder = format!("student-{student}");
        cut.sandbox.ok(&cut.words(&["export", &format!("student/{student}.model"), &folder, "--workflow"]));
        let config = fs_err::read(cut.sandbox.root().join(folder).join("config.json")).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&config).unwrap()["model_type"], architecture);
    }
}

/// The table has every model, the students' rows among them, and says why programs fail.
fn everything_is_scored(cut: &Cut) {
    let scores = cut.sandbox.json(&cut.words(&["scores"]));
    let rows: Vec<&str> = scores.as_array().unwrap().iter().map(|row| row["stage"].as_str().unwrap()).collect();
    let models = ["zero", "cold-start", "reasoning-rl", "generalist", "alignment-rl", "student/qwen", "student/llama"];
    assert_eq!(rows, models);
    let suites = &scores[0]["report"]["suites"];
    assert!(suites["aime"]["pass-at-1"].as_f64() > Some(0.5), "{suites:#}");
    let code = &suites["livecodebench"];
    assert!(code["pass-at-1"].as_f64() > Some(0.0) && code["gold-unparsed"] == 0, "{code:#}");
    assert!(!code["failures"].as_object().unwrap().is_empty(), "{code:#}");
    let failed = cut.sandbox.ok(&cut.words(&["show", "scores/zero", "--failed", "--rows", "120", "--workflow"]));
    assert!(failed.contains("of 2 cases passed)"), "{failed}");
}
