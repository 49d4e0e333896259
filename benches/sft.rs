//! What a step of SFT costs beside Hugging Face transformers: same model, rows, type and threads, in one run.
//!
//!     R1FLOW_BENCH_PYTHON=VENV/bin/python cargo bench -p r1flow-lm --bench sft [-- tiny|small|medium … float32|bfloat16|autocast …]
//!
//! Both sides are processes of their own that take turns, a few steps each, so that whatever else the machine does falls
//! on both; a rate is the median of its turns. Every token but a row's first is learnt, gradients are clipped, AdamW is
//! fused. "CPU" divides by the processor time of the process, "wall" by the clock. In bfloat16 transformers keeps weights
//! and moments in bfloat16 or, as `autocast`, the weights in float32; ours keeps float32 masters.
//! Without the variable only our side runs. The packages: torch 2.11.0, transformers 5.23.0.

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use lm::{AdamW, AdamWOptions, Config, Kind, Model, Options, Rows, Shape, Tensor, clip_grad_norm, head, zero_grad};
use serde_json::{Value, json};

type Failure = Box<dyn Error>;

/// Names the Python that has torch and transformers.
const PYTHON: &str = "R1FLOW_BENCH_PYTHON";

/// Turns of each side, of which the first, which warms up, does not count.
const TURNS: usize = 6;

struct Case {
    name: &'static str,
    shape: Shape,
    rows: usize,
    length: usize,
    steps: usize,
}

const TINY: Shape = Shape {
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
const SMALL: Shape = Shape {
    vocab_size: 4096,
    hidden_size: 384,
    intermediate_size: 1024,
    num_hidden_layers: 8,
    num_attention_heads: 6,
    ..TINY
};
const MEDIUM: Shape = Shape {
    vocab_size: 32_000,
    hidden_size: 768,
    intermediate_size: 2048,
    num_hidden_layers: 12,
    num_attention_heads: 12,
    num_key_value_heads: 4,
    tie_word_embeddings: false,
    ..TINY
};
const CASES: &[Case] = &[
    Case { name: "tiny", shape: TINY, rows: 8, length: 128, steps: 30 },
    Case { name: "small", shape: SMALL, rows: 8, length: 128, steps: 3 },
    Case { name: "medium", shape: MEDIUM, rows: 2, length: 128, steps: 2 },
];
/// What both sides calculate in, ours first.
const TYPES: &[(&str, &str)] = &[("float32", "float32"), ("bfloat16", "bfloat16"), ("bfloat16", "autocast")];

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [side, folder, dtype, threads, rows, length] = arguments.as_slice()
        && side == "--side"
    {
        return take_steps(Path::new(folder), dtype, threads.parse()?, rows.parse()?, length.parse()?);
    }
    say("| model | type | threads | ours, tok/s | theirs, tok/s | ratio wall | ratio CPU | peak MiB, ours / theirs |");
    say("|---|---|---|---|---|---|---|---|");
    let models: Vec<&str> = CASES.iter().map(|case| case.name).collect();
    let types: Vec<&str> = TYPES.iter().map(|(_, theirs)| *theirs).collect();
    // Names of models choose among models, names of types among types.
    let is_chosen = |name: &str, among: &[&str]| {
        let mut named = arguments.iter().filter(|argument| among.contains(&argument.as_str())).peekable();
        named.peek().is_none() || named.any(|argument| argument == name)
    };
    for case in CASES.iter().filter(|case| is_chosen(case.name, &models)) {
        let dir = tempfile::tempdir()?;
        Model::init(Config::new("qwen2", &case.shape)?, 1, lm::Device::Cpu).save(dir.path())?;
        for (ours, theirs) in TYPES.iter().filter(|(_, theirs)| is_chosen(theirs, &types)) {
            for threads in [1, 2] {
                compare(case, dir.path(), ours, theirs, threads)?;
            }
        }
    }
    Ok(())
}

fn compare(case: &Case, dir: &Path, ours: &str, theirs: &str, threads: usize) -> Result<(), Failure> {
    let tail = |dtype: &str| {
        let folder = dir.display().to_string();
        [folder, dtype.to_owned(), threads.to_string(), case.rows.to_string(), case.length.to_string()]
    };
    let mut own = Side::start(Command::new(std::env::current_exe()?).arg("--side").args(tail(ours)))?;
    let python = std::env::var_os(PYTHON);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../benches/sft.py");
    let mut other =
        python.map(|python| Side::start(Command::new(python).arg(script).args(tail(theirs)))).transpose()?;
    for _ in 0..TURNS {
        own.turn(case.steps)?;
        other.as_mut().map(|side| side.turn(case.steps)).transpose()?;
    }
    let tokens = (case.rows * case.length * case.steps) as f64;
    let mut cells = vec![case.name.to_owned(), format!("{ours} / {theirs}"), threads.to_string()];
    let rate = |side: &Side| {
        let (low, middle, high) = side.spread("wall");
        format!("{:.0} ({:.0}-{:.0})", tokens / middle, tokens / high, tokens / low)
    };
    cells.push(rate(&own));
    if let Some(other) = &other {
        let ratio = |key: &str| format!("{:.2}", other.spread(key).1 / own.spread(key).1);
        let peak = format!("{:.0} / {:.0}", own.spread("peak_mib").2, other.spread("peak_mib").2);
        cells.extend([rate(other), ratio("wall"), ratio("cpu"), peak]);
    } else {
        cells.extend([
            format!("no {PYTHON}"),
            String::new(),
            String::new(),
            format!("{:.0}", own.spread("peak_mib").2),
        ]);
    }
    say(&format!("| {} |", cells.join(" | ")));
    Ok(())
}

/// A process that takes steps when told to.
struct Side {
    child: Child,
    costs: Vec<Value>,
}

impl Side {
    fn start(command: &mut Command) -> Result<Self, Failure> {
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        Ok(Self { child, costs: Vec::new() })
    }

    fn turn(&mut self, steps: usize) -> Result<(), Failure> {
        let stdin = self.child.stdin.as_mut().ok_or("the side has no standard input")?;
        writeln!(stdin, "{steps}")?;
        stdin.flush()?;
        // One answer for each question, so nothing is left in a buffer that goes away.
        let mut line = String::new();
        BufReader::new(self.child.stdout.as_mut().ok_or("the side has no standard output")?).read_line(&mut line)?;
        self.costs.push(serde_json::from_str(&line)?);
        Ok(())
    }

    /// The lowest, middle and highest of a figure over the turns that count.
    fn spread(&self, key: &str) -> (f64, f64, f64) {
        let mut values: Vec<f64> = self.costs[1..].iter().filter_map(|cost| cost[key].as_f64()).collect();
        values.sort_by(f64::total_cmp);
        (values[0], values[values.len() / 2], values[values.len() - 1])
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Our side.
fn take_steps(dir: &Path, dtype: &str, threads: usize, num_rows: usize, length: usize) -> Result<(), Failure> {
    let device = lm::setup(threads, "cpu")?;
    let dtype = if dtype == "bfloat16" { Kind::BFloat16 } else { Kind::Float };
    let model = Model::load(dir, &Options { device, dtype })?;
    let (vocabulary, length) = (model.config.vocab_size, length as i64);
    let row = |i: i64| (0..length).map(|t| (i * 31 + t * t * 7 + 3) % vocabulary).collect::<Vec<_>>();
    let rows = Rows::pack((0..num_rows as i64).map(row));
    let predictions = rows.predictions();
    let positions = Tensor::from_slice(&predictions.positions);
    let targets = Tensor::from_slice(&predictions.targets);
    let scale = 1.0 / predictions.targets.len() as f64;
    let mut optimiser = AdamW::new(model.parameters(), AdamWOptions::default());
    for line in std::io::stdin().lines() {
        let (wall, cpu, mut loss) = (Instant::now(), cpu_seconds(), 0.0);
        for _ in 0..line?.trim().parse::<usize>()? {
            let hidden = model.hidden(&rows).index_select(0, &positions);
            loss = head::backward(&model, &hidden, &targets, 1.0, 4096, |logps, _| -logps.sum(Kind::Float) * scale);
            clip_grad_norm(model.parameters(), 1.0)?;
            optimiser.step(1e-4)?;
            zero_grad(model.parameters())?;
        }
        let cost = json!({
            "wall": wall.elapsed().as_secs_f64(),
            "cpu": cpu_seconds() - cpu,
            "loss": loss,
            "peak_mib": peak_mib(),
        });
        say(&cost.to_string());
    }
    Ok(())
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

fn say(line: &str) {
    let mut out = std::io::stdout();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
