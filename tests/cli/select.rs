//! Which stages an `apply` runs, and how much of the machine they may use.

use super::support::{CHAIN, Sandbox, events, stages};

fn ran(sandbox: &Sandbox, more: &[&str]) -> Vec<String> {
    let told = events(&sandbox.ok(&[&["apply", "toy.toml", "--json"], more].concat()));
    stages(&told, "started").into_iter().map(str::to_owned).collect()
}

#[test]
fn from_runs_what_follows_and_only_runs_one() {
    let sandbox = Sandbox::new(CHAIN);
    insta::assert_snapshot!(sandbox.run(&["apply", "toy.toml", "--only", "b"]), @r"
    exit code 1
    ── stderr
          Failed a: it is out of date, and not selected
           help: bring it up to date first: `--until a`
         Blocked b, after a
    0 of 2 stages done in [TIME]: 1 failed, 1 left to do
    ");
    assert_eq!(ran(&sandbox, &["--until", "b"]), ["a", "b"]);
    let edits = ["--set", "b.separator=-", "--set", "other.text=new", "--set", "c.salt=1"];
    assert_eq!(ran(&sandbox, &[&edits[..], &["--only", "b"]].concat()), ["b"]);
    assert_eq!(ran(&sandbox, &[&edits[..], &["--from", "b"]].concat()), ["c"]);
    assert_eq!(ran(&sandbox, &[&edits[..], &["--from", "b", "--force", "b"]].concat()), ["b"], "and stops there");
    assert_eq!(ran(&sandbox, &edits), ["other"]);
    let plan = sandbox.ok(&["plan", "toy.toml", "--from", "b", "--force", "b"]);
    assert!(plan.starts_with("dirty  b  forced"), "{plan}");
    let unknown = sandbox.run(&["apply", "toy.toml", "--only", "bb"]);
    assert!(unknown.code == Some(2) && unknown.stderr.contains("there is no stage `bb`"), "{unknown}");
}

#[test]
fn after_a_failure_the_rest_goes_on_unless_told_otherwise() {
    let broken = "[write.a]\nfail = true\n[join.after]\ndata = [\"a.samples\"]\n[write.other]\n";
    let sandbox = Sandbox::new(broken);
    let failed = sandbox.run(&["apply", "toy.toml", "--jobs", "1", "--fail-fast"]);
    assert!(failed.code == Some(1) && !failed.stderr.contains("Running other"), "{failed}");
    let kept = sandbox.run(&["apply", "toy.toml", "--jobs", "1", "--keep-going"]);
    assert!(kept.code == Some(1) && kept.stderr.contains("Finished other"), "{kept}");
}

#[test]
fn a_pool_bounds_what_runs_side_by_side() {
    let workflow = "[count.a]\nwait = 40\nrun = { needs = { licence = 1 } }\ndata = []\n[count.b]\nsalt = 1\nwait = 40\nrun = { needs = { licence = 1 } }\ndata = []\n";
    let sandbox = Sandbox::new(workflow);
    let refused = sandbox.run(&["apply", "toy.toml"]);
    assert!(refused.code == Some(2), "{refused}");
    assert!(refused.stderr.contains("stage `a` needs 1 of the pool `licence`, which has 0"), "{refused}");
    assert!(refused.stderr.contains("`--pool licence=N`"), "{refused}");
    let told = events(&sandbox.ok(&["apply", "toy.toml", "--json", "--jobs", "2", "--pool", "licence=1"]));
    let order: Vec<_> = told.iter().filter(|event| event["event"] == "started" || event["event"] == "done").collect();
    let order: Vec<_> =
        order.iter().map(|event| (event["event"].as_str().unwrap(), event["stage"].as_str().unwrap())).collect();
    assert_eq!(order, [("started", "a"), ("done", "a"), ("started", "b"), ("done", "b")]);
    for (pool, error) in [("licence", "write `--pool NAME=N`"), ("gpus=99", "this machine has")] {
        let wrong = sandbox.run(&["apply", "toy.toml", "--pool", pool]);
        assert!(wrong.code == Some(2) && wrong.stderr.contains(error), "{wrong}");
    }
}
