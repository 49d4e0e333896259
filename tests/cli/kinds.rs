//! What the program reports about worker and machine: `kinds`, `schema`, `doctor`.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;

use super::support::{CHAIN, Sandbox};

#[test]
fn the_kinds_of_the_worker() {
    let sandbox = Sandbox::new(CHAIN);
    insta::assert_snapshot!(sandbox.run(&["kinds"]), @r"
    exit code 0
    ── stdout
    kind   outputs
    count  model    Counts.
    draw   samples  Draws a number for each line.
    join   samples  Joins texts.
    write  samples  Writes a text.
    ");
    let kinds = sandbox.json(&["kinds"]);
    let names: Vec<_> = kinds.as_array().unwrap().iter().map(|kind| kind["kind"].as_str().unwrap()).collect();
    assert_eq!(names, ["count", "draw", "join", "write"]);
}

#[test]
fn the_keys_of_a_kind() {
    let sandbox = Sandbox::new(CHAIN);
    insta::assert_snapshot!(sandbox.run(&["kinds", "count"]), @"
    exit code 0
    ── stdout
    count: Counts.

    key               takes, default, role; meaning
    data              a list of samples, required, result
                      What to mix into the count.
    checkpoint-steps  a whole number, 1, neutral
                      Steps between two checkpoints.
    crash-once        a table, none, neutral
                      Ends the process without a word after this step, unless a file of this name exists, which it makes.
    crash-once.at     a whole number, required, result
                      After this step.
    crash-once.file   text, required, result
                      Tells that it has happened.
    hang-at           a whole number, none, neutral
                      Does nothing any more after this step, and does not stop either.
    later             a table, none, result
                      Added to the salt from a step on.
    later.from-step   a whole number, required, result
                      Updates done before it begins.
    later.salt        a whole number, required, result
                      How much.
    salt              a whole number, 0, result
                      Mixed into every step.
    sleeper           text, none, neutral
                      Starts a process that sleeps for an hour, and writes its number to this file.
    steps             a whole number, 4, extent
                      How far to count.
    unsteady          true or false, false, result
                      Takes another value each time: what a stage must never do.
    wait              a whole number, 0, neutral
                      Milliseconds to wait at each step.
    ");
    assert_eq!(sandbox.json(&["kinds", "count"])["outputs"]["model"], "model");
    insta::assert_snapshot!(sandbox.run(&["kinds", "cont"]), @r"
    exit code 2
    ── stderr
    error: there is no kind `cont`: did you mean `count`?
    ");
}

#[test]
fn the_reference_of_kinds() {
    let reference = Sandbox::new(CHAIN).ok(&["kinds", "--markdown"]);
    let join = &reference[reference.find("## join").unwrap()..reference.find("## write").unwrap()];
    insta::assert_snapshot!(join, @r#"
    ## join

    Joins texts.
    Outputs: `samples` (samples). Version 1.

    | key | takes | default | role | |
    |---|---|---|---|---|
    | `data` | a list of samples | `required` | result | What to join. |
    | `lower` | true or false | `false` | result | Writes in lower case, so that several texts come out equal. |
    | `separator` | text | `""` | result | Stands between two texts. |
    "#);
}

#[test]
fn answers_of_the_worker_are_remembered_outside_the_store() {
    let sandbox = Sandbox::new(CHAIN);
    sandbox.ok(&["kinds"]);
    assert_eq!(fs_err::read_dir(sandbox.root().join("cache/r1flow")).unwrap().count(), 1);
    assert!(!sandbox.root().join(".r1flow").exists());
}

#[test]
fn a_spoilt_answer_is_asked_for_again() {
    let sandbox = Sandbox::new(CHAIN);
    let right = sandbox.ok(&["kinds", "join", "--json"]);
    let cache = sandbox.root().join("cache/r1flow");
    let file = fs_err::read_dir(&cache).unwrap().next().unwrap().unwrap().path();
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&cache), mode(&file)), (0o700, 0o600));
    let text = fs_err::read_to_string(&file).unwrap();
    // One flipped bit: another number, and still valid JSON.
    let spoilt = text.replacen("\"version\":1", "\"version\":3", 1);
    assert_ne!(spoilt, text);
    for spoilt in [spoilt.as_bytes(), b"{}", b"", &text.as_bytes()[..text.len() - 1]] {
        fs_err::write(&file, spoilt).unwrap();
        assert_eq!(sandbox.ok(&["kinds", "join", "--json"]), right);
        assert_eq!(fs_err::read_to_string(&file).unwrap(), text);
    }
    // A folder that others can write to is neither read nor written.
    fs_err::write(&file, "theirs").unwrap();
    fs_err::set_permissions(&cache, Permissions::from_mode(0o777)).unwrap();
    let output = sandbox.run(&["kinds", "join", "--json"]);
    assert_eq!((output.code, output.stdout), (Some(0), right));
    assert!(output.stderr.contains("can be written by other users and is not used"), "{}", output.stderr);
    assert_eq!(fs_err::read_to_string(&file).unwrap(), "theirs");
}

#[test]
fn the_schema_knows_every_kind_and_is_kept_up_to_date() {
    let sandbox = Sandbox::new(CHAIN);
    let schema: Value = serde_json::from_str(&sandbox.ok(&["schema"])).unwrap();
    for kind in ["write", "join", "count", "inputs", "defaults", "run"] {
        assert!(schema["properties"].get(kind).is_some(), "no `{kind}`");
    }
    let write = ["schema", "--write", "schema.json", "--reference", "kinds.md"];
    let check = [&write[..], &["--check"]].concat();
    insta::assert_snapshot!(sandbox.run(&check), @r"
    exit code 2
    ── stderr
    error: `schema.json` is out of date
    help: run `make generate`
    error: `kinds.md` is out of date
    help: run `make generate`
    ");
    insta::assert_snapshot!(sandbox.run(&write), @r"
    exit code 0
    ── stderr
    wrote schema.json
    wrote kinds.md
    ");
    insta::assert_snapshot!(sandbox.run(&check), @"exit code 0");
    assert_eq!(fs_err::read_to_string(sandbox.root().join("schema.json")).unwrap(), sandbox.ok(&["schema"]));
    sandbox.write("kinds.md", "old");
    insta::assert_snapshot!(sandbox.run(&check), @r"
    exit code 2
    ── stderr
    error: `kinds.md` is out of date
    help: run `make generate`
    ");
}

fn doctor(sandbox: &Sandbox, arguments: &[&str]) -> (Option<i32>, Value) {
    let output = sandbox.run(&[&["doctor", "--json"], arguments].concat());
    (output.code, serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output}")))
}

#[test]
fn doctor_tells_what_is_there() {
    let sandbox = Sandbox::new(CHAIN);
    let (code, before) = doctor(&sandbox, &[]);
    let findings = before.as_object().unwrap();
    let names: Vec<_> = findings.keys().collect();
    assert_eq!(names, ["worker", "libtorch", "cuda", "memory", "pools", "programs", "disk", "store", "hub"]);
    for (name, finding) in findings {
        let is_well = finding["ok"].as_bool().unwrap();
        assert!(finding["found"].is_string() && finding["help"].is_string() != is_well, "{name}: {finding}");
    }
    // The disk may be full; nothing else can be missing here.
    assert_eq!(code, Some(if before["disk"]["ok"] == true { 0 } else { 2 }));
    assert!(before["worker"]["found"].as_str().unwrap().ends_with("toy_worker, 4 kinds"));
    assert_eq!(before["libtorch"]["found"], "this worker does without");
    assert_eq!(before["programs"]["found"], "answers with programs cannot be checked here: this worker runs none");
    assert_eq!(before["store"]["found"], "none at `.r1flow` yet; `apply` makes one");
    sandbox.ok(&["apply", "toy.toml"]);
    assert_eq!(doctor(&sandbox, &[]).1["store"]["found"], "[DIR]/.r1flow, 4 records");
}

#[test]
fn doctor_tells_what_is_missing_and_what_to_do() {
    let sandbox = Sandbox::new(CHAIN);
    let (code, found) = doctor(&sandbox, &["--worker", "nowhere"]);
    assert_eq!((code, &found["worker"]["ok"]), (Some(2), &false.into()));
    assert_eq!(found["worker"]["help"], "`./r1flow` builds it");
    let text = sandbox.run(&["doctor", "--worker", "nowhere"]);
    assert!(text.code == Some(2) && text.stdout.starts_with("miss worker "), "{text}");
}
