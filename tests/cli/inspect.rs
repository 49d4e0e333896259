//! The commands that look: `show`, `status`, `log`, `explain`, `scores`, and what each prints when there is nothing to
//! show.

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use super::support::{CHAIN, Sandbox};

fn applied() -> Sandbox {
    let sandbox = Sandbox::new(CHAIN);
    sandbox.ok(&["apply", "toy.toml", "--jobs", "1"]);
    sandbox
}

#[test]
fn show_a_stage() {
    let sandbox = applied();
    insta::assert_snapshot!(sandbox.run(&["show", "c"]), @"
    exit code 0
    ── stdout
    c (count), [WHEN] in workflow toy
      fingerprint b3:[DIGEST]
      [TIME] of work, [TIME] of CPU, 4 steps in the last attempt
      state: 10160899472146195609
      steps: 4
    output  type   size  digest
    model   model  40 B  b3:[DIGEST]
    metric  first  last  curve
    loss    1      0.25  █▃▂▁
    ");
    let told = sandbox.json(&["show", "c"]);
    assert_eq!(told["record"]["steps"], 4);
    let steps: Vec<_> = told["curve"].as_array().unwrap().iter().map(|line| line["step"].as_u64().unwrap()).collect();
    assert_eq!(steps, [1, 2, 3, 4]);
}

#[test]
fn show_an_output_or_its_digest() {
    let sandbox = applied();
    let by_name = sandbox.run(&["show", "c.model"]);
    insta::assert_snapshot!(by_name, @r#"
    exit code 0
    ── stdout
    file         size  digest
    config.json  40 B  b3:[DIGEST]

    config.json
    {"count":4,"state":10160899472146195609}
    "#);
    let digest = sandbox.digest("c", "model");
    assert_eq!(sandbox.ok(&["show", &digest]), by_name.stdout);
    assert_eq!(sandbox.json(&["show", &digest])["members"][0]["path"], "config.json");
    assert_eq!(sandbox.json(&["show", &digest]), sandbox.json(&["show", "c.model"]));
}

#[test]
fn rows_are_asked_for_by_condition_or_drawn() {
    let sandbox = Sandbox::new("[write.a]\ntext = '''{\"n\": 1}\n{\"n\": 2}\n{\"n\": 3}'''\n");
    sandbox.ok(&["apply", "toy.toml"]);
    assert_eq!(sandbox.ok(&["show", "a.samples", "--where", "n>=2", "--json"]), "{\"n\": 2}\n{\"n\": 3}\n");
    let told = sandbox.ok(&["show", "a.samples", "--where", "n>=2", "--where", "n!=3"]);
    assert!(told.ends_with("samples.jsonl: 3 rows, 1 matching\n{\"n\": 2}\n"), "{told}");
    let drawn = |seed: &str| sandbox.ok(&["show", "a.samples", "--random", "1", "--seed", seed, "--json"]);
    assert_eq!((drawn("1").lines().count(), drawn("1")), (1, drawn("1")));
    let of_stage = sandbox.run(&["show", "a", "--where", "n>=2"]);
    assert!(of_stage.code == Some(2) && of_stage.stderr.contains("`a.OUTPUT`"), "{of_stage}");
    let misspelt = sandbox.run(&["show", "a.samples", "--where", "m>=2"]);
    let told = "error: no row has the field `m`\nhelp: they have `n`\n";
    assert_eq!((misspelt.code, misspelt.stderr.as_str()), (Some(2), told));
}

#[test]
fn show_as_many_rows_as_asked_for() {
    let sandbox = Sandbox::new("[write.a]\ntext = \"one\\ntwo\\nthree\\nfour\"\n");
    sandbox.ok(&["apply", "toy.toml"]);
    insta::assert_snapshot!(sandbox.run(&["show", "a.samples", "--rows", "2"]), @r"
    exit code 0
    ── stdout
    file           size  digest
    samples.jsonl  18 B  b3:[DIGEST]

    samples.jsonl: 4 rows
    one
    two
    ");
    assert!(sandbox.ok(&["show", "a.samples"]).ends_with("4 rows\none\ntwo\nthree\n"), "three unless given");
}

#[test]
fn what_is_not_in_the_store_gets_the_nearest() {
    let sandbox = applied();
    insta::assert_snapshot!(sandbox.run(&["show", "othr"]), @"
    exit code 2
    ── stderr
    error: there is no stage `othr` in the store: did you mean `other`?
    ");
    insta::assert_snapshot!(sandbox.run(&["show", "a.sample"]), @r"
    exit code 2
    ── stderr
    error: there is no output `sample`: did you mean `samples`?
    ");
    insta::assert_snapshot!(sandbox.run(&["log", "d"]), @"
    exit code 2
    ── stderr
    error: there is no stage `d` in the store: did you mean `a`?
    ");
    insta::assert_snapshot!(sandbox.run(&["explain", "d"]), @"
    exit code 2
    ── stderr
    error: there is no stage `d` in the store: did you mean `a`?
    ");
    insta::assert_snapshot!(sandbox.run(&["status", "1999"]), @r"
    exit code 2
    ── stderr
    error: there is no run `1999`
    ");
    let unknown = format!("b3:{}", "0".repeat(64));
    let output = sandbox.run(&["show", &unknown]);
    assert!(output.code == Some(2) && output.stderr.starts_with("error: "), "{output}");
}

#[test]
fn without_a_store_every_look_says_what_to_do() {
    let sandbox = Sandbox::new(CHAIN);
    for arguments in [&["show", "a"][..], &["status"], &["log", "a"], &["explain", "a"], &["scores", "toy.toml"]] {
        let output = sandbox.run(arguments);
        let expected =
            "error: there is no store at `.r1flow`: run `r1flow apply` here first, or name another with --store\n";
        assert_eq!((output.code, output.stderr.as_str()), (Some(2), expected), "{arguments:?}");
    }
}

#[test]
fn status_of_the_newest_run_or_a_named_one() {
    let sandbox = applied();
    insta::assert_snapshot!(sandbox.run(&["status"]), @"
    exit code 0
    ── stdout
    toy [RUN]: done, [TIME]
    stage  state  step  time   left
    a      done         [TIME]
    b      done         [TIME]
    c      done   4/4   [TIME]
    other  done         [TIME]
    ");
    let first = sandbox.json(&["status"])["run"]["run"].as_str().unwrap().to_owned();
    sandbox.ok(&["apply", "toy.toml"]);
    insta::assert_snapshot!(sandbox.run(&["status"]), @"
    exit code 0
    ── stdout
    toy [RUN]: done, [TIME]
    stage  state  step  time  left
    a      fresh
    b      fresh
    c      fresh
    other  fresh
    ");
    let named = sandbox.json(&["status", &first]);
    assert_eq!((&named["run"]["state"], &named["stages"]["c"]["state"]), (&"done".into(), &"done".into()));
    assert_eq!(named["stages"]["c"]["step"], 4);
}

#[test]
fn status_of_all_runs() {
    let sandbox = applied();
    assert_eq!(sandbox.run(&["apply", "toy.toml", "--set", "a.fail=true"]).code, Some(1));
    insta::assert_snapshot!(sandbox.run(&["status", "--all"]), @r"
    exit code 0
    ── stdout
    run                               workflow  state   time
    [RUN]  toy       done    [TIME]
    [RUN]  toy       failed  [TIME]
    ");
    let states: Vec<_> =
        sandbox.json(&["status", "--all"]).as_array().unwrap().iter().map(|run| run["state"].clone()).collect();
    assert_eq!(states, ["done", "failed"]);
}

#[test]
fn log_followed_to_the_end_of_a_finished_run() {
    let sandbox = Sandbox::new(CHAIN);
    assert_eq!(sandbox.run(&["apply", "toy.toml", "--set", "a.fail=true"]).code, Some(1));
    assert_eq!(sandbox.ok(&["log", "a", "--follow"]), "`fail` is set\n");
    assert_eq!(sandbox.ok(&["log", "other"]), "", "it wrote nothing");
    assert_eq!(sandbox.ok(&["log", "a", "--json"]), "{\"line\":\"`fail` is set\"}\n");
}

#[test]
fn explain_says_what_a_stage_is_made_of_and_what_changed() {
    let sandbox = applied();
    sandbox.ok(&["apply", "toy.toml", "--set", "c.steps=6", "--set", "a.text=bye"]);
    let with_sets = ["--set", "c.steps=6", "--set", "a.text=bye"];
    insta::assert_snapshot!(sandbox.run(&[&["explain", "c"], &with_sets[..]].concat()), @r#"
    exit code 0
    ── stdout
    c is decided by
    {
      "kind": "count",
      "version": 1,
      "params": {
        "data": [
          {
            "artifact": "samples",
            "digest": "b3:[DIGEST]"
          }
        ],
        "steps": 6,
        "later": null,
        "unsteady": false,
        "salt": 0
      }
    }

    [WHEN] → [WHEN] ([TIME])
      `data.0` has other content
      `steps` 4 → 6
    "#);
    let told = sandbox.json(&[&["explain", "c"], &with_sets[..]].concat());
    let steps: Vec<_> = told["actions"].as_array().unwrap().iter().map(|action| &action["params"]["steps"]).collect();
    assert_eq!(steps, [&4, &6]);
}

#[test]
fn scores_without_an_evaluation() {
    let sandbox = applied();
    insta::assert_snapshot!(sandbox.run(&["scores", "toy.toml"]), @"
    exit code 2
    ── stderr
    error: `toy` has no stage of kind `eval`
    ");
    assert_eq!(sandbox.json(&["scores", "toy.toml"]), serde_json::json!([]));
}

#[test]
fn a_reader_that_goes_away_is_no_mistake() {
    let rows = "row of a text that is larger than a pipe\\n".repeat(20_000);
    let sandbox = Sandbox::new(&format!("[write.a]\ntext = \"{rows}\"\n"));
    sandbox.ok(&["apply", "toy.toml"]);
    let mut command = sandbox.command(&["show", "a.samples", "--rows", "20000"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    // The reader is dropped at the end of the line, as `head -1` would.
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    let mut complaints = String::new();
    child.stderr.take().unwrap().read_to_string(&mut complaints).unwrap();
    assert!(first.starts_with("file"), "{first}");
    assert_eq!((child.wait().unwrap().code(), complaints.as_str()), (Some(0), ""));
}

#[test]
fn a_renamed_stage_and_a_reverted_edit_show_what_is_there_now() {
    let sandbox = applied();
    let before = sandbox.digest("b", "samples");
    sandbox.ok(&["apply", "toy.toml", "--set", "a.text=other words"]);
    assert_ne!(sandbox.digest_with("b", "samples", &["--set", "a.text=other words"]), before);
    assert_eq!(sandbox.digest("b", "samples"), before, "a name stands for what the file says");
    sandbox.ok(&["apply", "toy.toml"]);
    assert_eq!(sandbox.digest("b", "samples"), before, "the edit is taken back");
    sandbox.write("toy.toml", &CHAIN.replace("join.b", "join.renamed").replace("b.samples", "renamed.samples"));
    sandbox.ok(&["apply", "toy.toml"]);
    assert_eq!(sandbox.digest("renamed", "samples"), before);
}
