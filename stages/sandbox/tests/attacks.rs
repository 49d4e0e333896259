//! Every attack of the table, by root, by an ordinary user, and in containers: with the jail none gets out, and without
//! it they do, so that a refusal says something of the jail.
//!
//! The trials run in a scratch root (`scratch.sh`), so that an escape would hit nothing.

#![cfg(target_os = "linux")]
#![expect(clippy::print_stderr, reason = "a test that cannot run here says so")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use sandbox::attacks::{Attempt, Verdict};

const JAIL: &str = env!("CARGO_BIN_EXE_r1flow-jail");
const ALL: [&str; 6] = ["landlock", "seccomp", "namespaces", "cgroup", "own-user", "rlimits"];

fn is_root() -> bool {
    // SAFETY: it has no arguments.
    unsafe { libc::geteuid() == 0 }
}

/// Returns whether a scratch root can be made here.
fn has_namespaces() -> bool {
    let mut trial = Command::new("unshare");
    if !is_root() {
        trial.arg("--map-root-user");
    }
    let what = "mount -t tmpfs scratch /mnt && mount -t proc proc /proc";
    let done = trial.args(["--mount", "--pid", "--net", "--ipc", "--uts", "--fork", "sh", "-c", what]).output();
    done.is_ok_and(|done| done.status.success())
}

/// A folder with the programs of the trial that every user may read.
fn programs() -> tempfile::TempDir {
    let folder = tempfile::Builder::new().prefix("r1flow-attacks-").tempdir().unwrap();
    let allow = |path: &Path| {
        fs_err::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    };
    allow(folder.path());
    let like_docker = PathBuf::from(JAIL).with_file_name("examples").join("like_docker");
    for program in [Path::new(JAIL), &like_docker] {
        let copy = folder.path().join(program.file_name().unwrap());
        fs_err::copy(program, &copy).unwrap();
        allow(&copy);
    }
    folder
}

/// Does what `command` says as someone, with layers left out, and returns what it printed.
fn scratch(who: &str, docker: bool, command: &str, left_out: &[&str]) -> Output {
    let folder = programs();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scratch.sh");
    let mut trial = Command::new("sh");
    trial.arg(script).arg(who).arg(folder.path());
    if docker {
        trial.arg(folder.path().join("like_docker"));
    }
    trial.arg(folder.path().join("r1flow-jail")).arg(command).args(left_out).output().unwrap()
}

/// Tries the attacks. None where such a trial cannot be made, which is said.
fn attempts(who: &str, docker: bool, left_out: &[&str]) -> Option<Vec<Attempt>> {
    let done = scratch(who, docker, "try", left_out);
    let output = String::from_utf8(done.stdout).unwrap();
    if !output.starts_with('{') {
        let why = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(!has_namespaces(), "a trial fails where a scratch root can be made: {why}{output}");
        eprintln!("skipped: cannot be {who} in a scratch root here: {why}{output}");
        return None;
    }
    let layers = output.lines().next().unwrap();
    let attempts: Vec<Attempt> = output.lines().skip(1).map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(attempts.len() >= 140, "{layers}: {}", attempts.len());
    Some(attempts)
}

fn escaped(attempts: &[Attempt]) -> BTreeSet<&str> {
    attempts.iter().filter(|attempt| attempt.has_escaped()).map(|attempt| attempt.name.as_str()).collect()
}

#[track_caller]
fn check_holds(who: &str, docker: bool, left_out: &[&str]) {
    if let Some(attempts) = attempts(who, docker, left_out) {
        let escaped: Vec<_> = attempts.iter().filter(|attempt| attempt.has_escaped()).collect();
        assert!(escaped.is_empty(), "{who} without {left_out:?}, in Docker: {docker}: {escaped:#?}");
    }
}

#[test]
fn the_jail_holds_for_root() {
    check_holds("root", false, &[]);
    check_holds("root", false, &["cgroup"]);
    check_holds("root", false, &["namespaces"]);
    check_holds("root", false, &["namespaces", "cgroup", "own-user"]);
}

#[test]
fn the_jail_holds_for_an_ordinary_user() {
    check_holds("user", false, &[]);
    check_holds("user", false, &["namespaces"]);
}

#[test]
fn the_jail_holds_in_a_container() {
    if is_root() {
        check_holds("docker-root", true, &[]);
        check_holds("docker-root", true, &["cgroup"]);
    } else {
        eprintln!("skipped: only root can have the capabilities that Docker gives");
    }
    check_holds("user", true, &[]);
}

/// Attacks that nothing but the jail holds. The others are held by the machine as it is: its kernel lacks what they
/// need, or the scratch root does; or by the guard itself, without any layer, as for time and output.
#[test]
fn without_the_jail_the_attacks_get_out() {
    let elsewhere = [
        "crypto-socket",
        "vsock",
        "write-usr",
        "devices",
        "sysfs",
        "descriptors",
        "kernel-module",
        "kexec",
        "ports",
        "x32-calls",
        "other-calls",
        "segments",
        "secret-memory",
        "io-uring",
        "userfaultfd",
        "bpf",
        "perf",
        "keyring",
        "add-key",
        "quota",
        "swap",
        "accounting",
        "attributes",
        "file-handle",
        "outside-handle",
        "hang-up",
        "write-cgroup",
        "tcp",
        "tcp-ipv6",
        "udp",
        "memory",
    ];
    let guarded = [
        "outlive",
        "outlive-daemon",
        "outlive-sibling",
        "outlive-chain",
        "memory-of-many",
        "processes",
        "threads",
        "disk",
        "disk-removed",
        "files",
        "folders",
        "output",
        "errors",
        "cpu-time",
        "cpu-time-of-many",
        "cpu-time-of-short",
        "wait",
    ];
    if !is_root() {
        eprintln!("skipped: without root, most of these attacks fail by themselves");
        return;
    }
    let Some(attempts) = attempts("root", false, &ALL) else { return };
    let escaped = escaped(&attempts);
    for Attempt { name, verdict, .. } in &attempts {
        let is_excepted = elsewhere.contains(&name.as_str()) || guarded.contains(&name.as_str());
        assert!(is_excepted || escaped.contains(name.as_str()), "`{name}` does nothing: {verdict:?}");
        assert!(!guarded.contains(&name.as_str()) || matches!(verdict, Verdict::Held(_)), "{name}: {verdict:?}");
    }
}

#[test]
fn a_jail_that_does_not_hold_runs_nothing() {
    if attempts("user", false, &["rlimits"]).is_none() {
        return;
    }
    let said = |left_out| String::from_utf8(scratch("user", false, "check", left_out).stdout).unwrap();
    assert_eq!(said(&[]), "the jail holds\n");
    // Whether others get out too depends on when the guard looks.
    let (refused, first) = (said(&["rlimits"]), "`lock-memory`, `raise-limits`, `core-dump`, ");
    assert!(refused.starts_with("error: the jail does not hold here, ") && refused.contains(first), "{refused}");
}

/// Each layer holds something that no other does.
#[test]
fn without_a_layer_what_it_holds_gets_out() {
    let cases: [(&[&str], &[&str]); 3] = [
        (&["landlock", "namespaces"], &["outside", "outside-symlink", "write-outside", "write-tmp", "see-processes"]),
        (&["seccomp"], &["netlink", "ptrace-child", "new-session", "shared-memory", "pipe-size", "memory-file"]),
        (&["rlimits"], &["file-size", "open-files", "raise-limits", "core-dump"]),
    ];
    for (left_out, expected) in cases {
        let Some(attempts) = attempts("user", false, left_out) else { return };
        let escaped = escaped(&attempts);
        let held: Vec<_> = expected.iter().filter(|name| !escaped.contains(**name)).collect();
        assert!(held.is_empty(), "without {left_out:?}, {held:?} are held");
    }
}
