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
    dirty  a      has not run yet  [cost unknown]
    dirty  b      has not run yet, after `a`  [cost unknown]
    dirty  c      has not run yet, after `b`  [cost unknown]
    dirty  other  has not run yet  [cost unknown]
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
    dirty  a      `text` "hello" → "bye"  [~[TIME], 5 B, by its last run, other keys]
    maybe  b      after `a`  [~[TIME], 5 B, by its last run]
    maybe  c      after `b`  [~[TIME], 40 B, by its last run]
    toy: 1 to run, 2 only if what they need changes; at most [TIME] of work by earlier runs; 50 B to write
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
    extend c      continues from step 4 of 6, `steps` 4 → 6  [~[TIME], 40 B, by its last run, other keys]
    toy: 1 to run, 0 only if what they need changes; at most [TIME] of work by earlier runs; 40 B to write
    ");
}

#[test]
fn outputs_that_are_gone() {
    let sandbox = applied();
    fs_err::remove_dir_all(sandbox.root().join(".r1flow/objects")).unwrap();
    insta::assert_snapshot!(sandbox.run(&["plan", "toy.toml"]), @r"
    exit code 0
    ── stdout
    dirty  a      its outputs are gone  [~[TIME], 5 B, by its last run]
    maybe  b      after `a`  [~[TIME], 5 B, by its last run]
    maybe  c      after `b`  [~[TIME], 40 B, by its last run]
    dirty  other  its outputs are gone  [~[TIME], 5 B, by its last run]
    toy: 2 to run, 2 only if what they need changes; at most [TIME] of work by earlier runs; 55 B to write
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
    dirty  a  has not run yet  [cost unknown]
    toy: 1 to run, 0 only if what they need changes; time unknown

    [write.a]
      text = "hi"  # [defaults]
      lower = true  # stage
      loudness = 2  # --set
      fail = false  # default of the kind
    "#);
}

#[test]
fn a_stage_that_never_ran_is_guessed_by_its_kind() {
    let sandbox = applied();
    sandbox.write("more.toml", &format!("{CHAIN}[write.new]\ntext = \"new\"\n[draw.rows]\ndata = [\"a.samples\"]\n"));
    let rows = sandbox.json(&["plan", "more.toml", "--set", "c.salt=1"])["rows"].clone();
    let of = |stage: &str| &rows.as_array().unwrap().iter().find(|row| row["stage"] == stage).unwrap()["forecast"];
    let confidence = ["c", "new", "rows"].map(|stage| of(stage)["confidence"].as_str().unwrap());
    assert_eq!(confidence, ["medium", "low", "unknown"]);
    assert!(of("new")["seconds"].is_number() && of("rows")["seconds"].is_null());
    assert!(of("a").is_null(), "what is fresh costs nothing");
}

#[test]
fn a_saved_plan_runs_or_refuses() {
    let sandbox = applied();
    let edit = ["--set", "c.steps=6", "--set", "a.loudness=2"];
    let told = sandbox.ok(&[&["plan", "toy.toml", "-o", "saved.json"], &edit[..]].concat());
    assert!(told.ends_with("saved: `r1flow apply saved.json` runs this and nothing else\n"), "{told}");

    // The workflow file changes after the plan was saved.
    let before = fs_err::read_to_string(sandbox.root().join("toy.toml")).unwrap();
    sandbox.write("toy.toml", &before.replace("[write.a]", "[write.a]\ntext = \"bye\""));
    insta::assert_snapshot!(sandbox.run(&["apply", "saved.json"]), @r#"
    exit code 2
    ── stderr
    error: the plan is out of date:
      `a`: was fresh, is dirty (`text` "hello" → "bye")
      `b`: was fresh, is maybe (after `a`)
      `c`: was extend (`steps` 4 → 6), is dirty (`steps` 4 → 6, after `b`)
    help: look at what has changed, and make a new plan: `r1flow plan … -o FILE`
    "#);
    sandbox.write("toy.toml", &before);
    let events = super::support::events(&sandbox.ok(&["apply", "saved.json", "--json"]));
    assert_eq!(super::support::stages(&events, "started"), ["c"]);
    let again = sandbox.run(&["apply", "saved.json"]);
    assert!(again.code == Some(2) && again.stderr.contains("`c`: was extend (`steps` 4 → 6), is fresh"), "{again}");
    let mixed = sandbox.run(&["apply", "saved.json", "--only", "c"]);
    assert!(mixed.code == Some(2) && mixed.stderr.contains("leave out `--set`"), "{mixed}");
}

#[test]
fn two_stages_are_compared() {
    let sandbox = applied();
    let told = sandbox.ok(&["explain", "a", "other"]);
    assert_eq!(told, "a → other\n  `text` \"hello\" → \"other\"\n");
    assert_eq!(sandbox.ok(&["explain", "a", "a"]), "a and a are one action: what one makes the other takes\n");
    let unknown = sandbox.run(&["explain", "a", "missing"]);
    assert!(unknown.code == Some(2) && unknown.stderr.contains("no stage `missing` in the store"), "{unknown}");
}
