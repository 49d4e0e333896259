//! `r1flow plan`: what would run, and why, before, after and between applies.

use serde_json::json;

use super::support::{CHAIN, Sandbox};

fn applied() -> Sandbox {
    let sandbox = Sandbox::new(CHAIN);
    sandbox.ok(&["apply", "toy.toml"]);
    sandbox
}

#[test]
fn before_anything_ran() {
    insta::assert_snapshot!(Sandbox::new(CHAIN).run(&["plan", "toy.toml"]), @r"
    exit code 0
    ── stdout
    dirty  a      has not run yet
    dirty  b      has not run yet, after `a`
    dirty  c      has not run yet, after `b`
    dirty  other  has not run yet
    toy: 4 to run, 0 only if what they need changes; time unknown
    ");
}

#[test]
fn after_an_apply_everything_is_fresh() {
    insta::assert_snapshot!(applied().run(&["plan", "toy.toml"]), @r"
    exit code 0
    ── stdout
    fresh  a  b  c  other
    toy: everything is fresh, nothing would run
    ");
}

#[test]
fn an_edit_says_what_changed_and_what_may_follow() {
    let sandbox = applied();
    insta::assert_snapshot!(sandbox.run(&["plan", "toy.toml", "--set", "a.text=bye"]), @r#"
    exit code 0
    ── stdout
    fresh  other
    dirty  a      `text` "hello" → "bye"  ~[TIME]
    maybe  b      after `a`  ~[TIME]
    maybe  c      after `b`  ~[TIME]
    toy: 1 to run, 2 only if what they need changes; at most [TIME] of work by the last run's times
    "#);
    let neutral = sandbox.ok(&["plan", "toy.toml", "--set", "a.loudness=9"]);
    assert!(neutral.contains("everything is fresh"), "{neutral}");
}

#[test]
fn more_steps_extend() {
    insta::assert_snapshot!(applied().run(&["plan", "toy.toml", "--set", "c.steps=6"]), @r"
    exit code 0
    ── stdout
    fresh  a  b  other
    extend c      continues from step 4 of 6, `steps` 4 → 6  ~[TIME]
    toy: 1 to run, 0 only if what they need changes; at most [TIME] of work by the last run's times
    ");
}

#[test]
fn outputs_that_are_gone() {
    let sandbox = applied();
    fs_err::remove_dir_all(sandbox.root().join(".r1flow/objects")).unwrap();
    insta::assert_snapshot!(sandbox.run(&["plan", "toy.toml"]), @r"
    exit code 0
    ── stdout
    dirty  a      its outputs are gone  ~[TIME]
    maybe  b      after `a`  ~[TIME]
    maybe  c      after `b`  ~[TIME]
    dirty  other  its outputs are gone  ~[TIME]
    toy: 2 to run, 2 only if what they need changes; at most [TIME] of work by the last run's times
    ");
}

#[test]
fn as_json() {
    let sandbox = applied();
    let plan = sandbox.json(&["plan", "toy.toml", "--set", "a.text=bye", "--set", "c.steps=6"]);
    let rows = plan["rows"].as_array().unwrap();
    let found: Vec<_> = rows.iter().map(|row| (row["stage"].as_str().unwrap(), &row["status"])).collect();
    let (dirty, maybe, fresh) = (json!("dirty"), json!("maybe"), json!("fresh"));
    assert_eq!(found, [("a", &dirty), ("b", &maybe), ("c", &dirty), ("other", &fresh)]);
    assert_eq!(rows[0]["reasons"], json!([{ "reason": "changed", "key": "text", "old": "hello", "new": "bye" }]));
    let extended = sandbox.json(&["plan", "toy.toml", "--set", "c.steps=6"]);
    assert_eq!(extended["rows"][2]["status"], json!({ "extend": { "from": 4, "to": 6 } }));
}

#[test]
fn verbosely_with_every_value_and_its_origin() {
    let sandbox = Sandbox::new("[defaults]\nwrite = { text = \"hi\" }\n[write.a]\nlower = true\n");
    insta::assert_snapshot!(sandbox.run(&["plan", "toy.toml", "-v", "--set", "a.loudness=2"]), @r#"
    exit code 0
    ── stdout
    dirty  a  has not run yet
    toy: 1 to run, 0 only if what they need changes; time unknown

    [write.a]
      text = "hi"  # [defaults]
      lower = true  # stage
      loudness = 2  # --set
      fail = false  # default of the kind
    "#);
}
