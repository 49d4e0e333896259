//! `r1flow apply`: what it prints without a terminal, its exit codes, and where it keeps things.

use super::support::{CHAIN, Sandbox, events, stages};

/// One stage at a time, so that the order of lines is fixed.
const APPLY: [&str; 4] = ["apply", "toy.toml", "--jobs", "1"];

#[test]
fn the_first_run_in_plain_lines_and_the_second_with_nothing_to_do() {
    let sandbox = Sandbox::new(CHAIN);
    insta::assert_snapshot!(sandbox.run(&APPLY), @r"
    exit code 0
    ── stderr
         Running a (write)
        Finished a in [TIME]
         Running b (join)
        Finished b in [TIME]
         Running c (count)
        Finished c in [TIME]
         Running other (write)
        Finished other in [TIME]
    4 of 4 stages done in [TIME]: 4 ran
    ");
    insta::assert_snapshot!(sandbox.run(&APPLY), @r"
    exit code 0
    ── stderr
    nothing to do: 4 stages are fresh in [TIME]
    ");
}

#[test]
fn the_worker_looks_at_keys_once_and_never_where_all_is_fresh() {
    let sandbox = Sandbox::new(CHAIN);
    let (log, worker) = (sandbox.root().join("asked"), sandbox.worker().display());
    let script = format!("#!/bin/sh\necho $1 >> {}\nexec {worker} \"$@\"\n", log.display());
    sandbox.write("listener", &script);
    std::fs::set_permissions(sandbox.root().join("listener"), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .unwrap();
    let apply = [&APPLY[..], &["--worker", "listener"]].concat();
    let asked = || std::fs::read_to_string(&log).unwrap();
    sandbox.ok(&apply);
    assert_eq!(asked(), "kinds\ncheck\nrun\nrun\nrun\nrun\n", "before the first stage, and about all");
    sandbox.ok(&apply);
    sandbox.ok(&["plan", "toy.toml", "--worker", "listener"]);
    assert_eq!(asked(), "kinds\ncheck\nrun\nrun\nrun\nrun\n");
    // The keys of edited stages are checked once, too.
    for _ in 0..2 {
        sandbox.ok(&["plan", "toy.toml", "--worker", "listener", "--set", "a.text=new"]);
    }
    assert_eq!(asked(), "kinds\ncheck\nrun\nrun\nrun\nrun\ncheck\n");
}

#[test]
fn a_failure_blocks_what_follows_and_nothing_else() {
    let sandbox = Sandbox::new(CHAIN);
    let output = sandbox.run(&[&APPLY[..], &["--set", "a.fail=true"]].concat());
    insta::assert_snapshot!(output, @r"
    exit code 1
    ── stderr
         Running a (write)
          Failed a: `fail` is set
           help: set `fail = false`
            log: [DIR]/.r1flow/runs/[RUN]/stages/a.log
         Blocked b, after a
         Blocked c, after b
         Running other (write)
        Finished other in [TIME]
    1 of 4 stages done in [TIME]: 1 ran, 1 failed, 2 left to do
    ");
    let log = output.stderr.lines().find_map(|line| line.trim().strip_prefix("log: [DIR]/")).unwrap();
    assert!(log.starts_with(".r1flow/runs/[RUN]/"), "{log}");
    insta::assert_snapshot!(sandbox.run(&["status"]), @"
    exit code 0
    ── stdout
    toy [RUN]: failed, [TIME]
    stage  state    step  time   left
    a      failed                      `fail` is set
    b      blocked                     after `a`
    c      blocked                     after `b`
    other  done           [TIME]
    ");
    insta::assert_snapshot!(sandbox.run(&["log", "a"]), @r"
    exit code 0
    ── stdout
    `fail` is set
    ");
    insta::assert_snapshot!(sandbox.run(&APPLY), @r"
    exit code 0
    ── stderr
         Running a (write)
        Finished a in [TIME]
         Running b (join)
        Finished b in [TIME]
         Running c (count)
        Finished c in [TIME]
    4 of 4 stages done in [TIME]: 3 ran, 1 fresh
    ");
}

#[test]
fn a_crash_is_tried_again_as_often_as_the_workflow_says() {
    let sandbox = Sandbox::new(CHAIN);
    let crash = format!("c.crash-once={{ at = 2, file = {:?} }}", sandbox.root().join("crashed"));
    let output = sandbox.run(&["apply", "toy.toml", "--set", "c.run.retries=1", "--set", &crash]);
    assert_eq!(output.code, Some(0), "{output}");
    for part in ["c: the worker died: signal: 6", "crashing on purpose", "Running c (count), attempt 2, from step 2"] {
        assert!(output.stderr.contains(part), "no `{part}` in {output}");
    }
    assert_eq!(sandbox.ok(&["log", "c"]), "crashing on purpose\n");
    for run in fs_err::read_dir(sandbox.root().join(".r1flow/runs")).unwrap() {
        fs_err::remove_dir_all(run.unwrap().path()).unwrap();
    }
    assert_eq!(sandbox.ok(&["log", "c"]), "crashing on purpose\n", "the store keeps it, too");
}

#[test]
fn until_runs_what_a_stage_needs() {
    let sandbox = Sandbox::new(CHAIN);
    insta::assert_snapshot!(sandbox.run(&[&APPLY[..], &["--until", "b"]].concat()), @r"
    exit code 0
    ── stderr
         Running a (write)
        Finished a in [TIME]
         Running b (join)
        Finished b in [TIME]
    2 of 2 stages done in [TIME]: 2 ran
    ");
    let plan = sandbox.ok(&["plan", "toy.toml"]);
    assert!(plan.starts_with("fresh  a  b\n"), "{plan}");
}

#[test]
fn force_runs_what_is_fresh() {
    let sandbox = Sandbox::new(CHAIN);
    sandbox.ok(&APPLY);
    insta::assert_snapshot!(sandbox.run(&[&APPLY[..], &["--force", "a"]].concat()), @r"
    exit code 0
    ── stderr
         Running a (write)
        Finished a in [TIME]
    4 of 4 stages done in [TIME]: 1 ran, 3 fresh
    ");
}

#[test]
fn misspelt_names_get_the_nearest() {
    let sandbox = Sandbox::new(CHAIN);
    insta::assert_snapshot!(sandbox.run(&["apply", "toy.toml", "--until", "otter"]), @r"
    exit code 2
    ── stderr
    error: there is no stage `otter`: did you mean `other`?
    ");
    insta::assert_snapshot!(sandbox.run(&["apply", "toy.toml", "--force", "otter"]), @r"
    exit code 2
    ── stderr
    error: there is no stage `otter`: did you mean `other`?
    ");
    insta::assert_snapshot!(sandbox.run(&["apply", "toy.toml", "--executor", "locl"]), @r"
    exit code 2
    ── stderr
    error: there is no executor `locl`: did you mean `local`?
    ");
    assert_eq!(sandbox.run(&["show", "other"]).code, Some(2), "nothing ran");
}

#[test]
fn json_is_one_object_a_line() {
    let sandbox = Sandbox::new(CHAIN);
    let first = sandbox.run(&["apply", "toy.toml", "--json"]);
    assert_eq!((first.code, first.stderr.as_str()), (Some(0), ""));
    let told = events(&first.stdout);
    assert_eq!((&told[0]["event"], &told[0]["stages"]), (&"run-started".into(), &4.into()));
    let last = told.last().unwrap();
    assert_eq!((&last["event"], &last["ran"], &last["left"]), (&"run-finished".into(), &4.into(), &0.into()));
    assert_eq!(stages(&told, "progress"), ["c"; 4]);
    let mut done = stages(&told, "done");
    done.sort_unstable();
    assert_eq!(done, ["a", "b", "c", "other"]);

    let second = events(&sandbox.ok(&["apply", "toy.toml", "--json"]));
    assert_eq!(stages(&second, "fresh").len(), 4);

    let failed = sandbox.run(&["apply", "toy.toml", "--json", "--set", "a.fail=true"]);
    assert_eq!((failed.code, failed.stderr.as_str()), (Some(1), ""));
    let told = events(&failed.stdout);
    let failure = told.iter().find(|event| event["event"] == "failed").unwrap();
    assert_eq!((&failure["stage"], &failure["help"]), (&"a".into(), &"set `fail = false`".into()));
    assert_eq!(stages(&told, "blocked"), ["b", "c"]);
}

#[test]
fn the_store_is_where_the_user_says() {
    let sandbox = Sandbox::new(CHAIN);
    sandbox.ok(&["apply", "toy.toml", "--store", "by/flag"]);
    let by_variable =
        |arguments: &[&str]| sandbox.finish(sandbox.command(arguments).env("R1FLOW_STORE", "by-variable"));
    assert_eq!(by_variable(&["apply", "toy.toml"]).code, Some(0));
    assert_eq!(by_variable(&["show", "a"]).code, Some(0));
    assert!(!sandbox.root().join(".r1flow").exists(), "nothing is left in the usual place");
    let flag_over_variable = by_variable(&["plan", "toy.toml", "--store", "third"]);
    assert!(flag_over_variable.stdout.contains("4 to run"), "{flag_over_variable}");
    insta::assert_snapshot!(sandbox.run(&["show", "a"]), @r"
    exit code 2
    ── stderr
    error: there is no store at `.r1flow`: run `r1flow apply` here first, or name another with --store
    ");
}

#[test]
fn from_another_folder_paths_of_a_workflow_mean_the_same() {
    let workflow = "[inputs]\ntext = { samples = \"data/text.jsonl\" }\n[join.b]\ndata = [\"inputs.text\"]\n";
    let sandbox = Sandbox::new(workflow);
    for folder in ["data", "elsewhere/deep"] {
        fs_err::create_dir_all(sandbox.root().join(folder)).unwrap();
    }
    sandbox.write("data/text.jsonl", "{\"prompt\": \"p\", \"completion\": \"c\"}\n");
    sandbox.ok(&APPLY);
    let mut command = sandbox.command(&["apply", "../../toy.toml", "--store", "../../.r1flow"]);
    insta::assert_snapshot!(sandbox.finish(command.current_dir(sandbox.root().join("elsewhere/deep"))), @r"
    exit code 0
    ── stderr
    nothing to do: 1 stage is fresh in [TIME]
    ");
}

#[test]
fn flags_of_the_machine_change_no_fingerprint() {
    let sandbox = Sandbox::new(CHAIN);
    sandbox.ok(&["apply", "toy.toml", "--jobs", "1", "--threads", "1"]);
    let again = sandbox.run(&["apply", "toy.toml", "--jobs", "3", "--threads", "2", "--pool", "licence=3"]);
    assert!(again.code == Some(0) && again.stderr.starts_with("nothing to do"), "{again}");
    // The number of the GPU does not matter, but a GPU computes other bits than the CPU.
    let of = |device| sandbox.ok(&["plan", "toy.toml", "--device", device]).replace(device, "");
    assert!(of("cuda:7").contains("dirty  a      `backend` \"cpu\" → \"cuda\""), "{}", of("cuda:7"));
    assert_eq!(of("cuda:7"), of("cuda:0"));
}
