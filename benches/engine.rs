//! What the engine costs: plan and no-op apply of n fresh stages, compared with make and ninja in the same run, and the
//! overhead of a stage over starting its process.
//!
//!     cargo bench --bench engine [-- N …]          sizes, 10 100 1000 10000 unless given
//!
//! Each figure is the median of several runs, with the lowest and the highest: wall and CPU milliseconds of the whole
//! command, including the start of the process, and its peak memory. The stages are chains of ten that copy text; make
//! and ninja get the same graph with `cp`. A tool that is not installed is skipped. The second table runs each graph in
//! a new store, one stage at a time, and compares it with a shell loop that starts the worker as often and writes
//! nothing.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

const RUNS: usize = 15;
const CHAIN: usize = 10;

/// The most stages in the second table; more would take minutes, one at a time.
const MOST_RUN: usize = 1_000;

fn main() {
    let sizes: Vec<usize> = std::env::args().skip(1).filter_map(|argument| argument.parse().ok()).collect();
    let sizes = if sizes.is_empty() { vec![10, 100, 1_000, 10_000] } else { sizes };
    say("| stages | command | wall ms (min-max) | CPU ms | peak MiB |\n|---|---|---|---|---|");
    let (mut overheads, mut dirs) = (Vec::new(), Vec::new());
    for size in sizes {
        let dir = tempfile::tempdir().expect("a temporary folder");
        write_graphs(dir.path(), size);
        if size <= MOST_RUN {
            overheads.push(overhead(dir.path(), size));
        }
        for (name, mut command) in commands(dir.path()) {
            if run(&mut command).is_none() {
                say(&format!("| {size} | {name} | not installed, or failed | | |"));
                continue;
            }
            let samples: Vec<Cost> =
                (0..RUNS).map(|_| run(&mut command).expect("it went well the first time")).collect();
            let ([low, wall, high], [_, cpu, _]) =
                (spread(&samples, |cost| cost.wall), spread(&samples, |cost| cost.cpu));
            let peak = samples[0].peak;
            say(&format!("| {size} | {name} | {wall:.1} ({low:.1}-{high:.1}) | {cpu:.1} | {peak:.1} |"));
        }
        dirs.push(dir);
    }
    say("\n| stages, one at a time | r1flow, ms a stage | shell loop, ms a start | overhead |\n|---|---|---|---|");
    for row in &overheads {
        say(row);
    }
}

/// Returns a row of the second table. Each run has a store of its own, because after many deletions an ext4 without a
/// journal needs a millisecond more to create each file.
fn overhead(dir: &Path, size: usize) -> String {
    let begin = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        command.args(arguments).env("R1FLOW_WORKER", toy_worker()).current_dir(dir);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    let per_stage = |command: &mut Command| run(command).expect("it goes well").wall / size as f64;
    let script = "i=0; while [ $i -lt $1 ]; do \"$R1FLOW_WORKER\" kinds; i=$((i+1)); done";
    let (mut ours, mut shell) = (Vec::new(), Vec::new());
    for round in ["one", "two", "three"] {
        let arguments = ["apply", "workflow.toml", "--jobs", "1", "--store", round];
        ours.push(per_stage(&mut begin(env!("CARGO_BIN_EXE_r1flow"), &arguments)));
        shell.push(per_stage(&mut begin("sh", &["-c", script, "sh", &size.to_string()])));
    }
    let middle = |times: &mut Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times[1]
    };
    let (ours, shell) = (middle(&mut ours), middle(&mut shell));
    format!("| {size} | {ours:.2} | {shell:.2} | {:.2} |", ours - shell)
}

/// Returns the minimum, the median and the maximum.
fn spread(samples: &[Cost], of: impl Fn(&Cost) -> f64) -> [f64; 3] {
    let mut values: Vec<f64> = samples.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    [values[0], values[values.len() / 2], values[values.len() - 1]]
}

fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Writes one graph for the three tools: chains of ten stages, each of which copies the output of the one before.
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

/// What a command took: milliseconds, and MiB.
struct Cost {
    wall: f64,
    cpu: f64,
    peak: f64,
}

/// Runs a command; returns `None` if it is not installed or fails.
fn run(command: &mut Command) -> Option<Cost> {
    let begun = Instant::now();
    let child = command.spawn().ok()?;
    let (mut status, mut usage) = (0, std::mem::MaybeUninit::<libc::rusage>::uninit());
    // SAFETY: the child is ours and has not been waited for; both places are as large as the call expects.
    let waited = unsafe { libc::wait4(child.id().cast_signed(), &raw mut status, 0, usage.as_mut_ptr()) };
    let wall = begun.elapsed().as_secs_f64() * 1e3;
    if waited < 0 || status != 0 {
        return None;
    }
    // SAFETY: the call has filled it.
    let usage = unsafe { usage.assume_init() };
    let millis = |time: libc::timeval| time.tv_sec as f64 * 1e3 + time.tv_usec as f64 / 1e3;
    Some(Cost { wall, cpu: millis(usage.ru_utime) + millis(usage.ru_stime), peak: usage.ru_maxrss as f64 / 1_024.0 })
}
