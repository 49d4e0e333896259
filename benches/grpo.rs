//! What a step of GRPO costs, compared with TRL's GRPOTrainer: same model, prompts, type and threads, in one run.
//!
//!     R1FLOW_BENCH_PYTHON=VENV/bin/python cargo bench -p r1flow-stages --bench grpo \
//!         [-- tiny|small|smollm2 … float32|bfloat16|autocast … 1|2 …]
//!
//! A step is one rollout and one update: 8 prompts of 64 tokens, 8 completions of each of 64 tokens at temperature 1,
//! the reward `language`, all tokens learnt without a KL term, gradients clipped, fused AdamW. Ours is the kind `grpo`
//! as a worker runs it; TRL's trainer is as it is. **No completion ends early**: the end token of the tokenizer, which
//! both sides share, has an id one beyond the model's last, so it is never drawn. Half of the tokens are English
//! letters and half are Chinese characters, so the rewards of a group differ. "Wall" and "CPU" are the medians of the
//! rounds' ratios of wall times and of processor times. The shares of a step are ours: sampling, scoring, learning
//! (with the optimiser) and the rest; of TRL only sampling is known. In bfloat16 TRL keeps weights and moments in
//! bfloat16 or, as `autocast` (TRL's key `bf16`), in float32; ours keeps float32 master weights. Without the variable
//! only our side runs. The packages: torch 2.11.0, transformers 5.24.0, trl 1.16.0.

mod beside;
mod stage;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;
use std::time::Instant;

use beside::{Clock, Failure, SMALL, SMOLLM2, Side, TINY, cells, is_chosen, say, take_turns};
use engine::artifact::ArtifactType;
use engine::worker::protocol::FromWorker;
use lm::{Config, Device, Model, Shape};
use serde_json::{Map, Value, json};
use stage::input;

const PROMPTS: usize = 8;
const GROUP: usize = 8;
/// Tokens of a prompt, and of a completion.
const TOKENS: usize = 64;
/// Prompts in the file.
const ROWS: usize = 512;

struct Case {
    name: &'static str,
    architecture: &'static str,
    shape: Shape,
    /// Completions in one pass of training.
    rows: usize,
    turns: usize,
    steps: usize,
}

const CASES: &[Case] = &[
    Case { name: "tiny", architecture: "qwen2", shape: TINY, rows: 64, turns: 6, steps: 2 },
    Case { name: "small", architecture: "qwen2", shape: SMALL, rows: 64, turns: 5, steps: 1 },
    Case { name: "smollm2", architecture: "llama", shape: SMOLLM2, rows: 16, turns: 3, steps: 1 },
];
/// The types in which both sides compute, ours first.
const TYPES: &[(&str, &str)] = &[("float32", "float32"), ("bfloat16", "bfloat16"), ("bfloat16", "autocast")];
const THREADS: &[&str] = &["1", "2"];

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [side, folder, dtype, threads, rows] = arguments.as_slice()
        && side == "--side"
    {
        return run_stage(Path::new(folder), dtype, threads.parse()?, rows.parse()?);
    }
    say("| model | type | threads | ours, tok/s | theirs, tok/s | wall | CPU | peak MiB, ours / theirs \
         | sampling / scoring / learning / rest, % | their sampling, % | ratio of sampling |");
    say("|---|---|---|---|---|---|---|---|---|---|---|");
    let models: Vec<&str> = CASES.iter().map(|case| case.name).collect();
    let types: Vec<&str> = TYPES.iter().map(|(_, theirs)| *theirs).collect();
    for case in CASES.iter().filter(|case| is_chosen(&arguments, case.name, &models)) {
        let dir = tempfile::tempdir()?;
        make_model(case, &dir.path().join("model"))?;
        make_prompts(case, &dir.path().join("prompts.jsonl"))?;
        for (ours, theirs) in TYPES.iter().filter(|(_, theirs)| is_chosen(&arguments, theirs, &types)) {
            for threads in THREADS.iter().filter(|threads| is_chosen(&arguments, threads, THREADS)) {
                compare(case, dir.path(), (ours, theirs), threads)?;
            }
        }
    }
    Ok(())
}

fn compare(case: &Case, dir: &Path, (ours, theirs): (&str, &str), threads: &str) -> Result<(), Failure> {
    let tail = |dtype: &str| [dir.display().to_string(), dtype.to_owned(), threads.to_owned(), case.rows.to_string()];
    let (own, other) = take_turns("grpo.py", (&tail(ours), &tail(theirs)), (case.turns, case.steps))?;
    let tokens = (PROMPTS * GROUP * TOKENS * case.steps) as f64;
    let mut row = vec![case.name.to_owned(), format!("{ours} / {theirs}"), threads.to_owned()];
    row.extend(cells(&own, other.as_ref(), tokens));
    let share = |side: &Side, phase: &str| 100.0 * side.ratio_to(side, (phase, "wall"));
    let shares = ["sampling", "scoring", "learning"].map(|phase| share(&own, phase));
    let rest = 100.0 - shares.iter().sum::<f64>();
    row.push(format!("{:.1} / {:.1} / {:.1} / {rest:.1}", shares[0], shares[1], shares[2]));
    if let Some(other) = &other {
        row.push(format!("{:.1}", share(other, "sampling")));
        row.push(format!("{:.2}", other.ratio_to(&own, ("sampling", "sampling"))));
    }
    say(&format!("| {} |", row.join(" | ")));
    Ok(())
}

/// Runs our side: an attempt at a stage that never comes to its end.
fn run_stage(dir: &Path, dtype: &str, threads: usize, rows: usize) -> Result<(), Failure> {
    let attempt = tempfile::tempdir_in(dir)?;
    let input = |name: &str, artifact, path: &str| input(name, artifact, &dir.join(path), &json!({}));
    let config = json!({
        "model": input("inputs.model", ArtifactType::Model, "model"),
        "prompts": [input("inputs.prompts", ArtifactType::Prompts, "prompts.jsonl")],
        "rewards": { "language": 1.0 }, "steps": 1_000_000, "prompts-per-step": PROMPTS, "group-size": GROUP,
        "max-tokens": TOKENS, "micro-batch-tokens": rows * 2 * TOKENS, "lr": 1e-5, "dtype": dtype,
    });
    stage::run("grpo", attempt.path(), &config, threads, Box::new(Turns::begin()?))?;
    Err("the stage came to its end".into())
}

/// Hears what the stage tells the engine; after the last step of a turn it lets the stage wait for the next turn.
struct Turns {
    /// Steps that are still to be taken.
    left: usize,
    clock: Clock,
    /// When learning began.
    learning: Instant,
    /// Seconds of each phase in this turn.
    phases: [f64; 3],
}

impl Turns {
    /// Waits for a turn. Without a further one, the process ends.
    fn begin() -> std::io::Result<Self> {
        let mut line = String::new();
        std::io::stdin().read_line(&mut line)?;
        let Ok(left) = line.trim().parse() else { std::process::exit(0) };
        Ok(Self { left, clock: Clock::start(), learning: Instant::now(), phases: [0.0; 3] })
    }

    fn end_step(&mut self, metrics: &BTreeMap<String, f64>) -> std::io::Result<()> {
        assert!(metrics["completions/min_length"] >= TOKENS as f64, "no completion ends early");
        assert!(metrics["frac_reward_zero_std"] <= 0.0, "all groups teach something");
        self.phases[0] += metrics["step_time/sampling"];
        self.phases[1] += metrics["step_time/scoring"];
        self.phases[2] += self.learning.elapsed().as_secs_f64();
        self.left -= 1;
        if self.left > 0 {
            return Ok(());
        }
        let mut cost = self.clock.cost();
        for (phase, seconds) in ["sampling", "scoring", "learning"].into_iter().zip(self.phases) {
            cost[phase] = json!(seconds);
        }
        say(&cost.to_string());
        *self = Self::begin()?;
        Ok(())
    }
}

impl Write for Turns {
    /// Takes a whole line, as the engine's context writes them.
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        match serde_json::from_slice(line)? {
            FromWorker::Doing { what, .. } if what == "training" => self.learning = Instant::now(),
            FromWorker::Progress { metrics, .. } => self.end_step(&metrics)?,
            _ => {}
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Returns the text of a token: letters for even ids, Chinese characters for odd ones.
fn word(id: usize) -> String {
    let letter = |first: u32, of: usize, size: usize| char::from_u32(first + (of % size) as u32).unwrap_or('a');
    // From `a` on, or from the first Chinese character on.
    let (first, size): (u32, usize) = if id.is_multiple_of(2) { (0x61, 26) } else { (0x4e00, 256) };
    let half = id / 2;
    [half / size.pow(3), half / size.pow(2), half / size, half].map(|of| letter(first, of, size)).iter().collect()
}

/// Writes an untrained model whose tokens are words between spaces; its end token is beyond its vocabulary.
fn make_model(case: &Case, dir: &Path) -> Result<(), Failure> {
    let device = lm::setup(0, Device::Cpu)?;
    Model::init(Config::new(case.architecture, &case.shape)?, 1, device).save(dir)?;
    let size = case.shape.vocab_size as usize;
    let vocabulary: Map<String, Value> = (0..size).map(|id| (word(id), json!(id))).collect();
    assert_eq!(vocabulary.len(), size, "each token has a word of its own");
    let tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null,
        "added_tokens": [{ "id": size, "content": "<end>", "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true }],
        "pre_tokenizer": { "type": "WhitespaceSplit" }, "post_processor": null, "decoder": null,
        "model": { "type": "WordLevel", "vocab": vocabulary, "unk_token": word(0) },
    });
    let special = text::SpecialTokens { bos: None, eos: "<end>".to_owned(), pad: word(0) };
    let tokenizer = text::Tokenizer::from_json(&tokenizer.to_string())?;
    Ok(text::Chat::new(tokenizer, None, special)?.save(dir)?)
}

fn make_prompts(case: &Case, path: &Path) -> Result<(), Failure> {
    let vocabulary = case.shape.vocab_size as usize;
    let mut lines = String::new();
    for row in 0..ROWS {
        let words: Vec<String> = (0..TOKENS).map(|t| word((row * 31 + t * t * 7 + 3) % vocabulary)).collect();
        let line = json!({ "id": row.to_string(), "prompt": words.join(" "), "answer": "7", "verify": "number" });
        writeln!(lines, "{line}")?;
    }
    Ok(fs_err::write(path, lines)?)
}
