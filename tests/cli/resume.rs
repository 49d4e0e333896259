//! Interruptions: what a signal, a kill or a second `apply` costs, and what can be seen meanwhile.

use serde_json::Value;

use super::support::{CHAIN, Ended, Running, Sandbox, events, poll, signal, stages};

/// Enough steps to interrupt in the middle, no checkpoints except on request, and no stage in parallel.
pub(crate) const LONG: [&str; 8] =
    ["apply", "toy.toml", "--until", "c", "--set", "c.steps=2000", "--set", "c.checkpoint-steps=100000"];

/// Starts a long count, and returns once it has done a step.
pub(crate) fn start_counting(sandbox: &Sandbox, more: &[&str]) -> Running {
    let running = sandbox.start(&[&LONG[..], &["--json", "--set", "c.wait=20"], more].concat());
    running.event("progress", "c");
    running
}

/// Returns the digest of the count without an interruption.
fn unbroken() -> String {
    let sandbox = Sandbox::new(CHAIN);
    sandbox.ok(&LONG);
    sandbox.digest_with("c", "model", &LONG[4..])
}

/// Applies without waits, and returns the step from which the count resumed.
pub(crate) fn go_on(sandbox: &Sandbox) -> Option<u64> {
    let told = events(&sandbox.ok(&[&LONG[..], &["--json"]].concat()));
    assert_eq!(stages(&told, "started"), ["c"], "what was done is fresh");
    let started = told.iter().find(|event| event["event"] == "started").unwrap();
    started["resumed_from"].as_u64()
}

fn event<'a>(events: &'a [Value], name: &str) -> &'a Value {
    events.iter().find(|event| event["event"] == name).unwrap_or_else(|| panic!("no `{name}` in {events:#?}"))
}

pub(crate) fn assert_stopped(ended: &Ended) -> u64 {
    assert_eq!(ended.code, Some(3), "{:?}", ended.stderr);
    let told = ended.events();
    assert_eq!(event(&told, "run-finished")["left"], 1);
    let stopped = event(&told, "stopped");
    assert_eq!(stopped["stage"], "c");
    stopped["step"].as_u64().unwrap()
}

#[test]
fn an_interrupt_saves_a_checkpoint_and_the_next_apply_goes_on() {
    let sandbox = Sandbox::new(CHAIN);
    let running = start_counting(&sandbox, &[]);
    running.signal(libc::SIGINT);
    let ended = running.end();
    let step = assert_stopped(&ended);
    assert!((1..2000).contains(&step), "{step}");
    assert_eq!(ended.stderr, ["    Stopping after a checkpoint; again to leave at once"]);
    assert_eq!(sandbox.json(&["status"])["stages"]["c"]["state"], "stopped");
    let plan = sandbox.ok(&[&["plan"], &LONG[1..]].concat());
    assert!(plan.contains(&format!("continues from step {step} of 2000")), "{plan}");
    assert_eq!(go_on(&sandbox), Some(step));
    assert_eq!(sandbox.digest_with("c", "model", &LONG[4..]), unbroken());
}

#[test]
fn a_second_interrupt_leaves_at_once() {
    let sandbox = Sandbox::new(CHAIN);
    // The first step takes longer than any test waits.
    let running = sandbox.start(&["apply", "toy.toml", "--until", "c", "--json", "--set", "c.wait=3600000"]);
    running.event("started", "c");
    running.signal(libc::SIGINT);
    running.complaint("again to leave at once");
    running.signal(libc::SIGINT);
    running.complaint("Leaving at once");
    assert_eq!(assert_stopped(&running.end()), 0);
}

#[test]
fn a_killed_apply_takes_its_worker_along_and_the_next_goes_on() {
    let sandbox = Sandbox::new(CHAIN);
    let running = start_counting(&sandbox, &["--set", "c.checkpoint-steps=10"]);
    let checkpoint = running.event("checkpoint", "c")["step"].as_u64().unwrap();
    let workers = workers(running.pid());
    assert_eq!(workers.len(), 1, "{workers:?}");
    running.signal(libc::SIGKILL);
    assert_eq!(running.end().code, None);
    poll("the worker's end", || (!is_running(workers[0])).then_some(()));
    let status = sandbox.json(&["status"]);
    let states = [&status["run"]["state"], &status["stages"]["b"]["state"], &status["stages"]["c"]["state"]];
    assert_eq!(states, ["interrupted", "done", "interrupted"]);
    assert_eq!(sandbox.ok(&["log", "c", "--follow"]), "", "a run that was killed is over");
    let attempts = || fs_err::read_dir(sandbox.root().join(".r1flow/attempts")).unwrap().count();
    assert!(attempts() > 0, "a killed engine cannot tidy up");
    let from = go_on(&sandbox).unwrap();
    assert_eq!(attempts(), 0, "the next one does");
    assert!((checkpoint..2000).contains(&from), "from {from}, the checkpoint was at {checkpoint}");
    assert_eq!(sandbox.digest_with("c", "model", &LONG[4..]), unbroken());
    assert_eq!(fs_err::read_dir(sandbox.root().join(".r1flow/runs")).unwrap().count(), 2);
}

#[test]
fn what_a_stage_starts_dies_with_it_however_it_ends() {
    let sandbox = Sandbox::new(CHAIN);
    let file = sandbox.root().join("sleeper");
    let sleeper = format!("c.sleeper={:?}", file.display().to_string());
    let pid_of =
        || -> u32 { poll("the sleeper", || fs_err::read_to_string(&file).ok().and_then(|text| text.parse().ok())) };
    let assert_gone = |pid: u32, what: &str| poll(what, || (!is_running(pid)).then_some(()));
    let begin = |salt: &str| {
        let _ = fs_err::remove_file(&file);
        let running = start_counting(&sandbox, &["--set", &sleeper, "--set", salt]);
        let pid = pid_of();
        assert!(is_running(pid));
        (running, pid)
    };
    let (engine, pid) = begin("c.salt=1");
    engine.signal(libc::SIGKILL);
    engine.end();
    assert_gone(pid, "the end after the engine's");

    let (engine, pid) = begin("c.salt=2");
    signal(workers(engine.pid())[0], libc::SIGKILL);
    assert_eq!(engine.end().code, Some(1), "the stage has failed");
    assert_gone(pid, "the end after the worker's");

    let (engine, pid) = begin("c.salt=3");
    engine.signal(libc::SIGINT);
    assert_stopped(&engine.end());
    assert_gone(pid, "the end after a stop");

    let _ = fs_err::remove_file(&file);
    sandbox.ok(&["apply", "toy.toml", "--set", &sleeper, "--set", "c.salt=4"]);
    assert_gone(pid_of(), "the end after a stage that is done");
}

/// Returns the workers that an engine has started, without its keeper.
pub(crate) fn workers(engine: u32) -> Vec<u32> {
    let all = fs_err::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    let children = all.filter(|pid| stat(*pid).is_some_and(|(_, of)| of == engine));
    children
        .filter(|pid| std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name != "sh\n"))
        .collect()
}

/// Returns whether a process is running; a zombie is not.
pub(crate) fn is_running(pid: u32) -> bool {
    stat(pid).is_some_and(|(state, _)| state != "Z" && state != "X")
}

/// Returns state and parent of a process.
pub(crate) fn stat(pid: u32) -> Option<(String, u32)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    Some((fields.next()?.to_owned(), fields.next()?.parse().ok()?))
}

#[test]
fn others_look_while_an_apply_is_running() {
    let sandbox = Sandbox::new(CHAIN);
    let running = start_counting(&sandbox, &[]);
    let following = sandbox.start(&["log", "c", "--follow"]);
    let status = sandbox.json(&["status"]);
    assert_eq!((&status["run"]["state"], &status["run"]["alive"]), (&"running".into(), &true.into()));
    assert_eq!((&status["stages"]["c"]["state"], &status["stages"]["a"]["state"]), (&"running".into(), &"done".into()));
    assert!(status["stages"]["c"]["step"].as_u64().is_some_and(|step| step >= 1), "{status}");
    let shown = sandbox.ok(&["show", "b"]);
    assert!(shown.starts_with("b (join)"), "{shown}");
    let plan = sandbox.ok(&[&["plan"], &LONG[1..]].concat());
    assert!(plan.starts_with("fresh  a  b\ndirty  c  running, step "), "{plan}");
    assert_eq!(sandbox.ok(&["log", "c"]), "");
    sandbox.ok(&["explain", "a"]);
    sandbox.ok(&["status", "--all"]);
    running.signal(libc::SIGTERM);
    assert!(assert_stopped(&running.end()) > 0);
    assert_eq!(following.end().code, Some(0), "the log ends with the run");
}

#[test]
fn a_second_apply_waits_for_the_first_and_takes_its_result() {
    let sandbox = Sandbox::new(CHAIN);
    let short = ["--set", "c.steps=200", "--set", "c.wait=10"];
    let first = start_counting(&sandbox, &short);
    // The worker is stopped, so that the first `apply` cannot finish before the second starts.
    let worker = workers(first.pid())[0];
    signal(worker, libc::SIGSTOP);
    let second = sandbox.start(&[&LONG[..], &["--json"], &short].concat());
    second.event("waiting", "c");
    signal(worker, libc::SIGCONT);
    let (first, second) = (first.end(), second.end());
    assert_eq!((first.code, second.code), (Some(0), Some(0)), "{:?} {:?}", first.stderr, second.stderr);
    let told = second.events();
    assert!(stages(&told, "started").is_empty(), "{told:#?}");
    let finished = event(&told, "run-finished");
    assert_eq!((&finished["ran"], &finished["fresh"]), (&0.into(), &3.into()));
    assert_eq!(sandbox.json(&["status"])["stages"]["c"]["state"], "fresh");
}

#[test]
fn chaos_ends_with_the_digests_of_an_unbroken_run() {
    let sandbox = Sandbox::new(CHAIN);
    let sets = ["--set", "c.steps=60", "--set", "c.wait=5", "--set", "c.checkpoint-steps=7"];
    let told = sandbox.ok(&[&["chaos", "toy.toml", "--kills", "8"], &sets[..]].concat());
    assert!(told.starts_with("8 kills, 4 outputs equal to those of an unbroken run, no process left\n"), "{told}");
    assert!(told.contains("kinds that were running: count "), "{told}");
    assert!(!sandbox.root().join(".r1flow.chaos").exists(), "it tidies up");
    let broken = sandbox.run(&["chaos", "toy.toml", "--set", "a.fail=true"]);
    assert!(broken.code == Some(2) && broken.stderr.contains("fails without any kill"), "{broken}");
}

#[test]
fn what_is_at_work_is_said_to_be_and_what_comes_later_too() {
    let sandbox = Sandbox::new(&format!("{CHAIN}[count.d]\ndata = [\"b.samples\"]\nsalt = 1\n"));
    let sets = ["--set", "c.steps=3", "--set", "c.wait=3600000"];
    let running = sandbox.start(&[&["apply", "toy.toml", "--json", "--jobs", "1"], &sets[..]].concat());
    running.event("started", "c");
    let plan = sandbox.ok(&[&["plan", "toy.toml"], &sets[..]].concat());
    assert!(plan.contains("dirty  c      running, in run [RUN]\n"), "{plan}");
    let told = sandbox.json(&[&["plan", "toy.toml"], &sets[..]].concat());
    assert!(told["at_work"]["c"]["run"].is_string(), "{told}");
    assert_eq!(told["at_work"].as_object().unwrap().len(), 1, "{told}");
    insta::assert_snapshot!(sandbox.run(&[&["show", "c.model"], &sets[..]].concat()), @"
    exit code 2
    ── stderr
    error: `c` is running, in run [RUN] with `--set c.steps=3 --set c.wait=3600000`: it has no result yet
    help: `r1flow status --watch` follows the run
    ");
    insta::assert_snapshot!(sandbox.run(&["show", "c"]), @"
    exit code 0
    ── stdout
    c (count), running in run [RUN] of workflow toy with `--set c.steps=3 --set c.wait=3600000`
    ");
    insta::assert_snapshot!(sandbox.run(&["show", "d"]), @"
    exit code 2
    ── stderr
    error: `d` has not begun: its turn comes later in run [RUN] with `--set c.steps=3 --set c.wait=3600000`
    help: `r1flow status --watch` follows the run
    ");
    assert_eq!(sandbox.run(&["explain", "d"]).stderr, sandbox.run(&["show", "d"]).stderr);
    // Other values are not those of this run.
    insta::assert_snapshot!(sandbox.run(&["show", "c", "--set", "c.salt=9"]), @"
    exit code 2
    ── stderr
    error: `c` of `toy.toml` with `--set c.salt=9` is not fresh: no result of this store is what it says now
    help: `r1flow apply toy.toml --set c.salt=9` makes it
    ");
}
