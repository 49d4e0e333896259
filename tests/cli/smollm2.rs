//! R1 on a real model, `smollm2.toml`: it runs to its end on a tiny model and a few problems in the shapes of the data
//! sets, and its tables and figures are made of that.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use super::programs::must_skip;
use super::r1::{repository, sandbox};
use super::support::Sandbox;

fn recipe(file: &str) -> String {
    repository().join("tests/workflows/smollm2").join(file).display().to_string()
}

/// Trains and exports the model, and returns the words that name the cut workflow with it.
fn prepare(sandbox: &Sandbox) -> Vec<String> {
    sandbox.ok(&["apply", &recipe("model.toml")]);
    sandbox.ok(&["export", "smol.model", "smol"]);
    let model = sandbox.root().join("smol").display().to_string();
    let sets = ["smol", "student"].map(|input| ["--set".to_owned(), format!("inputs.{input}.model={model}")]);
    [vec![recipe("cut.toml")], sets.concat()].concat()
}

/// Returns the prompts of an output.
fn prompts(sandbox: &Sandbox, words: &[&str], output: &str) -> BTreeSet<String> {
    let rows = sandbox.ok(&[&["show", output, "--rows", "1000", "--json", "--workflow"], words].concat());
    let rows = rows.lines().filter(|line| line.starts_with('{'));
    rows.map(|row| serde_json::from_str::<Value>(row).unwrap()["prompt"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_whole_of_r1_runs_and_its_figures_are_made() {
    let sandbox = sandbox();
    let words = prepare(&sandbox);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let output = sandbox.run(&[&["apply"], &words[..]].concat());
    if must_skip(&output) {
        return;
    }
    assert_eq!(output.code, Some(0), "{output}");

    let [held_out, trained] = ["test.prompts", "train.prompts"].map(|output| prompts(&sandbox, &words, output));
    assert!(!held_out.is_empty() && !trained.is_empty() && held_out.is_disjoint(&trained), "{held_out:?} {trained:?}");

    sandbox.ok(&[&["export", "student-distilled.model", "student", "--workflow"], &words[..]].concat());
    let config = fs_err::read_to_string(sandbox.root().join("student/config.json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&config).unwrap()["num_hidden_layers"], 2);

    let benches = repository().join("benches/smollm2");
    let mut collect = Command::new("sh");
    collect.arg(benches.join("collect")).args([".r1flow", "seed-1"]).args(&words[1..]);
    collect.current_dir(sandbox.root()).env("R1FLOW", PathBuf::from(env!("CARGO_BIN_EXE_r1flow")));
    collect.env("WORKFLOW", words[0]).env("R1FLOW_WORKER", sandbox.worker());
    let collected = sandbox.finish(&mut collect);
    assert_eq!(collected.code, Some(0), "{collected}");
    let mut figures = Command::new("python3");
    figures.arg(benches.join("figures.py")).args(["figures", "seed-1"]).current_dir(sandbox.root());
    let made = sandbox.finish(&mut figures);
    assert!(made.code == Some(0) && made.stdout.contains("| R1-Zero − base |"), "{made}");
    for figure in ["smollm2-rl.svg", "smollm2-accuracy.svg"] {
        let figure = fs_err::read_to_string(sandbox.root().join("figures").join(figure)).unwrap();
        assert!(figure.starts_with("<svg") && figure.contains("R1-Zero"), "{figure}");
    }
}
