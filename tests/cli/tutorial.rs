//! The tutorial, `docs/tutorial.md`: its script runs on a model of a few thousand weights, and the page, the script and
//! the workflow say the same.
//!
//! What the page prints of a real model is not compared: it is from one run on one machine.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::support::Sandbox;

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")
}

fn read(file: &str) -> String {
    fs_err::read_to_string(docs().join(file)).unwrap()
}

/// Returns the page's blocks of code in a language.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let opening = format!("```{language}\n");
    page.split(&opening).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

/// Returns rows as GSM8K has them, of sums in the characters that the tiny model knows.
fn rows(sums: std::ops::Range<u32>) -> String {
    let row = |sum: u32| {
        let (a, b) = (sum / 20, sum % 20);
        format!("{{\"question\": \"{a}+{b}=?\", \"answer\": \"{a}+{b}={0}\\n#### {0}\"}}\n", a + b)
    };
    sums.map(row).collect::<Vec<_>>().concat()
}

#[test]
fn the_script_runs_from_a_model_to_an_exported_one() {
    let sandbox = Sandbox::with_worker(PathBuf::from(env!("CARGO_BIN_EXE_r1flow-worker")));
    sandbox.write("train.jsonl", &rows(0..240));
    sandbox.write("test.jsonl", &rows(240..264));
    let programs = sandbox.root().join("bin");
    fs_err::create_dir(&programs).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_r1flow"), programs.join("r1flow")).unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());

    let mut script = Command::new("sh");
    script
        .arg(docs().join("tutorial/run.sh"))
        .current_dir(sandbox.root())
        .env_clear()
        .env("PATH", path)
        .env("HOME", sandbox.root())
        .env("XDG_CACHE_HOME", sandbox.root().join("cache"))
        .env("R1FLOW_WORKER", sandbox.worker())
        .env("MODEL", Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/workflows/golden/model"))
        .env("TRAIN", sandbox.root().join("train.jsonl"))
        .env("TEST", sandbox.root().join("test.jsonl"));
    let output = sandbox.finish(&mut script);
    assert_eq!(output.code, Some(0), "{output}");
    // The deliberate mistake, the warning, and the training that continues.
    for part in ["no field `problem`", "`max-tokens` is 9000", "Running rl (grpo), from step 3"] {
        assert!(output.stderr.contains(part), "no `{part}` in {output}");
    }
    assert!(output.stdout.contains("extend rl"), "{output}");
    for file in ["config.json", "model.safetensors"] {
        assert!(sandbox.root().join("reasoner").join(file).is_file(), "no `{file}`");
    }
    let beside = sandbox.json(&["show", "scores/rl", "--beside", "scores/base"]);
    assert_eq!((&beside["questions"], &beside["only-one"], &beside["only-two"]), (&24.into(), &0.into(), &0.into()));
    let better = [&beside["one-better"], &beside["two-better"]].map(|count| count.as_u64().unwrap());
    assert_eq!(better.iter().sum::<u64>(), beside["differing"].as_array().unwrap().len() as u64);
    let told = sandbox.ok(&["show", "scores/rl", "--beside", "scores/base"]);
    assert!(told.starts_with("24 questions in both: `scores/rl` is right more often on "), "{told}");
    let refused = sandbox.run(&["show", "scores/rl", "--beside", "rl"]);
    assert!(refused.stderr.contains("no output `answers`"), "{refused}");
}

#[test]
fn page_and_script_have_the_same_commands() {
    let page = blocks(&read("tutorial.md"), "text").concat();
    let of_page: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("$ ")).collect();
    let script = read("tutorial/run.sh");
    let (_, commands) = script.split_once("\nset -x\n").unwrap();
    let of_script: Vec<&str> = commands
        .lines()
        .map(|line| line.strip_prefix("if ").and_then(|rest| rest.strip_suffix("; then exit 1; fi")).unwrap_or(line))
        .collect();
    assert_eq!(of_page, of_script);
    assert!(of_page.len() > 10, "{of_page:#?}");
}

#[test]
fn the_parts_of_the_workflow_on_the_page_are_the_file() {
    assert_eq!(blocks(&read("tutorial.md"), "toml").join("\n"), read("tutorial/workflow.toml"));
}
