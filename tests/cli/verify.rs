//! `r1flow verify`: stored bytes, and stages that are run again.

use std::os::unix::fs::PermissionsExt;

use super::support::{CHAIN, Sandbox};

#[test]
fn stages_are_run_again_and_compared() {
    let sandbox = Sandbox::new(&format!("{CHAIN}[draw.rows]\ndata = [\"a.samples\"]\n"));
    sandbox.ok(&["apply", "toy.toml", "--until", "c", "--until", "rows"]);
    let told = sandbox.json(&["verify", "toy.toml", "--rerun"]);
    let found: Vec<_> = told
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["stage"].as_str().unwrap(), row["from"].as_u64().unwrap(), row["outcome"].as_str().unwrap()))
        .collect();
    // A count of four steps goes on from its third; nothing of it is kept.
    assert_eq!(
        found,
        [("a", 0, "same"), ("b", 0, "same"), ("c", 3, "same"), ("other", 0, "not-fresh"), ("rows", 0, "same")]
    );
    assert!(sandbox.ok(&["plan", "toy.toml"]).contains("dirty  other"), "it makes nothing");
}

#[test]
fn what_does_not_repeat_is_found() {
    let sandbox = Sandbox::new(&CHAIN.replace("[count.c]", "[count.c]\nunsteady = true"));
    sandbox.ok(&["apply", "toy.toml"]);
    let before = sandbox.digest("c", "model");
    let told = sandbox.run(&["verify", "toy.toml", "--rerun", "c"]);
    assert_eq!(told.code, Some(1), "{told}");
    assert!(told.stdout.starts_with("differs c.model from step 3: was "), "{told}");
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
    // Altered with length and mode as they were: only reading tells.
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
