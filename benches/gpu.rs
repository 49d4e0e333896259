//! How well a GPU is used: SFT in tokens a second and as a share of peak FLOPs (MFU), sampling as a share of memory
//! bandwidth.
//!
//!     cargo bench -p r1flow-lm --bench gpu [-- 0.5B 1.5B sampling 4096 16384 recomputed …]
//!
//! Shapes of Qwen2.5 with random weights, in bf16 with float32 master weights. SFT takes 16,384 tokens a step in rows
//! of 4,096 or 16,384; sampling takes 512 tokens in batches of 1, 64 and 256. A figure is the median of five turns,
//! with the lowest and the highest. `gpu.py` does the same with transformers.
//!
//! MFU counts 6 FLOPs for each weight and token, and 6 l h d t for each token in the matmuls of causal attention (l
//! layers, h heads of d channels, t tokens of a row), without recomputation. The bound on sampling is the time to read
//! the weights and the KV cache once a step. `R1FLOW_BENCH_GPU=TFLOPS,TB_PER_S` gives the card's peak rates (989,3.35
//! unless given: an H100 SXM). `rehearsal` is a toy that also runs on the simulated GPU.

use std::error::Error;
use std::io::Write;
use std::time::Instant;

use lm::generate::generate;
use lm::{
    AdamW, AdamWOptions, Config, Device, Kind, Model, Request, Rows, Sampling, Shape, clip_grad_norm, head, memory,
    zero_grad,
};

type Failure = Box<dyn Error>;

/// The variable that gives the card's peak rates.
const GPU: &str = "R1FLOW_BENCH_GPU";

/// Turns that are measured, after one that warms up.
const TURNS: usize = 5;

struct Case {
    name: &'static str,
    shape: Shape,
    tokens: i64,
    lengths: &'static [i64],
    sampled: usize,
    batches: &'static [usize],
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
const TOY: Shape = Shape {
    vocab_size: 512,
    hidden_size: 64,
    intermediate_size: 160,
    num_hidden_layers: 3,
    num_attention_heads: 4,
    max_position_embeddings: 1_024,
    ..HALF
};
const SMALLER_CASE: Case =
    Case { name: "0.5B", shape: HALF, tokens: 16_384, lengths: &[4_096, 16_384], sampled: 512, batches: &[1, 64, 256] };
const CASES: &[Case] = &[
    SMALLER_CASE,
    Case { name: "1.5B", shape: LARGER, ..SMALLER_CASE },
    Case { name: "rehearsal", shape: TOY, tokens: 128, lengths: &[64, 128], sampled: 40, batches: &[1, 4] },
];

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
        let model = Model::init(Config::new("qwen2", &case.shape)?, 1, device).in_dtype(Kind::BFloat16);
        say(&format!("{}: {:.2} billion weights", case.name, model.num_parameters() as f64 / 1e9));
        let chosen = is_named("sampling") || case.lengths.iter().any(|length| is_named(&length.to_string()));
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
