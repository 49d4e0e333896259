//! Prints how fast the toy model samples and trains: `cargo run --release -p r1flow-lm --example bench [threads] [toy|small]`.
//!
//! Each figure is the median of several runs, with the lowest and highest beside it. Quote the machine's load with it.

use std::error::Error;
use std::io::Write;
use std::time::Instant;

use lm::{
    AdamW, AdamWOptions, Config, Model, Request, Rows, Sampling, Shape, clip_grad_norm, generate, head, zero_grad,
};

const NEW_TOKENS: usize = 40;
const TOY: Shape = Shape {
    vocab_size: 64,
    hidden_size: 64,
    intermediate_size: 192,
    num_hidden_layers: 3,
    num_attention_heads: 4,
    num_key_value_heads: 4,
    head_dim: None,
    rope_theta: 100.0,
    max_position_embeddings: 128,
    tie_word_embeddings: true,
};
const SMALL: Shape = Shape {
    vocab_size: 4096,
    hidden_size: 384,
    intermediate_size: 1024,
    num_hidden_layers: 8,
    num_attention_heads: 6,
    num_key_value_heads: 2,
    rope_theta: 10_000.0,
    max_position_embeddings: 1024,
    ..TOY
};

fn main() -> Result<(), Box<dyn Error>> {
    let threads = std::env::args().nth(1).map_or(Ok(1), |text| text.parse())?;
    let device = lm::setup(threads, lm::Device::Cpu)?;
    let only = std::env::args().nth(2);
    for (name, shape, batches, runs) in [("toy", &TOY, &[1, 64, 256][..], 15), ("small", &SMALL, &[1, 64][..], 3)] {
        if only.as_ref().is_some_and(|only| only != name) {
            continue;
        }
        let model = Model::init(Config::new("llama", shape)?, 1, device);
        say(&format!("{name}: {} parameters, {threads} thread(s)", model.num_parameters()));
        for batch in batches {
            decode(&model, *batch, runs)?;
        }
        train(&model, runs)?;
    }
    Ok(())
}

fn decode(model: &Model, batch: usize, runs: usize) -> Result<(), Box<dyn Error>> {
    let requests: Vec<Request> = (0..batch)
        .map(|i| Request { prompt: (0..10).map(|t| ((i / 8) as i64 * 7 + t * 3) % 60).collect(), seed: i as u64 })
        .collect();
    let sampling = Sampling { max_tokens: NEW_TOKENS, ..Sampling::default() };
    let rates = measure(runs, || {
        generate::generate(model, &requests, &sampling, batch, &mut |_, _| {})?;
        Ok(batch * NEW_TOKENS)
    })?;
    say(&format!("  sampling, batch {batch}: {rates} tok/s"));
    Ok(())
}

fn train(model: &Model, runs: usize) -> Result<(), Box<dyn Error>> {
    let rows = Rows::pack((0..32i64).map(|i| (0..25 + i % 11).map(|t| (i * 5 + t * t) % 60).collect::<Vec<i64>>()));
    let predictions = rows.predictions();
    let (positions, targets) = predictions.to_device(model.device());
    let scale = 1.0 / predictions.targets.len() as f64;
    let mut optimiser = AdamW::new(model.parameters(), AdamWOptions::default());
    let rates = measure(runs, || {
        let hidden = model.hidden(&rows).index_select(0, &positions);
        head::backward(model, &hidden, &targets, 1.0, head::CHUNK, |logps, _| -logps.sum(lm::Kind::Float) * scale);
        clip_grad_norm(model.parameters(), 1.0)?;
        optimiser.step(1e-4)?;
        zero_grad(model.parameters())?;
        Ok(rows.num_tokens())
    })?;
    say(&format!("  training, {} rows, {} tokens: {rates} tok/s", rows.num_rows(), rows.num_tokens()));
    Ok(())
}

fn measure(runs: usize, mut work: impl FnMut() -> Result<usize, Box<dyn Error>>) -> Result<String, Box<dyn Error>> {
    work()?;
    let mut rates = Vec::new();
    for _ in 0..runs {
        let start = Instant::now();
        let tokens = work()?;
        rates.push(tokens as f64 / start.elapsed().as_secs_f64());
    }
    rates.sort_by(f64::total_cmp);
    Ok(format!("{:.0} ({:.0}-{:.0})", rates[runs / 2], rates[0], rates[runs - 1]))
}

fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
