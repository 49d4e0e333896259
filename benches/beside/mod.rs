//! Shared by the benches that compare with Hugging Face transformers: models, two processes that take turns, and their
//! cost.
//!
//! Each side is a process of its own. For each line that it reads, a number, it does so much work and answers with a
//! line of JSON. The sides take turns, so that other load on the machine affects both; a figure is the median of the
//! turns, a ratio the median of the turns' ratios.

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use lm::Shape;
use serde_json::{Value, json};

pub(crate) type Failure = Box<dyn Error>;

/// The variable that names a Python with torch and transformers.
pub(crate) const PYTHON: &str = "R1FLOW_BENCH_PYTHON";

/// Turns of each side; the first one warms up and is not measured.
#[allow(dead_code, reason = "not every bench takes as many")]
pub(crate) const TURNS: usize = 6;

/// 0.8 million weights.
pub(crate) const TINY: Shape = Shape {
    vocab_size: 512,
    hidden_size: 128,
    intermediate_size: 344,
    num_hidden_layers: 4,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    head_dim: None,
    rope_theta: 10_000.0,
    max_position_embeddings: 1024,
    tie_word_embeddings: true,
};
/// 15 million weights.
pub(crate) const SMALL: Shape = Shape {
    vocab_size: 4096,
    hidden_size: 384,
    intermediate_size: 1024,
    num_hidden_layers: 8,
    num_attention_heads: 6,
    ..TINY
};
/// 125 million weights.
#[allow(dead_code, reason = "not every bench has the time")]
pub(crate) const MEDIUM: Shape = Shape {
    vocab_size: 32_000,
    hidden_size: 768,
    intermediate_size: 2048,
    num_hidden_layers: 12,
    num_attention_heads: 12,
    num_key_value_heads: 4,
    tie_word_embeddings: false,
    ..TINY
};

/// The shape of SmolLM2-135M, for architecture `llama`.
#[allow(dead_code, reason = "not every bench has the time")]
pub(crate) const SMOLLM2: Shape = Shape {
    vocab_size: 49_152,
    hidden_size: 576,
    intermediate_size: 1536,
    num_hidden_layers: 30,
    num_attention_heads: 9,
    num_key_value_heads: 3,
    rope_theta: 100_000.0,
    max_position_embeddings: 8192,
    ..TINY
};

/// Returns whether the command line's `arguments` choose `name`: those that are `among` the names of its sort say
/// which; without any, all are chosen.
pub(crate) fn is_chosen(arguments: &[String], name: &str, among: &[&str]) -> bool {
    let mut named = arguments.iter().filter(|argument| among.contains(&argument.as_str())).peekable();
    named.peek().is_none() || named.any(|argument| argument == name)
}

/// Starts both sides with their arguments (theirs only if there is a Python), and lets them take `turns`, each of
/// `amount`.
pub(crate) fn take_turns(
    script: &str,
    (ours, theirs): (&[String], &[String]),
    (turns, amount): (usize, usize),
) -> Result<(Side, Option<Side>), Failure> {
    let mut own = Side::start(Command::new(std::env::current_exe()?).arg("--side").args(ours))?;
    let folders = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let script = folders.map(|folder| folder.join("benches").join(script)).find(|script| script.exists());
    let script = script.ok_or("the script is not there")?;
    #[allow(clippy::disallowed_methods, reason = "a bench is a program, and in some packages only libraries are meant")]
    let python = std::env::var_os(PYTHON);
    let mut other = python.map(|python| Side::start(Command::new(python).arg(script).args(theirs))).transpose()?;
    for _ in 0..turns {
        own.turn(amount)?;
        other.as_mut().map(|side| side.turn(amount)).transpose()?;
    }
    Ok((own, other))
}

/// Returns the cells of a table: the rates of both sides for `work` a turn, the ratios of their wall and processor
/// times, and their peak memory.
pub(crate) fn cells(own: &Side, other: Option<&Side>, work: f64) -> Vec<String> {
    let rate = |side: &Side| {
        let (low, middle, high) = side.spread("wall");
        format!("{:.0} ({:.0}-{:.0})", work / middle, work / high, work / low)
    };
    let peak = |side: &Side| format!("{:.0}", side.spread("peak_mib").2);
    let Some(other) = other else {
        return vec![rate(own), format!("no {PYTHON}"), String::new(), String::new(), peak(own)];
    };
    let ratio = |key: &str| format!("{:.2}", other.ratio_to(own, (key, key)));
    vec![rate(own), rate(other), ratio("wall"), ratio("cpu"), format!("{} / {}", peak(own), peak(other))]
}

/// Runs our side, where work comes in pieces: does one as often as each line of standard input says, and prints the
/// cost.
#[allow(dead_code, reason = "not every bench works in pieces")]
pub(crate) fn serve(mut work: impl FnMut() -> Result<(), Failure>) -> Result<(), Failure> {
    for line in std::io::stdin().lines() {
        let clock = Clock::start();
        for _ in 0..line?.trim().parse::<usize>()? {
            work()?;
        }
        say(&clock.cost().to_string());
    }
    Ok(())
}

/// Measures what a turn costs.
pub(crate) struct Clock {
    wall: Instant,
    cpu: f64,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { wall: Instant::now(), cpu: cpu_seconds() }
    }

    /// Returns what was spent since the start, and the most memory that the process ever held.
    pub(crate) fn cost(&self) -> Value {
        json!({
            "wall": self.wall.elapsed().as_secs_f64(),
            "cpu": cpu_seconds() - self.cpu,
            "peak_mib": peak_mib(),
        })
    }
}

/// A process that works on request.
pub(crate) struct Side {
    child: Child,
    costs: Vec<Value>,
}

impl Side {
    fn start(command: &mut Command) -> Result<Self, Failure> {
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        Ok(Self { child, costs: Vec::new() })
    }

    fn turn(&mut self, amount: usize) -> Result<(), Failure> {
        let stdin = self.child.stdin.as_mut().ok_or("the side has no standard input")?;
        writeln!(stdin, "{amount}")?;
        stdin.flush()?;
        // There is one answer for each request, so the dropped buffer is empty.
        let mut line = String::new();
        BufReader::new(self.child.stdout.as_mut().ok_or("the side has no standard output")?).read_line(&mut line)?;
        self.costs.push(serde_json::from_str(&line)?);
        Ok(())
    }

    /// Returns a figure of each measured turn.
    fn values(&self, key: &str) -> Vec<f64> {
        self.costs[1..].iter().filter_map(|cost| cost[key].as_f64()).collect()
    }

    /// Returns the lowest, middle and highest of a figure over the measured turns.
    pub(crate) fn spread(&self, key: &str) -> (f64, f64, f64) {
        spread(self.values(key))
    }

    /// Returns the middle one of the turns' ratios of a figure to one of the other side.
    pub(crate) fn ratio_to(&self, other: &Self, (own, others): (&str, &str)) -> f64 {
        spread(self.values(own).iter().zip(other.values(others)).map(|(own, other)| own / other).collect()).1
    }
}

fn spread(mut values: Vec<f64>) -> (f64, f64, f64) {
    values.sort_by(f64::total_cmp);
    (values[0], values[values.len() / 2], values[values.len() - 1])
}

impl Drop for Side {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

fn usage() -> libc::rusage {
    // SAFETY: a plain structure that the call fills in.
    unsafe {
        let mut usage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &raw mut usage);
        usage
    }
}

fn cpu_seconds() -> f64 {
    let usage = usage();
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 * 1e-6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

fn peak_mib() -> f64 {
    usage().ru_maxrss as f64 / 1024.0
}

pub(crate) fn say(line: &str) {
    let mut out = std::io::stdout();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
