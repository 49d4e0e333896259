//! Many programs leave nothing: no process, descriptor, file, mount or control group, and no memory.

#![cfg(target_os = "linux")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use sandbox::{End, Jail, Layer, Limits, Policy, Program, Required};

/// Programs that end well, badly, with children left behind, with files left behind.
const SCRIPTS: [&str; 4] = [
    "exit 0",
    "kill -SEGV $$",
    "(sleep 1000 &); (sleep 1000 &); exit 0",
    "mkdir -p a/b/c; echo x >a/b/c/d; chmod 500 a/b; exit 0",
];

/// What a process holds.
#[derive(Debug, PartialEq, Eq)]
struct Held {
    descriptors: usize,
    mounts: usize,
}

fn text(pid: u32, file: &str) -> String {
    fs_err::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default()
}

/// Returns a number from what the kernel tells of a process.
fn field(pid: u32, name: &str) -> u64 {
    let status = text(pid, "status");
    let value = status.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok());
    value.unwrap_or(0)
}

/// Waits until the guards have ended: they answer a moment before. They are children of the helper's children.
fn settle() {
    let start = Instant::now();
    let above = |pid: u32| field(pid, "PPid:") as u32;
    let is_guard = |pid: &u32| ![above(*pid), above(above(*pid))].contains(&std::process::id());
    while held().0.keys().filter(|pid| **pid != std::process::id()).any(is_guard) {
        assert!(start.elapsed() < Duration::from_mins(1), "a guard does not end: {:?}", held().0);
        std::thread::yield_now();
    }
}

/// Returns what each process holds that came from this one, and their resident memory together in KiB.
fn held() -> (BTreeMap<u32, Held>, u64) {
    let all: Vec<u32> =
        fs_err::read_dir("/proc").unwrap().flatten().filter_map(|it| it.file_name().to_str()?.parse().ok()).collect();
    let mut family = BTreeSet::from([std::process::id()]);
    while all.iter().any(|pid| family.contains(&(field(*pid, "PPid:") as u32)) && family.insert(*pid)) {}
    let about = |pid| Held {
        descriptors: fs_err::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count),
        mounts: text(pid, "mountinfo").lines().count(),
    };
    let memory = family.iter().filter(|pid| **pid != std::process::id()).map(|pid| field(*pid, "VmRSS:")).sum();
    (family.into_iter().map(|pid| (pid, about(pid))).collect(), memory)
}

/// Returns the folders and control groups of jails whose helper has this number.
fn left(helper: &str) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![Path::new("/sys/fs/cgroup").to_owned()];
    found.extend(fs_err::read_dir("/tmp").unwrap().flatten().map(|entry| entry.path()));
    while let Some(folder) = open.pop() {
        for entry in fs_err::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                open.push(entry.path());
                found.push(entry.path());
            }
        }
    }
    let name = format!("r1flow-jail-{helper}");
    found.retain(|path| path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(&name)));
    found
}

fn run_many(number: usize, leave_out: BTreeSet<Layer>) {
    let mut helper = Command::new(env!("CARGO_BIN_EXE_r1flow-jail"));
    helper.arg("serve");
    let policy = Policy { leave_out, required: Required::Nothing, ..Policy::default() };
    let before = held().0;
    let jail = Jail::start(helper, policy, |_| false).unwrap();
    let round = |number: usize, threads: usize| {
        std::thread::scope(|scope| {
            for thread in 0..threads {
                let jail = &jail;
                scope.spawn(move || {
                    for index in (thread..number).step_by(threads) {
                        let script = SCRIPTS[index % SCRIPTS.len()];
                        let arguments = ["sh", "-c", script].map(String::from).to_vec();
                        let done = jail.run(&Program { arguments, ..Program::default() }, &Limits::default()).unwrap();
                        let expected = if script.starts_with("kill") { End::Signalled(11) } else { End::Exited(0) };
                        assert_eq!(done.end, expected, "{script}");
                    }
                });
            }
        });
    };
    // Slots are made, more than are needed later, and each has done everything once.
    round(96, 12);
    settle();
    let (warm, memory) = held();
    round(number, 2);
    settle();
    let (after, memory_after) = held();
    assert_eq!(after, warm, "after {number} programs");
    assert!(memory_after <= memory + 1024, "{memory} KiB became {memory_after} KiB after {number} programs");
    let helper = after.keys().find(|pid| field(**pid, "PPid:") == u64::from(std::process::id())).unwrap().to_string();
    drop(jail);
    assert_eq!(held().0, before);
    assert_eq!(left(&helper), Vec::<std::path::PathBuf>::new());
}

#[test]
fn two_hundred_programs_leave_nothing() {
    run_many(200, BTreeSet::new());
    run_many(200, BTreeSet::from([Layer::Namespaces, Layer::Cgroup]));
}

#[test]
#[ignore = "minutes"]
fn ten_thousand_programs_leave_nothing() {
    run_many(10_000, BTreeSet::new());
    run_many(10_000, BTreeSet::from([Layer::Namespaces, Layer::Cgroup]));
}
