//! How well a GPU is used: SFT in tokens a second and as a share of peak FLOPs (MFU), sampling as a share of memory
//! bandwidth.
//!
//!     cargo bench -p r1flow-lm --bench gpu [-- 135M 0.5B 1.5B sampling load equal 4096 16384 recomputed …]
//!
//! Shapes of SmolLM2 and Qwen2.5 with random weights, in bf16 with float32 master weights. SFT takes 16,384 tokens a
//! step in rows of 4,096 or 16,384; sampling takes 512 tokens in batches of 1, 64 and 256. A figure is the median of
//! five turns, with the lowest and the highest. `gpu.py` does the same with transformers.
//!
//! `load` samples 256 completions of 100 to 1,024 tokens after prompts of 100 to 1,024 tokens, as nano-vllm's bench
//! does. `equal` samples the same requests in batches of 1, 7, 64 and 256 and tells the share that has equal tokens, and
//! how far the sampler's log-probs are from those of a training pass. Both run only where they are named.
//!
//! MFU counts 6 FLOPs for each weight and token, and 6 l h d t for each token in the matmuls of causal attention (l
//! layers, h heads of d channels, t tokens of a row), without recomputation. The bound on sampling is the time to read
//! the weights and the KV cache once a step. `R1FLOW_BENCH_GPU=TFLOPS,TB_PER_S` gives the card's peak rates (989,3.35
//! unless given: an H100 SXM). `rehearsal` is a toy that also runs on the simulated GPU.

use std::error::Error;
use std::io::Write;
use std::ops::{ControlFlow, RangeInclusive};
use std::time::Instant;

use lm::generate::{generate, generate_until};
use lm::{
    AdamW, AdamWOptions, Completion, Config, Device, Kind, Model, Request, Rows, Sampling, Shape, clip_grad_norm, head,
    memory, no_grad_guard, zero_grad,
};

type Failure = Box<dyn Error>;

/// The variable that gives the card's peak rates.
const GPU: &str = "R1FLOW_BENCH_GPU";

/// Turns that are measured, after one that warms up.
const TURNS: usize = 5;

struct Case {
    name: &'static str,
    architecture: &'static str,
    shape: Shape,
    tokens: i64,
    lengths: &'static [i64],
    sampled: usize,
    batches: &'static [usize],
    /// Lengths of prompts and of completions in `load`.
    load: RangeInclusive<u64>,
}

const HALF: Shape = Shape {
    vocab_size: 151_936,
    hidden_size: 896,
    intermediate_size: 4_864,
    num_hidden_layers: 24,
    num_attention_heads: 14,
    num_key_value_heads: 2,
    head_dim: None,
    rope_theta: 1e6,
    max_position_embeddings: 32_768,
    tie_word_embeddings: true,
};
const LARGER: Shape =
    Shape { hidden_size: 1_536, intermediate_size: 8_960, num_hidden_layers: 28, num_attention_heads: 12, ..HALF };
const SMALL: Shape = Shape {
    vocab_size: 49_152,
    hidden_size: 576,
    intermediate_size: 1_536,
    num_hidden_layers: 30,
    num_attention_heads: 9,
    num_key_value_heads: 3,
    max_position_embeddings: 32_768,
    ..HALF
};
const TOY: Shape = Shape {
    vocab_size: 512,
    hidden_size: 64,
    intermediate_size: 160,
    num_hidden_layers: 3,
    num_attention_heads: 4,
    max_position_embeddings: 1_024,
    ..HALF
};
const SMALLER_CASE: Case = Case {
    name: "0.5B",
    architecture: "qwen2",
    shape: HALF,
    tokens: 16_384,
    lengths: &[4_096, 16_384],
    sampled: 512,
    batches: &[1, 64, 256],
    load: 100..=1_024,
};
const CASES: &[Case] = &[
    SMALLER_CASE,
    Case { name: "1.5B", shape: LARGER, ..SMALLER_CASE },
    Case { name: "135M", architecture: "llama", shape: SMALL, ..SMALLER_CASE },
    Case {
        name: "rehearsal",
        shape: TOY,
        tokens: 128,
        lengths: &[64, 128],
        sampled: 40,
        batches: &[1, 4],
        load: 8..=40,
        ..SMALLER_CASE
    },
];

/// Requests of `load`.
const LOAD: u64 = 256;

/// Requests of `equal`, its batches, and the requests of the slow batch of 1.
const EQUAL: usize = 256;
const EQUAL_BATCHES: [usize; 4] = [1, 7, 64, 256];
const EQUAL_ALONE: usize = 8;

/// The card's peak rates.
struct Peak {
    flops: f64,
    bytes_a_second: f64,
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    // Shows warnings, because a silent fallback would spoil a figure.
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let peak = peak()?;
    let device = lm::setup(0, lm::Device::Cuda(0))?;
    let is_named = |name: &str| arguments.iter().any(|argument| argument == name);
    let cases: Vec<&Case> = CASES.iter().filter(|case| is_named(case.name)).collect();
    let cases = if cases.is_empty() { CASES[..2].iter().collect() } else { cases };
    for case in cases {
        let model = Model::init(Config::new(case.architecture, &case.shape)?, 1, device).in_dtype(Kind::BFloat16);
        say(&format!("{}: {:.2} billion weights", case.name, model.num_parameters() as f64 / 1e9));
        if is_named("load") {
            bear(&model, case)?;
        }
        if is_named("equal") {
            compare(&model, case)?;
        }
        let chosen = ["sampling", "load", "equal"].into_iter().any(is_named)
            || case.lengths.iter().any(|length| is_named(&length.to_string()));
        for batch in case.batches.iter().filter(|_| !chosen || is_named("sampling")) {
            sample(&model, case, *batch, &peak)?;
        }
        for length in case.lengths.iter().filter(|length| !chosen || is_named(&length.to_string())) {
            train(&model, case, *length, is_named("recomputed"), &peak)?;
        }
    }
    Ok(())
}

fn peak() -> Result<Peak, Failure> {
    let said = std::env::var(GPU).unwrap_or_else(|_| "989,3.35".to_owned());
    let (flops, bytes) = said.split_once(',').ok_or_else(|| format!("{GPU} is `{said}`, not TFLOPS,TB_PER_S"))?;
    Ok(Peak { flops: flops.trim().parse::<f64>()? * 1e12, bytes_a_second: bytes.trim().parse::<f64>()? * 1e12 })
}

fn train(model: &Model, case: &Case, length: i64, recompute: bool, peak: &Peak) -> Result<(), Failure> {
    let vocabulary = case.shape.vocab_size;
    let row = |i: i64| (0..length).map(|t| (i * 31 + t * t * 7 + 3) % vocabulary).collect::<Vec<_>>();
    let rows = Rows::pack((0..case.tokens / length).map(row));
    let predictions = rows.predictions();
    let (positions, targets) = predictions.to_device(model.device());
    let scale = 1.0 / predictions.targets.len() as f64;
    let mut optimiser = AdamW::new(model.parameters(), AdamWOptions::default());
    memory::reset_peak(model.device())?;
    let seconds = measure(|| {
        let pass = model.pass(&rows, recompute);
        let hidden = pass.hidden().index_select(0, &positions);
        head::backward(model, &hidden, &targets, 1.0, head::CHUNK, |logps, _| -logps.sum(Kind::Float) * scale);
        pass.backward();
        clip_grad_norm(model.parameters(), 1.0)?;
        optimiser.step(1e-6)?;
        zero_grad(model.parameters())?;
        wait(model.device());
        Ok(())
    })?;
    let (l, h, d) = (model.config.num_hidden_layers, model.config.num_attention_heads, model.config.head_dim);
    let flops_a_token = 6.0 * model.num_parameters() as f64 + 6.0 * (l * h * d * length) as f64;
    let tokens = case.tokens as f64;
    let used = memory::used(model.device())?.peak as f64 / f64::from(1 << 30);
    say(&format!(
        "  SFT, rows of {length}{}: {} tokens/s, MFU {:.1} %, peak {used:.1} GiB",
        if recompute { ", layers recomputed" } else { "" },
        rates(&seconds, tokens),
        100.0 * flops_a_token * tokens / seconds[TURNS / 2] / peak.flops
    ));
    Ok(())
}

fn sample(model: &Model, case: &Case, batch: usize, peak: &Peak) -> Result<(), Failure> {
    let prompt: Vec<i64> = (0..32).map(|t| (t * 37 + 5) % case.shape.vocab_size).collect();
    let requests: Vec<Request> = (0..batch as u64).map(|seed| Request { prompt: prompt.clone(), seed }).collect();
    let sampling = Sampling { max_tokens: case.sampled, ..Sampling::default() };
    let seconds = measure(|| {
        let done = generate(model, &requests, &sampling, batch, &mut |_, _| {})?;
        assert!(done.iter().all(|completion| completion.ids.len() == case.sampled), "nothing ends a completion");
        Ok(())
    })?;
    let config = &model.config;
    let cached = 2 * 2 * config.num_hidden_layers * config.num_key_value_heads * config.head_dim;
    let read = 2.0 * model.num_parameters() as f64
        + batch as f64 * cached as f64 * (prompt.len() as f64 + case.sampled as f64 / 2.0);
    let tokens = (batch * case.sampled) as f64;
    say(&format!(
        "  sampling, batch {batch}: {} tokens/s, {:.0} % of the bound",
        rates(&seconds, tokens),
        100.0 * read / peak.bytes_a_second * case.sampled as f64 / seconds[TURNS / 2]
    ));
    Ok(())
}

/// Samples completions of different lengths after prompts of different lengths.
fn bear(model: &Model, case: &Case) -> Result<(), Failure> {
    let span = case.load.end() - case.load.start() + 1;
    let length = |n: u64| (case.load.start() + mixed(n) % span) as usize;
    let prompt = |seed: u64| (0..length(seed)).map(|t| (mixed(seed << 32 | t as u64) % 1_000) as i64 % 500).collect();
    let requests: Vec<Request> = (0..LOAD).map(|seed| Request { prompt: prompt(seed), seed }).collect();
    let sampling = Sampling { max_tokens: *case.load.end() as usize, ..Sampling::default() };
    // A completion's first tokens decide its length.
    let is_ended =
        |ids: &[i64]| ids.len() >= 4 && ids.len() >= length(ids[..4].iter().fold(7, |n, id| n << 8 ^ *id as u64));
    let mut tokens = 0;
    let seconds = measure(|| {
        let done = generate_until(model, &requests, &sampling, LOAD as usize, &is_ended, &mut |_, _| {
            ControlFlow::Continue(())
        })?;
        tokens = done.iter().map(|completion| completion.ids.len()).sum();
        Ok(())
    })?;
    let prompts: usize = requests.iter().map(|request| request.prompt.len()).sum();
    let rates = rates(&seconds, tokens as f64);
    say(&format!("  load of {LOAD} requests, {prompts} tokens in, {tokens} out: {rates} tokens/s out"));
    Ok(())
}

/// Returns the bits of `n` well mixed (splitmix64).
fn mixed(n: u64) -> u64 {
    let n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ n >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ n >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ n >> 31
}

/// Compares completions of several batch sizes, and the sampler's log-probs with a training pass.
fn compare(model: &Model, case: &Case) -> Result<(), Failure> {
    let prompt = |i: usize| (0..20 + i % 40).map(|t| ((i * 31 + t * t * 7 + 3) % 500) as i64).collect();
    let requests: Vec<Request> = (0..EQUAL).map(|i| Request { prompt: prompt(i), seed: i as u64 }).collect();
    let sampling = Sampling { max_tokens: case.sampled / 2, ..Sampling::default() };
    let sampled = |batch: usize, requests: &[Request]| generate(model, requests, &sampling, batch, &mut |_, _| {});
    let largest = sampled(EQUAL_BATCHES[EQUAL_BATCHES.len() - 1], &requests)?;
    for batch in EQUAL_BATCHES {
        let few = if batch == 1 { EQUAL_ALONE } else { EQUAL };
        let done = sampled(batch, &requests[..few])?;
        let equal = done.iter().zip(&largest).filter(|(one, two)| one.ids == two.ids).count();
        let bits = done.iter().zip(&largest).filter(|(one, two)| one == two).count();
        say(&format!(
            "  batch {batch}: of {few} completions {equal} have the tokens of batch 256, {bits} its log-probs too"
        ));
    }
    let (mut apart, mut largest_apart, mut same, mut all) = (0.0, 0.0_f64, 0_usize, 0_usize);
    for (requests, done) in requests.chunks(16).zip(largest.chunks(16)) {
        for (trained, drawn) in
            trained_logps(model, requests, done).into_iter().zip(done.iter().flat_map(|one| &one.logprobs))
        {
            let difference = f64::from((trained - drawn).abs());
            (apart, largest_apart, all) = (apart + difference, largest_apart.max(difference), all + 1);
            same += usize::from(trained.to_bits() == drawn.to_bits());
        }
    }
    say(&format!(
        "  sampler and training pass, {all} log-probs: mean difference {:.1e}, largest {largest_apart:.1e}, {:.1} % equal",
        apart / all as f64,
        100.0 * same as f64 / all as f64
    ));
    Ok(())
}

/// Returns the log-probs of completions by a training pass.
fn trained_logps(model: &Model, requests: &[Request], done: &[Completion]) -> Vec<f32> {
    let _guard = no_grad_guard();
    let rows = Rows::pack(requests.iter().zip(done).map(|(request, done)| [&request.prompt[..], &done.ids].concat()));
    let starts: Vec<i64> = requests.iter().map(|request| request.prompt.len() as i64).collect();
    let (positions, targets) = rows.predictions_from(&starts).to_device(model.device());
    let hidden = model.hidden(&rows).index_select(0, &positions);
    let logps = head::logprobs(model, &hidden, &targets, 1.0, head::CHUNK);
    Vec::try_from(logps.to_device(Device::Cpu)).expect("a vector of floats")
}

/// Returns the seconds of each measured turn, in ascending order.
fn measure(mut work: impl FnMut() -> Result<(), Failure>) -> Result<Vec<f64>, Failure> {
    work()?;
    let mut seconds = Vec::new();
    for _ in 0..TURNS {
        let start = Instant::now();
        work()?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    Ok(seconds)
}

fn rates(seconds: &[f64], tokens: f64) -> String {
    let rate = |seconds: f64| tokens / seconds;
    format!("{:.0} ({:.0}-{:.0})", rate(seconds[TURNS / 2]), rate(seconds[TURNS - 1]), rate(seconds[0]))
}

/// Waits until the GPU has finished.
fn wait(device: Device) {
    if let Device::Cuda(index) = device {
        lm::tch::Cuda::synchronize(index as i64);
    }
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}");
    let _ = out.flush();
}
