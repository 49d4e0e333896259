//! What the engine costs: plan and no-op apply of n fresh stages, beside make and ninja in the same run.
//!
//!     cargo bench --bench engine [-- N …]          sizes, 10 100 1000 unless given
//!
//! Each figure is the median of several runs, lowest and highest beside it: wall and CPU milliseconds of the whole
//! command, start of the process included. The stages are chains of ten that copy text; make and ninja get the same
//! graph with `cp`. A tool that is not installed is left out.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

const RUNS: usize = 15;
const CHAIN: usize = 10;

fn main() {
    let sizes: Vec<usize> = std::env::args().skip(1).filter_map(|argument| argument.parse().ok()).collect();
    let sizes = if sizes.is_empty() { vec![10, 100, 1_000] } else { sizes };
    say("| stages | command | wall ms (min-max) | CPU ms |\n|---|---|---|---|");
    for size in sizes {
        let dir = tempfile::tempdir().expect("a temporary folder");
        write_graphs(dir.path(), size);
        for (name, mut command) in commands(dir.path()) {
            let first = Instant::now();
            if !run(&mut command) {
                say(&format!("| {size} | {name} | not installed, or failed | |"));
                continue;
            }
            let first = first.elapsed().as_secs_f64();
            let mut samples: Vec<(f64, f64)> = (0..RUNS).map(|_| timed(&mut command)).collect();
            samples.sort_by(|one, two| one.0.total_cmp(&two.0));
            let (wall, low, high) = (samples[RUNS / 2].0, samples[0].0, samples[RUNS - 1].0);
            samples.sort_by(|one, two| one.1.total_cmp(&two.1));
            let cpu = samples[RUNS / 2].1;
            say(&format!("| {size} | {name} (first run {first:.2} s) | {wall:.1} ({low:.1}-{high:.1}) | {cpu:.1} |"));
        }
    }
}

fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Writes one graph three times: chains of ten stages, each copying what is before it.
fn write_graphs(dir: &Path, size: usize) {
    let (mut workflow, mut make, mut ninja) =
        (String::new(), "all:".to_owned(), "rule cp\n command = cp $in $out\n".to_owned());
    let last: Vec<usize> = (0..size).filter(|at| at % CHAIN == CHAIN - 1 || at + 1 == size).collect();
    for at in &last {
        let _ = write!(make, " o{at}");
    }
    make.push('\n');
    for at in 0..size {
        let source = if at % CHAIN == 0 { format!("i{at}") } else { format!("o{}", at - 1) };
        if at % CHAIN == 0 {
            std::fs::write(dir.join(&source), format!("{at}")).expect("a file");
            let _ = writeln!(workflow, "[write.s{at}]\ntext = \"{at}\"");
        } else {
            let _ = writeln!(workflow, "[join.s{at}]\ndata = [\"s{}.samples\"]\nseparator = \"{at}\"", at - 1);
        }
        let _ = writeln!(make, "o{at}: {source}\n\tcp {source} o{at}");
        let _ = writeln!(ninja, "build o{at}: cp {source}");
    }
    for (file, text) in [("workflow.toml", workflow), ("Makefile", make), ("build.ninja", ninja)] {
        std::fs::write(dir.join(file), text).expect("a file");
    }
}

fn commands(dir: &Path) -> Vec<(&'static str, Command)> {
    let r1flow = |verb: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_r1flow"));
        command.args([verb, "workflow.toml"]).env("R1FLOW_WORKER", toy_worker());
        command
    };
    let mut all = vec![
        ("r1flow apply", r1flow("apply")),
        ("r1flow plan", r1flow("plan")),
        ("make", Command::new("make")),
        ("ninja", Command::new("ninja")),
    ];
    for (_, command) in &mut all {
        command.current_dir(dir).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    }
    all
}

/// Built with the tests: `cargo build --release -p r1flow-engine --example toy_worker`.
fn toy_worker() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_r1flow")).with_file_name("examples").join("toy_worker")
}

fn run(command: &mut Command) -> bool {
    command.status().is_ok_and(|status| status.success())
}

/// Returns wall and CPU milliseconds.
fn timed(command: &mut Command) -> (f64, f64) {
    let (begun, before) = (Instant::now(), children_cpu());
    assert!(run(command), "it went well the first time");
    (begun.elapsed().as_secs_f64() * 1e3, (children_cpu() - before) * 1e3)
}

/// CPU seconds of all children that have ended.
fn children_cpu() -> f64 {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::uninit();
    // SAFETY: the struct is as large as the call expects.
    let is_ok = unsafe { libc::getrusage(libc::RUSAGE_CHILDREN, usage.as_mut_ptr()) } == 0;
    assert!(is_ok, "the call cannot fail for children");
    // SAFETY: the call has filled it.
    let usage = unsafe { usage.assume_init() };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}
