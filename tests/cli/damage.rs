//! Missing or damaged files in a store: every command that looks reports them, and shows the rest.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::support::{CHAIN, Output, Sandbox};

fn applied() -> Sandbox {
    let sandbox = Sandbox::new(CHAIN);
    sandbox.ok(&["apply", "toy.toml"]);
    sandbox
}

/// The folder of the only run.
fn run(sandbox: &Sandbox) -> PathBuf {
    fs_err::read_dir(sandbox.root().join(".r1flow/runs")).unwrap().next().unwrap().unwrap().path()
}

fn object(sandbox: &Sandbox, digest: &str) -> PathBuf {
    let hex = digest.strip_prefix("b3:").unwrap();
    sandbox.root().join(".r1flow/objects").join(&hex[..2]).join(&hex[2..])
}

/// Overwrites a file of the store, which is read-only.
fn spoil(path: &Path, bytes: &[u8]) {
    fs_err::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    fs_err::write(path, bytes).unwrap();
}

/// A way to damage the file or folder at a path, with a description.
type Way<'a> = (&'a str, &'a dyn Fn(&Path));

const LOOKS: [&[&str]; 9] = [
    &["show", "c"],
    &["show", "c", "--json"],
    &["show", "c.model"],
    &["log", "c"],
    &["explain", "c"],
    &["status"],
    &["status", "--all"],
    &["scores", "toy.toml", "--json"],
    &["plan", "toy.toml"],
];

/// Runs all looks, which must succeed, and returns their outputs.
fn look(sandbox: &Sandbox, what: &str) -> Vec<Output> {
    let looked = LOOKS.map(|arguments| {
        let output = sandbox.run(arguments);
        assert_eq!(output.code, Some(0), "{what}, {arguments:?}: {output}");
        output
    });
    assert!(looked[0].stdout.contains("fingerprint"), "{what}: {}", looked[0]);
    looked.into()
}

#[test]
fn a_history_that_is_gone_or_none() {
    let whole = run(&applied());
    let name = whole.file_name().unwrap();
    let ways: [Way; 6] = [
        ("no events", &|run| fs_err::remove_file(run.join("events.jsonl")).unwrap()),
        ("no stages", &|run| fs_err::remove_dir_all(run.join("stages")).unwrap()),
        ("an empty folder", &|run| {
            fs_err::remove_dir_all(run).unwrap();
            fs_err::create_dir(run).unwrap();
        }),
        ("a plain file", &|run| {
            fs_err::remove_dir_all(run).unwrap();
            fs_err::write(run, b"\xff").unwrap();
        }),
        ("bytes", &|run| fs_err::write(run.join("events.jsonl"), [0xff, 0xfe, b'\n', 0, b'{']).unwrap()),
        ("a folder", &|run| {
            fs_err::remove_file(run.join("events.jsonl")).unwrap();
            fs_err::create_dir(run.join("events.jsonl")).unwrap();
        }),
    ];
    for (what, spoil) in ways {
        let sandbox = applied();
        spoil(&run(&sandbox));
        let told = look(&sandbox, what);
        if what != "no stages" {
            assert!(told[5].stderr.contains("the history of"), "{what}: {}", told[5]);
        }
        // The next run is on record again.
        sandbox.ok(&["apply", "toy.toml"]);
        assert_eq!(sandbox.json(&["status"])["run"]["state"], "done", "{what}");
    }
    assert!(name.to_str().unwrap().starts_with("000001-"));
}

#[test]
fn runs_that_are_gone() {
    let ways: [Way; 3] = [
        ("no folder", &|runs| fs_err::remove_dir_all(runs).unwrap()),
        ("an empty one", &|runs| {
            fs_err::remove_dir_all(runs).unwrap();
            fs_err::create_dir(runs).unwrap();
        }),
        ("other files", &|runs| {
            fs_err::remove_dir_all(runs).unwrap();
            fs_err::create_dir(runs).unwrap();
            fs_err::write(runs.join(".DS_Store"), b"x").unwrap();
        }),
    ];
    for (what, spoil) in ways {
        let sandbox = applied();
        spoil(&sandbox.root().join(".r1flow/runs"));
        look(&sandbox, what);
        sandbox.ok(&["apply", "toy.toml"]);
        assert_eq!(sandbox.json(&["status"])["run"]["state"], "done", "{what}");
    }
}

#[test]
fn a_line_of_a_history_that_is_torn_or_altered() {
    let sandbox = applied();
    let events = run(&sandbox).join("events.jsonl");
    let whole = fs_err::read_to_string(&events).unwrap();
    let line = whole.lines().find(|line| line.contains("\"done\"") && line.contains("\"c\"")).unwrap();
    for spoilt in [&line[..line.len() - 9], &line.replace("\"seconds\":", "\"seconds\":1"), "{}"] {
        fs_err::write(&events, whole.replace(line, spoilt)).unwrap();
        let told = look(&sandbox, spoilt);
        assert!(told[5].stderr.contains("1 line of the history of [RUN] is torn, altered"), "{}", told[5]);
        assert!(told[5].stdout.contains("other  done"), "{}", told[5]);
    }
}

#[test]
fn a_curve_or_a_log_that_is_spoilt_or_gone() {
    let sandbox = applied();
    let digest = sandbox.json(&["show", "c"])["record"]["metrics"].as_str().unwrap().to_owned();
    spoil(&object(&sandbox, &digest), b"{\"step\":1,\"metrics\":{\"loss\":9}}\n");
    let shown = sandbox.run(&["show", "c"]);
    assert!(shown.code == Some(0) && shown.stderr.contains("the curve cannot be shown"), "{shown}");
    assert!(shown.stdout.contains("model   model  40 B"), "{shown}");
    // The damaged curve has been moved aside, so now it is missing.
    look(&sandbox, "no curve");
    assert_eq!(sandbox.json(&["show", "c"])["curve"], serde_json::json!([]));
    // The log in the run's folder is removed; the store never had a copy.
    fs_err::remove_file(run(&sandbox).join("stages/c.log")).unwrap();
    look(&sandbox, "no log");

    assert_eq!(sandbox.run(&["apply", "toy.toml", "--set", "a.fail=true"]).code, Some(1));
    let newest = sandbox.root().join(".r1flow/runs").join(sandbox.json(&["status"])["run"]["run"].as_str().unwrap());
    fs_err::remove_file(newest.join("events.jsonl")).unwrap();
    let failing = "[write.sad]\nfail = true\n";
    sandbox.write("sad.toml", failing);
    assert_eq!(sandbox.run(&["apply", "sad.toml"]).code, Some(1));
    let newest = sandbox.root().join(".r1flow/runs").join(sandbox.json(&["status"])["run"]["run"].as_str().unwrap());
    fs_err::remove_file(newest.join("events.jsonl")).unwrap();
    let log = sandbox.run(&["log", "sad"]);
    assert_eq!((log.code, log.stdout.as_str()), (Some(0), "`fail` is set\n"), "{log}");
    assert!(log.stderr.contains("is gone"), "{log}");
}

#[test]
fn a_member_of_an_output_that_is_spoilt() {
    let sandbox = applied();
    let members = sandbox.json(&["show", "c.model"])["members"].clone();
    // With the same length and mode: only reading the bytes finds the damage.
    let path = object(&sandbox, members[0]["digest"].as_str().unwrap());
    spoil(&path, &[b'x'; 40]);
    fs_err::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o444)).unwrap();
    let shown = sandbox.run(&["show", "c.model"]);
    assert!(shown.code == Some(0) && shown.stderr.contains("`config.json` cannot be shown"), "{shown}");
}

#[test]
fn a_run_that_is_refused_leaves_no_trace() {
    let sandbox = applied();
    assert_eq!(sandbox.run(&["apply", "toy.toml", "--only", "nothing"]).code, Some(2));
    assert_eq!(fs_err::read_dir(sandbox.root().join(".r1flow/runs")).unwrap().count(), 1);
    assert_eq!(sandbox.json(&["status"])["run"]["state"], "done");
}

/// Damages the files of a checkpoint without changing their length or mode.
fn spoil_tree(sandbox: &Sandbox, checkpoint: &Path) {
    let digest_in = |value: &Value| value["digest"].as_str().unwrap().to_owned();
    let read = |path: &Path| -> Value { serde_json::from_slice(&fs_err::read(path).unwrap()).unwrap() };
    let tree = read(&object(sandbox, &digest_in(&read(checkpoint)["tree"])));
    for member in tree["members"].as_array().unwrap() {
        let path = object(sandbox, &digest_in(member));
        let mut bytes = fs_err::read(&path).unwrap();
        bytes[0] ^= 1;
        spoil(&path, &bytes);
        fs_err::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o444)).unwrap();
    }
}

#[test]
fn a_damaged_checkpoint_costs_steps_and_not_the_stage() {
    let extended = ["apply", "toy.toml", "--set", "c.steps=8", "--until", "c"];
    let unbroken = Sandbox::new(CHAIN);
    unbroken.ok(&extended);
    let of_extended = ["--set", "c.steps=8"];
    // Damages the newest of the kept checkpoints, then all of them.
    for (damaged, from) in [(1, Some(3)), (usize::MAX, None)] {
        let sandbox = applied();
        let mut checkpoints = files(&sandbox.root().join(".r1flow/checkpoints"), ".json");
        checkpoints.sort();
        for checkpoint in checkpoints.iter().rev().take(damaged) {
            spoil_tree(&sandbox, checkpoint);
        }
        let output = sandbox.run(&[&extended[..], &["--json"]].concat());
        assert_eq!(output.code, Some(0), "{output}");
        assert!(output.stderr.contains("the checkpoint of step 4 is lost"), "{output}");
        let mut started = output.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let started = started.rfind(|event| event["event"] == "started").unwrap();
        assert_eq!(started["resumed_from"].as_u64(), from, "{output}");
        assert_eq!(sandbox.digest_with("c", "model", &of_extended), unbroken.digest_with("c", "model", &of_extended));
    }
}

/// Returns the files below a folder whose names end with `end`.
fn files(folder: &Path, end: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs_err::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, end));
        } else if path.to_string_lossy().ends_with(end) {
            found.push(path);
        }
    }
    found
}
