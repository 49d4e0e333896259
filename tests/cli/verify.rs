//! `r1flow verify`: stored bytes, and segments that are run again.

use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use super::support::{CHAIN, Sandbox};

/// Returns what `verify --rerun` reports for each segment: stage, from, to, outcome.
fn rerun(sandbox: &Sandbox, options: &[&str]) -> Vec<(String, u64, Option<u64>, String)> {
    let told = sandbox.json(&[&["verify", "toy.toml", "--rerun"], options].concat());
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let row =
        |row: &Value| (text(&row["stage"]), row["from"].as_u64().unwrap(), row["to"].as_u64(), text(&row["outcome"]));
    told.as_array().unwrap().iter().map(row).collect()
}

#[test]
fn segments_are_run_again_and_compared() {
    let sandbox = Sandbox::new(&format!("{CHAIN}[draw.rows]\ndata = [\"a.samples\"]\n"));
    sandbox.ok(&["apply", "toy.toml", "--until", "c", "--until", "rows"]);
    let found = rerun(&sandbox, &["--segments", "9"]);
    let row = |stage: &str, from, to, outcome: &str| (stage.to_owned(), from, to, outcome.to_owned());
    // Of its four steps the count keeps the digests of the first and the last two, and the checkpoints of the last two.
    let all = [
        row("a", 0, None, "same"),
        row("b", 0, None, "same"),
        row("c", 0, Some(1), "same"),
        row("c", 3, None, "same"),
        row("other", 0, None, "not-fresh"),
        row("rows", 0, None, "same"),
    ];
    assert_eq!(found, all);
    assert!(sandbox.ok(&["plan", "toy.toml"]).contains("dirty  other"), "it makes nothing");

    // One of the two segments unless more are wanted: the same one for the same seed, and each one for some seed.
    let drawn = |seed: u64| rerun(&sandbox, &["c", "--seed", &seed.to_string()]);
    let seeds: Vec<_> = (0..8).map(drawn).collect();
    assert!(seeds.iter().all(|drawn| drawn.len() == 1) && drawn(0) == seeds[0], "{seeds:?}");
    assert!(all[2..4].iter().all(|row| seeds.iter().any(|drawn| drawn[0] == *row)), "{seeds:?}");
}

#[test]
fn more_checkpoints_make_more_segments() {
    let sandbox = Sandbox::new(&CHAIN.replace("[count.c]", "[count.c]\nrun = { keep-checkpoints = 3 }"));
    sandbox.ok(&["apply", "toy.toml", "--until", "c"]);
    let found = rerun(&sandbox, &["c", "--segments", "9"]);
    let steps: Vec<_> = found.iter().map(|(_, from, to, outcome)| (*from, *to, outcome.as_str())).collect();
    assert_eq!(steps, [(0, Some(1), "same"), (2, Some(3), "same"), (3, None, "same")]);
}

#[test]
fn what_does_not_repeat_is_found() {
    let sandbox = Sandbox::new(&CHAIN.replace("[count.c]", "[count.c]\nunsteady = true"));
    sandbox.ok(&["apply", "toy.toml"]);
    let before = sandbox.digest("c", "model");
    let told = sandbox.run(&["verify", "toy.toml", "--rerun", "c", "--segments", "2"]);
    assert_eq!(told.code, Some(1), "{told}");
    let lines: Vec<&str> = told.stdout.lines().collect();
    assert!(lines[0].starts_with("differs c.checkpoint from step 0 to 1: was "), "{told}");
    assert!(lines[1].starts_with("differs c.model from step 3: was "), "{told}");
    assert_eq!(sandbox.digest("c", "model"), before, "what is on record stays");
    sandbox.ok(&["verify", "toy.toml", "--rerun", "a", "b"]);
}

#[test]
fn every_byte_is_read() {
    let sandbox = Sandbox::new(CHAIN);
    let nothing = sandbox.run(&["verify", "toy.toml"]);
    assert!(nothing.code == Some(2), "{nothing}");
    sandbox.ok(&["apply", "toy.toml"]);
    assert_eq!(sandbox.ok(&["verify", "toy.toml"]), "4 outputs, 55 B, 0 damaged\n");
    // Altered with the same length and mode: only reading the bytes finds it.
    let digest = &sandbox.json(&["show", "other"])["record"]["outputs"]["samples"]["members"][0]["digest"];
    let hex = digest.as_str().unwrap().strip_prefix("b3:").unwrap().to_owned();
    let object = sandbox.root().join(".r1flow/objects").join(&hex[..2]).join(&hex[2..]);
    fs_err::set_permissions(&object, std::fs::Permissions::from_mode(0o644)).unwrap();
    fs_err::write(&object, "Other").unwrap();
    fs_err::set_permissions(&object, std::fs::Permissions::from_mode(0o444)).unwrap();
    assert!(sandbox.ok(&["plan", "toy.toml"]).contains("everything is fresh"));
    let told = sandbox.run(&["verify", "toy.toml"]);
    assert!(told.code == Some(1) && told.stdout.starts_with("damaged other.samples: "), "{told}");
    assert!(sandbox.ok(&["plan", "toy.toml"]).contains("dirty  other  its outputs are gone"));
}
