//! What `check`, `plan` and `apply` see in inputs and models before anything runs.

use std::path::{Path, PathBuf};

use super::support::Sandbox;

const WORKFLOW: &str = r#"[inputs]
base = { model = "model" }
sums = { prompts = "sums.jsonl" }
text = { samples = "text.jsonl" }
[sft.taught]
model = "inputs.base"
data  = ["inputs.text"]
steps = 1
[grpo.rl]
model      = "taught.model"
prompts    = ["inputs.sums"]
rewards    = { accuracy = 1.0 }
max-tokens = 8
steps      = 1
"#;

/// Returns a sandbox with a workflow on a real model of a few thousand weights.
fn sandbox(workflow: &str) -> Sandbox {
    let sandbox = Sandbox::with_worker(PathBuf::from(env!("CARGO_BIN_EXE_r1flow-worker")));
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/workflows/golden/model");
    std::os::unix::fs::symlink(model, sandbox.root().join("model")).unwrap();
    sandbox.write("w.toml", workflow);
    sandbox.write("sums.jsonl", "{\"prompt\": \"1+1=\", \"answer\": \"2\"}\n");
    sandbox.write("text.jsonl", "{\"prompt\": \"1+1=\", \"completion\": \"2\"}\n");
    sandbox
}

#[test]
fn a_wrong_column_is_told_before_anything_runs_and_again_when_the_file_changes() {
    let sandbox = sandbox(WORKFLOW);
    sandbox.ok(&["check", "w.toml"]);
    sandbox.write("sums.jsonl", "{\"question\": \"1+1=\", \"answer\": \"2\"}\n");
    insta::assert_snapshot!(sandbox.run(&["check", "w.toml"]), @r#"
    exit code 2
    ── stderr
    error: `[DIR]/sums.jsonl` line 1: no field `prompt`; there are `question`, `answer`: map yours onto ours with `fields` (1 of 1 rows cannot be read)
     --> w.toml:3:1
      |
    3 | sums = { prompts = "sums.jsonl" }
      | ^^^^ read by `rl`

    1 mistake
    "#);
    let plan = sandbox.run(&["plan", "w.toml"]);
    assert!(plan.code == Some(2) && plan.stderr.contains("no field `prompt`"), "{plan}");
    let apply = sandbox.run(&["apply", "w.toml"]);
    assert!(apply.code == Some(2) && apply.stderr.contains("no field `prompt`"), "{apply}");
    assert!(!apply.stderr.contains("Running"), "{apply}");
    sandbox.write("sums.jsonl", "{\"prompt\": \"1+1=\", \"answer\": \"2\"}\n");
    sandbox.ok(&["check", "w.toml"]);
    sandbox.ok(&["apply", "w.toml"]);
}

#[test]
fn warnings_have_their_places_and_stop_nothing() {
    let warned = WORKFLOW.replace("max-tokens = 8", "max-tokens = 2_000");
    let sandbox = sandbox(&warned);
    sandbox.write("sums.jsonl", "{\"prompt\": \"1+1=\", \"answer\": \"2 +\"}\n");
    // Two stages on, the policy has the positions of the input that its model begins as.
    insta::assert_snapshot!(sandbox.run(&["check", "w.toml"]), @r#"
    exit code 0
    ── stdout
    w: 2 stages, 1 edge, no mistakes
    ── stderr
    warning: 1 of the first 1 gold answers of `inputs.sums` do not parse as `number`: `2 +`
     --> w.toml:3:1
      |
    3 | sums = { prompts = "sums.jsonl" }
      | ^^^^ read by `rl`
      |
      = help: no completion can be right there: check `answer-after`, `fields` and `verify`

    warning: `max-tokens` is 2000, and `taught.model` has 1024 positions
     --> w.toml:9:7
      |
    9 | [grpo.rl]
      |       ^^ this grpo stage
      |
      = help: a completion ends there at the latest: lower `max-tokens`
    "#);
    let told = sandbox.json(&["check", "w.toml"]);
    assert_eq!((told["warnings"].as_array().unwrap().len(), told["mistakes"].as_array().unwrap().len()), (2, 0));
    assert_eq!(told["warnings"][0]["line"], 3);
    let apply = sandbox.ok(&["apply", "w.toml", "--set", "rl.max-tokens=8", "--json"]);
    assert_eq!(apply.matches("do not parse").count(), 1, "{apply}");
}

#[test]
fn every_mistake_comes_in_one_pass() {
    let wrong = WORKFLOW
        .replace("steps = 1", "batch-size = 0\nschedule = \"cosine\"\nsteps = 1\nbetas = [0.9, 1.0]")
        .replace("[grpo.rl]", "[grpo.rl]\nlora = { targets = [] }\nprompts-per-stp = 3");
    let sandbox = sandbox(&wrong);
    sandbox.write("sums.jsonl", "[\n");
    insta::assert_snapshot!(sandbox.run(&["check", "w.toml"]), @r#"
    exit code 2
    ── stderr
    error: `[DIR]/sums.jsonl` from row 1 on cannot be read: the array ends too early
     --> w.toml:3:1
      |
    3 | sums = { prompts = "sums.jsonl" }
      | ^^^^ read by `rl`

    error: `schedule` ends somewhere, but `decay-steps` does not say where
     --> w.toml:5:6
      |
    5 | [sft.taught]
      |      ^^^^^^ this sft stage could not run
      |
      = help: set `decay-steps`, usually to the value of `steps`

    error: `betas` has 1, expected numbers from 0 up and below 1
     --> w.toml:5:6
      |
    5 | [sft.taught]
      |      ^^^^^^ this sft stage could not run

    error: `batch-size` is out of range
     --> w.toml:8:14
      |
    8 | batch-size = 0
      |              ^ expected 1 to 1000000

    error: `lora.targets` is empty: there is nothing to train
      --> w.toml:12:7
       |
    12 | [grpo.rl]
       |       ^^ this grpo stage could not run

    error: unknown key `prompts-per-stp` in grpo stage `rl`
      --> w.toml:14:1
       |
    14 | prompts-per-stp = 3
       | ^^^^^^^^^^^^^^^ not a key of grpo stages
       |
       = help: did you mean `prompts-per-step`?

    6 mistakes
    "#);
}

#[test]
fn a_warning_points_at_the_set_that_caused_it() {
    let sandbox = sandbox(&WORKFLOW.replace("max-tokens = 8\n", ""));
    for set in ["rl.max-tokens=9000", "defaults.grpo.max-tokens=9000"] {
        let told = sandbox.run(&["check", "w.toml", "--set", set]).stderr;
        let (_, warning) = told.split_once("`max-tokens` is 9000").unwrap_or_else(|| panic!("{set}: {told}"));
        assert!(warning.contains(set), "{set}: {told}");
    }
}

#[test]
fn rollouts_of_a_stage_that_is_not_done_are_shown() {
    let sandbox = sandbox(WORKFLOW);
    let arguments = ["apply", "w.toml", "--set", "rl.steps=100000", "--json"];
    let running = sandbox.start(&arguments);
    running.event("progress", "rl");
    let rows = |arguments: &[&str]| -> Vec<serde_json::Value> {
        let text = sandbox.ok(&[&["show", "rl.rollouts", "--json"], arguments].concat());
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let row = rows(&["--rows", "1"]).remove(0);
    assert_eq!((row["prompt"].as_str(), row["answer"].as_str()), (Some("1+1="), Some("2")), "{row}");
    assert!(row["tokens"].as_u64().is_some_and(|tokens| (1..=8).contains(&tokens)) && row["finished"].is_boolean());
    running.signal(libc::SIGINT);
    assert_eq!(running.end().code, Some(3));
    // They are still there when the stage has been stopped, in text too, and an export says what is missing.
    assert_eq!(rows(&["--where", "step=0"]).len(), 3);
    let shown = sandbox.ok(&["show", "rl.rollouts", "--rows", "1"]);
    assert!(shown.contains(" rows so far, in run [RUN]\n{\"prompt\":\"1+1=\""), "{shown}");
    let export = sandbox.run(&["export", "rl.rollouts", "out"]);
    assert!(export.code == Some(2) && export.stderr.contains("is not fresh"), "{export}");
}

#[test]
fn init_writes_a_workflow_that_checks() {
    let sandbox = sandbox(WORKFLOW);
    let rows = "{\"question\": \"1+1?\", \"answer\": \"1+1=2\\n#### 2\"}\n".repeat(50);
    sandbox.write("q.jsonl", &rows);
    let given = ["init", "first.toml", "--model", "model", "--prompts", "q.jsonl", "--samples", "q.jsonl"];
    let told = sandbox.ok(&given);
    assert!(told.starts_with("wrote first.toml\n"), "{told}");
    let plan = sandbox.json(&["plan", "first.toml"]);
    let stages: Vec<&str> = plan["rows"].as_array().unwrap().iter().map(|row| row["stage"].as_str().unwrap()).collect();
    assert_eq!(stages, ["taught", "reasoner", "scores/base", "scores/taught", "scores/reasoner"]);
    // It runs as it is, at a smaller size.
    let sizes = ["taught.steps=1", "reasoner.steps=1", "grpo.max-tokens=8", "eval.max-tokens=8"];
    let sizes = sizes.map(|set| {
        if set.starts_with("grpo") || set.starts_with("eval") { format!("defaults.{set}") } else { set.to_owned() }
    });
    let mut apply = vec!["apply", "first.toml"];
    apply.extend(sizes.iter().flat_map(|set| ["--set", set]));
    sandbox.ok(&apply);
    insta::assert_snapshot!(sandbox.run(&given), @"
    exit code 2
    ── stderr
    error: `first.toml` exists already
    help: name another: `r1flow init FILE`
    ");
    insta::assert_snapshot!(sandbox.run(&["init", "second.toml"]), @"
    exit code 2
    ── stderr
    error: there is no model to begin with
    help: `r1flow init --model PATH --prompts PATH --samples PATH`; prompts or samples may be left out
    ");
    insta::assert_snapshot!(sandbox.run(&["init", "second.toml", "--model", "nothere", "--prompts", "q.jsonl"]), @"
    exit code 2
    ── stderr
    error: `nothere` is neither here nor an id of the hub, as in `org/name`
    ");
    insta::assert_snapshot!(sandbox.run(&["init", "second.toml", "--model", "model"]), @"
    exit code 2
    ── stderr
    error: there are neither prompts nor samples
    help: `r1flow init --model PATH --prompts PATH --samples PATH`; prompts or samples may be left out
    ");
    assert!(!sandbox.root().join("second.toml").exists());
}
