//! Walks a model: for each JSON line `{"ids": [...]}` on standard input, prints the log-probability of every token from
//! the second on (natural logarithm, computed and printed in single precision) and, if asked, the greedy continuation.
//!
//!     cargo run --release -p r1flow-lm --example logprobs -- MODEL_DIR [--generate N] [--dtype float32|bfloat16] [--device cpu]
//!
//! Use it to check a port of a model: compare its lines with Python's for the same ids.

use std::error::Error;
use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use lm::{Device, Kind, Model, Options, Request, Rows, Sampling, generate, head, no_grad_guard};
use serde_json::{Value, json};

/// Hidden states that are multiplied with the vocabulary matrix at a time.
const HEAD_CHUNK: usize = 1_024;

struct Arguments {
    model: PathBuf,
    generate: usize,
    dtype: Kind,
    device: Device,
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let arguments = parse(std::env::args().skip(1))?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let device = lm::setup(threads, arguments.device)?;
    let model = Model::load(&arguments.model, &Options { device, dtype: arguments.dtype })?;
    let mut out = std::io::stdout().lock();
    for (number, line) in std::io::stdin().lock().lines().enumerate() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        let ids =
            read_ids(&line, model.config.vocab_size).map_err(|reason| format!("line {}: {reason}", number + 1))?;
        let mut answer = json!({ "logprobs": logprobs(&model, &ids) });
        if arguments.generate > 0 {
            answer["generated"] = json!(greedy(&model, &ids, arguments.generate)?);
        }
        writeln!(out, "{answer}")?;
    }
    Ok(())
}

fn parse(mut given: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let usage = "usage: logprobs MODEL_DIR [--generate N] [--dtype float32|bfloat16] [--device cpu|cuda:N]";
    let mut model = None;
    let mut arguments = Arguments { model: PathBuf::new(), generate: 0, dtype: Kind::Float, device: Device::Cpu };
    while let Some(argument) = given.next() {
        let mut value = || given.next().ok_or_else(|| format!("`{argument}` needs a value; {usage}"));
        match argument.as_str() {
            "--generate" => arguments.generate = value()?.parse().map_err(|_| "`--generate` takes a whole number")?,
            "--device" => {
                arguments.device = match value()?.as_str() {
                    "cpu" => Device::Cpu,
                    gpu => {
                        let index = gpu.strip_prefix("cuda:").and_then(|index| index.parse().ok());
                        Device::Cuda(index.ok_or_else(|| format!("`--device {gpu}` is neither cpu nor cuda:N"))?)
                    }
                }
            }
            "--dtype" => {
                arguments.dtype = match value()?.as_str() {
                    "float32" => Kind::Float,
                    "bfloat16" => Kind::BFloat16,
                    other => return Err(format!("`--dtype {other}` is not one of float32, bfloat16")),
                }
            }
            folder if model.is_none() && Path::new(folder).is_dir() => model = Some(PathBuf::from(folder)),
            other => return Err(format!("`{other}` is neither a folder nor an option; {usage}")),
        }
    }
    Ok(Arguments { model: model.ok_or(usage)?, ..arguments })
}

fn read_ids(line: &str, vocab_size: i64) -> Result<Vec<i64>, String> {
    let value: Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
    let ids = value["ids"].as_array().ok_or("expected {\"ids\": [...]}")?;
    let in_vocabulary = |id: &Value| id.as_i64().filter(|id| (0..vocab_size).contains(id));
    let ids: Option<Vec<i64>> = ids.iter().map(in_vocabulary).collect();
    ids.filter(|ids| !ids.is_empty()).ok_or_else(|| format!("`ids` is one token or more, each below {vocab_size}"))
}

fn logprobs(model: &Model, ids: &[i64]) -> Vec<f32> {
    let _guard = no_grad_guard();
    let rows = Rows::pack([ids]);
    let predictions = rows.predictions();
    if predictions.targets.is_empty() {
        return Vec::new();
    }
    let (positions, targets) = predictions.to_device(model.device());
    let hidden_nd = model.hidden(&rows).index_select(0, &positions);
    let logprobs = head::logprobs(model, &hidden_nd, &targets, 1.0, HEAD_CHUNK);
    Vec::try_from(logprobs.to_kind(Kind::Float).to_device(Device::Cpu)).expect("one number a token")
}

fn greedy(model: &Model, ids: &[i64], count: usize) -> Result<Vec<i64>, Box<dyn Error>> {
    let requests = [Request { prompt: ids.to_vec(), seed: 0 }];
    let stop = model.config.eos_token_ids.clone();
    let sampling = Sampling { temperature: 0.0, max_tokens: count, stop, ..Sampling::default() };
    let mut completions = generate::generate(model, &requests, &sampling, 1, &mut |_, _| {})?;
    Ok(completions.remove(0).ids)
}
