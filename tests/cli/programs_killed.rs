//! Kills while the jail is busy: the worker, the engine, or both are killed while a program of GRPO's rewards runs.
//! Nothing of the jail is left, and the stage ends with the digests of an unbroken run.

use std::fmt::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::programs::must_skip;
use super::r1::{digests, sandbox};
use super::resume::{is_running, stat, workers};
use super::support::{Running, Sandbox, poll, signal};

/// A model that writes a function which is right half of the time.
const BASE: &str = r#"
[inputs]
lessons = { samples = "lessons.jsonl" }
[pretrain.base]
data = ["inputs.lessons"]
hidden-size = 32
layers = 1
heads = 2
kv-heads = 2
intermediate-size = 64
steps = 150
batch-size = 16
lr = 5e-3
"#;

/// A stage for each victim, with prompts of its own: what one of them has run is known to the others.
const WORKFLOW: &str = r#"
name = "killed"
run = { checkpoint-steps = 1 }
[inputs]
base   = { model = "base" }
worker = { prompts = "worker.jsonl" }
engine = { prompts = "engine.jsonl" }
both   = { prompts = "both.jsonl" }

[defaults]
grpo = { model = "inputs.base", rewards = { accuracy = 1.0 }, prompts-per-step = 4, group-size = 3, max-tokens = 40, steps = 2, lr = 1e-3 }

[grpo.worker]
prompts = ["inputs.worker"]
[grpo.engine]
prompts = ["inputs.engine"]
[grpo.both]
prompts = ["inputs.both"]
"#;

const VICTIMS: [&str; 3] = ["worker", "engine", "both"];

fn lessons() -> String {
    (0..40).fold(String::new(), |mut rows, number| {
        let completion = format!("<think>f</think><answer>def f(): return {}</answer>", 1 + number % 2);
        writeln!(rows, "{}", json!({ "prompt": format!("f {}", number / 2), "completion": completion })).unwrap();
        rows
    })
}

/// Prompts whose tests take so long that a kill finds them running.
fn prompts(victim: &str) -> String {
    (0..8).fold(String::new(), |mut rows, number| {
        let code =
            format!("import time\nwhile time.process_time() < 0.2: pass\nassert f() == 1, '{victim} {number}'\n");
        let tests = json!({ "form": "program", "code": code, "runner": "python", "function": "f" });
        writeln!(rows, "{}", json!({ "prompt": format!("f {number}"), "tests": tests })).unwrap();
        rows
    })
}

/// Makes the workflow in a sandbox with the model at `base`.
fn prepared(base: &Path) -> Sandbox {
    let sandbox = sandbox();
    std::os::unix::fs::symlink(base, sandbox.root().join("base")).unwrap();
    sandbox.write("killed.toml", WORKFLOW);
    for victim in VICTIMS {
        sandbox.write(&format!("{victim}.jsonl"), &prompts(victim));
    }
    sandbox
}

fn text(pid: u32, file: &str) -> String {
    std::fs::read(format!("/proc/{pid}/{file}")).map_or(String::new(), |bytes| String::from_utf8_lossy(&bytes).into())
}

/// Returns a process and all that come from it.
fn family(first: u32) -> Vec<u32> {
    let parents: Vec<(u32, u32)> = processes().filter_map(|pid| Some((pid, stat(pid)?.1))).collect();
    let mut family = vec![first];
    let mut next = 0;
    while let Some(parent) = family.get(next).copied() {
        family.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    family
}

fn processes() -> impl Iterator<Item = u32> {
    std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok())
}

/// Waits until a program of the model runs in the jail, and returns the processes of the run and the jail's helper.
fn busy(running: &Running) -> (Vec<u32>, u32) {
    poll("a program in the jail", || {
        let worker = *workers(running.pid()).first()?;
        let family = family(running.pid());
        family.iter().find(|pid| text(**pid, "cmdline").contains("harness.py"))?;
        let helper = family.iter().find(|pid| stat(**pid).is_some_and(|(_, parent)| parent == worker))?;
        Some((family.clone(), *helper))
    })
}

/// Returns the processes that were started in a sandbox and run; the programs themselves have another environment.
fn of_sandbox(sandbox: &Sandbox) -> Vec<u32> {
    let root = sandbox.root().to_str().unwrap();
    processes().filter(|pid| is_running(*pid) && text(*pid, "environ").contains(root)).collect()
}

/// Returns the folders and control groups of the jail whose helper had this number.
fn left(helper: u32) -> Vec<PathBuf> {
    let (mut found, mut open) = (Vec::new(), vec![PathBuf::from("/sys/fs/cgroup"), std::env::temp_dir()]);
    let name = format!("r1flow-jail-{helper}");
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(&name) {
                found.push(entry.path());
            } else if folder.starts_with("/sys/fs/cgroup") && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                open.push(entry.path());
            }
        }
    }
    found
}

/// Lets a sandbox know that the jail holds, which has been tried in another one.
fn know_that_it_holds(tried: &Sandbox, other: &Sandbox) {
    let verdicts = |sandbox: &Sandbox| sandbox.root().join("cache/r1flow/verdicts");
    fs_err::create_dir_all(verdicts(other)).unwrap();
    fs_err::set_permissions(verdicts(other), std::fs::Permissions::from_mode(0o700)).unwrap();
    for entry in fs_err::read_dir(verdicts(tried)).unwrap().map(|entry| entry.unwrap()) {
        if entry.file_name().to_str().unwrap().starts_with("holds-") {
            fs_err::copy(entry.path(), verdicts(other).join(entry.file_name())).unwrap();
        }
    }
}

/// Applies the stage of a victim and kills the victim as soon as the jail is busy.
fn kill_while_busy(sandbox: &Sandbox, victim: &str) {
    let running = sandbox.start(&["apply", "killed.toml", "--only", victim]);
    let (family, helper) = busy(&running);
    assert!(family.iter().any(|pid| of_sandbox(sandbox).contains(pid)), "processes of the run are recognised");
    let worker = workers(running.pid())[0];
    if victim != "engine" {
        signal(worker, libc::SIGKILL);
    }
    if victim != "worker" {
        running.signal(libc::SIGKILL);
    }
    let ended = running.end();
    assert_eq!(ended.code, (victim == "worker").then_some(1), "{victim}: {:?}", ended.stderr);
    poll("the end of every process", || (!family.iter().any(|pid| is_running(*pid))).then_some(()));
    poll("an empty sandbox", || of_sandbox(sandbox).is_empty().then_some(()));
    poll("the end of the jail's folders and groups", || left(helper).is_empty().then_some(()));
}

#[test]
fn killed_while_the_jail_is_busy_it_leaves_nothing_and_ends_the_same() {
    let first = sandbox();
    first.write("lessons.jsonl", &lessons());
    first.write("base.toml", BASE);
    first.ok(&["apply", "base.toml"]);
    first.ok(&["export", "base.model", "base"]);
    let base = first.root().join("base");

    let unbroken = prepared(&base);
    let output = unbroken.run(&["apply", "killed.toml"]);
    if must_skip(&output) {
        return;
    }
    assert_eq!(output.code, Some(0), "{output}");
    let broken = prepared(&base);
    know_that_it_holds(&unbroken, &broken);
    for victim in VICTIMS {
        for _ in 0..2 {
            kill_while_busy(&broken, victim);
        }
        broken.ok(&["apply", "killed.toml", "--only", victim]);
    }
    assert_eq!(digests(&broken, "killed.toml", &[]), digests(&unbroken, "killed.toml", &[]));
    for victim in VICTIMS {
        let reward = unbroken.json(&["show", victim])["record"]["summary"]["accuracy"].as_f64().unwrap();
        assert!(reward > 0.0 && reward < 1.0, "some of the programs of `{victim}` are right: {reward}");
    }
}
