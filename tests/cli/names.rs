//! What a name stands for: the stage in a workflow's current file, whatever ran last, and whatever clock or history
//! say.

use super::support::{CHAIN, Sandbox};

const ONE: &str = "[write.a]\ntext = \"one\"\n";

/// Returns a sandbox with two results of one stage, and a file that describes the first.
fn taken_back() -> Sandbox {
    let sandbox = Sandbox::new(ONE);
    sandbox.ok(&["apply", "toy.toml"]);
    sandbox.write("toy.toml", &ONE.replace("one", "two"));
    sandbox.ok(&["apply", "toy.toml"]);
    sandbox.write("toy.toml", ONE);
    sandbox
}

fn exported(sandbox: &Sandbox, more: &[&str]) -> String {
    sandbox.ok(&[&["export", "a.samples", "out"], more].concat());
    let text = fs_err::read_to_string(sandbox.root().join("out/samples.jsonl")).unwrap();
    fs_err::remove_dir_all(sandbox.root().join("out")).unwrap();
    text
}

fn forget_runs(sandbox: &Sandbox) {
    fs_err::remove_dir_all(sandbox.root().join(".r1flow/runs")).unwrap();
}

#[test]
fn an_edit_that_is_taken_back_counts_before_it_is_applied() {
    let sandbox = taken_back();
    assert_eq!(exported(&sandbox, &[]), "one");
    assert_eq!(sandbox.json(&["show", "a"])["record"]["summary"]["bytes"], 3);
    assert!(sandbox.ok(&["show", "a.samples"]).ends_with("\none\n"));
    let told = sandbox.ok(&["explain", "a"]);
    assert!(told.contains("\"text\": \"one\"") && told.trim_end().ends_with("`text` \"two\" → \"one\""), "{told}");
}

#[test]
fn nor_does_it_matter_that_the_history_is_gone() {
    let sandbox = taken_back();
    sandbox.ok(&["apply", "toy.toml"]);
    forget_runs(&sandbox);
    assert_eq!(exported(&sandbox, &[]), "one");
    let told = sandbox.ok(&["explain", "a"]);
    assert!(told.trim_end().ends_with("`text` \"two\" → \"one\""), "the journal has an order of its own: {told}");
    assert_eq!(sandbox.ok(&["log", "a"]), "");
    assert_eq!(sandbox.ok(&["status"]), "no run is on record any more; 2 results are in the store\n");
    assert_eq!(sandbox.json(&["status"])["run"], serde_json::Value::Null);
    sandbox.ok(&["status", "--all"]);
}

#[test]
fn a_clock_that_goes_back_changes_no_order() {
    let sandbox = Sandbox::new(ONE);
    sandbox.ok(&["apply", "toy.toml"]);
    // Renames the run as if the machine's clock had been a thousand years ahead.
    let runs = sandbox.root().join(".r1flow/runs");
    let first = fs_err::read_dir(&runs).unwrap().next().unwrap().unwrap();
    let name = first.file_name().into_string().unwrap();
    assert!(name.starts_with("000001-2"), "{name}");
    fs_err::rename(first.path(), runs.join(name.replace("000001-2", "000001-3"))).unwrap();
    sandbox.write("toy.toml", &ONE.replace("one", "two"));
    assert_eq!(sandbox.run(&["apply", "toy.toml", "--set", "a.fail=true"]).code, Some(1));
    assert_eq!(sandbox.json(&["status"])["run"]["state"], "failed");
    assert_eq!(sandbox.ok(&["log", "a"]), "`fail` is set\n");
    let number = sandbox.json(&["status", "2"])["run"]["run"].as_str().unwrap().to_owned();
    assert!(number.starts_with("000002-2"), "{number}");
}

#[test]
fn what_is_not_fresh_is_refused_with_what_to_type() {
    let sandbox = Sandbox::new(CHAIN);
    sandbox.ok(&["apply", "toy.toml", "--set", "c.steps=6"]);
    for command in
        [&["show", "c"][..], &["show", "c.model"], &["export", "c.model", "out"], &["log", "c"], &["explain", "c"]]
    {
        let refused = sandbox.run(command);
        assert_eq!(refused.code, Some(2), "{refused}");
        for part in ["`c` of `toy.toml` is not fresh", "toy.toml --set c.steps=6  `steps` 4 → 6"] {
            assert!(refused.stderr.contains(part), "no `{part}` in {refused}");
        }
        // The suggested command works.
        let typed: Vec<&str> = refused.stderr.split('`').filter(|part| part.starts_with("r1flow ")).collect();
        let again: Vec<&str> = typed[0].split(' ').skip(1).collect();
        assert!(again.starts_with(command) && again.contains(&"c.steps=6"), "{typed:?}");
        sandbox.ok(&again);
        if command[0] != "export" {
            sandbox.ok(&typed[2].split(' ').skip(1).collect::<Vec<_>>());
        }
    }
    let told = sandbox.json(&["show", "c", "--set", "c.steps=6"]);
    assert_eq!((&told["record"]["steps"], &told["record"]["source"]["sets"][0]), (&6.into(), &"c.steps=6".into()));
    forget_runs(&sandbox);
    assert!(
        sandbox.run(&["show", "c"]).stderr.contains("--workflow toy.toml --set c.steps=6"),
        "the record knows, too"
    );
}

#[test]
fn of_several_workflows_one_must_be_named() {
    let sandbox = Sandbox::new(ONE);
    sandbox.ok(&["apply", "toy.toml"]);
    sandbox.write("other.toml", ONE);
    sandbox.ok(&["apply", "other.toml"]);
    assert_eq!(exported(&sandbox, &[]), "one", "they mean the same");
    sandbox.write("other.toml", &ONE.replace("one", "two"));
    sandbox.ok(&["apply", "other.toml"]);
    insta::assert_snapshot!(sandbox.run(&["export", "a.samples", "out"]), @r"
    exit code 2
    ── stderr
    error: `a` belongs to `other.toml`, `toy.toml`
    help: say which: `r1flow export a.samples out --workflow other.toml`, `r1flow export a.samples out --workflow toy.toml`
    ");
    assert_eq!(exported(&sandbox, &["--workflow", "other.toml"]), "two");
    assert_eq!(exported(&sandbox, &["--workflow", "toy.toml"]), "one");
    // A workflow that is gone does not count; one with mistakes may have the stage.
    fs_err::remove_file(sandbox.root().join("other.toml")).unwrap();
    assert_eq!(exported(&sandbox, &[]), "one");
    sandbox.write("toy.toml", "[[");
    let unclear = sandbox.run(&["show", "a"]);
    assert!(unclear.code == Some(2) && unclear.stderr.contains("`r1flow check toy.toml` shows them"), "{unclear}");
    fs_err::remove_file(sandbox.root().join("toy.toml")).unwrap();
    let gone = sandbox.run(&["show", "a"]);
    for part in ["`toy.toml` is not there any more", "b3:", "--workflow FILE", "r1flow show b3:"] {
        assert!(gone.code == Some(2) && gone.stderr.contains(part), "no `{part}` in {gone}");
    }
}

#[test]
fn a_result_has_a_name_of_its_own() {
    let sandbox = taken_back();
    let first = sandbox.json(&["show", "a"])["record"]["fingerprint"].as_str().unwrap().to_owned();
    let short = &first[..15];
    assert_eq!(sandbox.json(&["show", short])["record"]["fingerprint"], first.as_str());
    sandbox.write("toy.toml", &ONE.replace("one", "three"));
    assert!(sandbox.ok(&["show", &format!("{short}.samples")]).ends_with("\none\n"));
    assert!(sandbox.ok(&["explain", short]).contains("\"text\": \"one\""));
    let digest = sandbox.json(&["show", short])["record"]["outputs"]["samples"]["digest"].clone();
    assert!(sandbox.ok(&["show", &digest.as_str().unwrap()[..15]]).ends_with("\none\n"));
    for unknown in ["b3:0000", "b3:x", "b3:"] {
        assert_eq!(sandbox.run(&["show", unknown]).code, Some(2), "{unknown}");
    }
}

#[test]
fn a_stage_without_a_result_shows_how_far_it_came() {
    let sandbox = Sandbox::new(CHAIN);
    assert_eq!(sandbox.run(&["apply", "toy.toml", "--set", "a.fail=true"]).code, Some(1));
    insta::assert_snapshot!(sandbox.run(&["show", "a"]), @r"
    exit code 0
    ── stdout
    a (write), failed in run [RUN] of workflow toy with `--set a.fail=true`
      `fail` is set
    ");
    assert_eq!(sandbox.json(&["show", "a"])["unfinished"]["stage"]["state"], "failed");
    assert!(sandbox.ok(&["explain", "a"]).starts_with("a has no result yet; it will be decided by\n{"));
    let refused = sandbox.run(&["export", "a.samples", "out"]);
    assert!(refused.code == Some(2) && refused.stderr.contains("`r1flow apply toy.toml` makes it"), "{refused}");
}
