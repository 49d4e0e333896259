//! What a signal costs, and the exit code that tells an interrupted run from a failed one.

use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use super::resume::{LONG, assert_stopped, go_on, start_counting};
use super::support::{CHAIN, Sandbox, poll, signal};

#[test]
fn every_signal_that_asks_for_the_end_saves_a_checkpoint_first() {
    for number in [libc::SIGHUP, libc::SIGUSR1, libc::SIGUSR2, libc::SIGTERM, libc::SIGINT] {
        let sandbox = Sandbox::new(CHAIN);
        let running = start_counting(&sandbox, &[]);
        running.signal(number);
        let step = assert_stopped(&running.end());
        assert!((1..2000).contains(&step), "signal {number}: {step}");
        assert_eq!(go_on(&sandbox), Some(step), "signal {number}");
    }
}

#[test]
fn a_terminal_that_goes_and_a_batch_system_send_several_signals_and_cost_no_checkpoint() {
    for numbers in [[libc::SIGHUP, libc::SIGHUP, libc::SIGTERM], [libc::SIGUSR1, libc::SIGCONT, libc::SIGTERM]] {
        let sandbox = Sandbox::new(CHAIN);
        let running = start_counting(&sandbox, &[]);
        // The worker is stopped, so that it cannot write its checkpoint before all signals have arrived.
        let worker = super::resume::workers(running.pid())[0];
        signal(worker, libc::SIGSTOP);
        for number in numbers {
            running.signal(number);
        }
        running.complaint("Stopping after a checkpoint");
        signal(worker, libc::SIGCONT);
        let step = assert_stopped(&running.end());
        assert!((1..2000).contains(&step), "signals {numbers:?}: {step}");
    }
}

#[test]
fn a_signal_to_every_process_costs_no_checkpoint() {
    for number in [libc::SIGTERM, libc::SIGUSR1, libc::SIGHUP, libc::SIGINT] {
        let sandbox = Sandbox::new(CHAIN);
        let running = start_counting(&sandbox, &[]);
        // Slurm and systemd signal all processes; here the workers get the signal first.
        let workers = super::resume::workers(running.pid());
        workers.into_iter().chain([running.pid()]).for_each(|pid| signal(pid, number));
        assert!(assert_stopped(&running.end()) > 0, "signal {number}");
    }
}

#[test]
fn a_failed_stage_counts_for_more_than_an_interrupted_one() {
    let sandbox = Sandbox::new(&format!("{CHAIN}[write.fails]\nfail = true\ntext = \"x\"\n"));
    let both = ["apply", "toy.toml", "--json", "--until", "c", "--until", "fails", "--jobs", "2"];
    let running = sandbox.start(&[&both[..], &["--set", "c.steps=2000", "--set", "c.wait=20"]].concat());
    running.event("failed", "fails");
    running.event("progress", "c");
    running.signal(libc::SIGTERM);
    assert_eq!(running.end().code, Some(1));
}

#[test]
fn nohup_is_respected() {
    let sandbox = Sandbox::new(CHAIN);
    let mut command = sandbox.command(&["apply", "toy.toml", "--set", "c.steps=100", "--set", "c.wait=20"]);
    // SAFETY: one system call between fork and exec.
    let command = unsafe {
        command.stderr(Stdio::null()).pre_exec(|| {
            libc::signal(libc::SIGHUP, libc::SIG_IGN);
            Ok(())
        })
    };
    let mut child = command.spawn().unwrap();
    poll("the count", || (steps(&sandbox) > 2).then_some(()));
    signal(child.id(), libc::SIGHUP);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// Returns how many steps the newest run has counted.
fn steps(sandbox: &Sandbox) -> usize {
    let runs = fs_err::read_dir(sandbox.root().join(".r1flow/runs")).into_iter().flatten();
    let curves = runs.map(|run| run.unwrap().path().join("stages/c.metrics.jsonl"));
    curves.filter_map(|curve| std::fs::read_to_string(curve).ok()).map(|text| text.lines().count()).sum()
}

#[test]
fn a_lost_terminal_costs_no_checkpoint_and_no_panic() {
    let sandbox = Sandbox::new(CHAIN);
    let arguments = [&LONG[..], &["--set", "c.wait=20", "--verbose", "--verbose"]].concat();
    let (terminal, mut child) = on_a_terminal(&mut sandbox.command(&arguments));
    poll("the count", || (steps(&sandbox) > 2).then_some(()));
    // The kernel sends SIGHUP, and every later write to the terminal fails.
    drop(terminal);
    let status = poll("the end", || child.try_wait().unwrap());
    assert_eq!(status.code(), Some(3), "{status}");
    assert!(go_on(&sandbox).unwrap() >= 2);
}

/// Starts a program as the leader of a session on a terminal of its own.
fn on_a_terminal(command: &mut Command) -> (File, Child) {
    let (mut ours, mut theirs) = (0, 0);
    let none = std::ptr::null_mut();
    // SAFETY: two locals receive the descriptors; the other arguments may be null.
    let opened = unsafe { libc::openpty(&raw mut ours, &raw mut theirs, none, none.cast(), none.cast()) };
    assert_eq!(opened, 0);
    // SAFETY: both descriptors are new and without another owner; the child does not get ours.
    let (ours, theirs) = unsafe {
        libc::fcntl(ours, libc::F_SETFD, libc::FD_CLOEXEC);
        (File::from_raw_fd(ours), OwnedFd::from_raw_fd(theirs))
    };
    let copy = || Stdio::from(theirs.try_clone().unwrap());
    command.stdin(copy()).stdout(copy()).stderr(copy());
    let terminal = theirs.as_raw_fd();
    // SAFETY: two system calls between fork and exec.
    unsafe {
        command.pre_exec(move || {
            libc::setsid();
            libc::ioctl(terminal, libc::TIOCSCTTY, 0);
            libc::close(terminal);
            Ok(())
        });
    }
    // The terminal is never read, so it fills up and blocks; nothing else may block.
    (ours, command.spawn().unwrap())
}

#[test]
fn an_interrupt_is_heard_while_inputs_are_read() {
    let sandbox = Sandbox::new("[inputs]\ntext = { samples = \"large\" }\n[join.b]\ndata = [\"inputs.text\"]\n");
    // More bytes than can be read while a test waits, in sparse files. A single file of this size would be refused.
    fs_err::create_dir(sandbox.root().join("large")).unwrap();
    for number in 0..4_096 {
        let file = File::create(sandbox.root().join(format!("large/{number}.jsonl"))).unwrap();
        file.set_len((1 << 30) - 1).unwrap();
    }
    let running = sandbox.start(&["apply", "toy.toml"]);
    let pid = running.pid();
    poll("a handler", || catches(pid, libc::SIGTERM).then_some(()));
    running.signal(libc::SIGTERM);
    let ended = running.end();
    assert_eq!(ended.code, Some(3), "{:?}", ended.stderr);
    let runs = std::fs::read_dir(sandbox.root().join(".r1flow/runs"));
    assert_eq!(runs.map_or(0, Iterator::count), 0, "no run has begun");
}

/// Returns whether a process has a handler for a signal.
fn catches(pid: u32, number: i32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).map(str::trim);
    caught.and_then(|hex| u64::from_str_radix(hex, 16).ok()).is_some_and(|caught| caught >> (number - 1) & 1 == 1)
}

#[test]
fn verify_is_interrupted_with_the_same_code() {
    let sandbox = Sandbox::new(CHAIN);
    sandbox.ok(&["apply", "toy.toml", "--set", "c.steps=30"]);
    let again =
        ["verify", "toy.toml", "--rerun", "c", "--segments", "9", "--set", "c.steps=30", "--set", "c.wait=3600000"];
    let running = sandbox.start(&again);
    running.complaint("Running c");
    running.signal(libc::SIGTERM);
    running.complaint("again to leave at once");
    running.signal(libc::SIGTERM);
    let ended = running.end();
    assert_eq!(ended.code, Some(3), "{:?} {:?}", ended.stdout, ended.stderr);
    assert!(ended.stdout.iter().all(|line| line.starts_with("stopped c")), "{:?}", ended.stdout);
}

#[test]
fn the_hubs_token_is_not_for_workers_and_other_secrets_are_masked() {
    let sandbox = Sandbox::new("[write.a]\n");
    let script = format!("#!/bin/sh\n[ $1 = run ] && env >&2\nexec {} \"$@\"\n", sandbox.worker().display());
    sandbox.write("telling", &script);
    fs_err::set_permissions(sandbox.root().join("telling"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = sandbox.command(&["apply", "toy.toml", "--worker", "telling"]);
    command
        .env("HF_TOKEN", "hf_abcdefgh")
        .env("HUGGING_FACE_HUB_TOKEN", "hf_ijklmnop")
        .env("WANDB_API_KEY", "qrstuvwx");
    let applied = sandbox.finish(&mut command);
    assert_eq!(applied.code, Some(0), "{applied}");
    let log = sandbox.ok(&["log", "a"]);
    assert!(log.contains("WANDB_API_KEY=[masked WANDB_API_KEY]\n"), "{log}");
    assert!(!log.contains("HF_TOKEN") && !log.contains("HUGGING_FACE_HUB_TOKEN"), "{log}");
}

#[test]
fn few_open_files_mean_fewer_stages_side_by_side() {
    let many = (0..40).fold(String::new(), |many, at| many + &format!("[write.s{at}]\ntext = \"{at}\"\n"));
    let sandbox = Sandbox::new(&many);
    let mut command = sandbox.command(&["apply", "toy.toml", "--jobs", "40"]);
    // SAFETY: one system call between fork and exec.
    unsafe {
        command.pre_exec(|| {
            let limit = libc::rlimit { rlim_cur: 32, rlim_max: 96 };
            match libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            }
        });
    }
    let applied = sandbox.finish(&mut command);
    assert!(applied.code == Some(0) && applied.stderr.contains("40 of 40 stages done in"), "{applied}");
    assert_eq!(applied.stderr.matches("too few files for 40 stages").count(), 1, "{applied}");
}
