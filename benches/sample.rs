//! What sampling costs, compared with `generate` of Hugging Face transformers: same model, prompts, length and threads,
//! in one run.
//!
//!     R1FLOW_BENCH_PYTHON=VENV/bin/python cargo bench -p r1flow-lm --bench sample [-- tiny|small … 1|64 …]
//!
//! Prompts are distinct and have 32 tokens. Each completion has 128 tokens at temperature 1, and no token ends it. All
//! is in single precision. "Ratio wall" compares wall times, "ratio CPU" the processor times of the processes. Without
//! the variable only our side runs. The packages: torch 2.11.0, transformers 5.23.0.

mod beside;

use std::path::Path;

use beside::{Failure, SMALL, TINY, cells, say, serve, take_turns};
use lm::generate::generate;
use lm::{Config, Model, Options, Request, Sampling, Shape};

const PROMPT: usize = 32;
const TOKENS: usize = 128;

struct Case {
    name: &'static str,
    shape: Shape,
    batch: usize,
    /// How often a turn samples the batch.
    times: usize,
}

const CASES: &[Case] = &[
    Case { name: "tiny", shape: TINY, batch: 1, times: 4 },
    Case { name: "tiny", shape: TINY, batch: 64, times: 1 },
    Case { name: "small", shape: SMALL, batch: 1, times: 2 },
    Case { name: "small", shape: SMALL, batch: 64, times: 1 },
];

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [side, folder, threads, batch, prompt, tokens] = arguments.as_slice()
        && side == "--side"
    {
        return sample(Path::new(folder), threads.parse()?, batch.parse()?, prompt.parse()?, tokens.parse()?);
    }
    say("| model | batch | threads | ours, tok/s | theirs, tok/s | ratio wall | ratio CPU | peak MiB, ours / theirs |");
    say("|---|---|---|---|---|---|---|---|");
    let is_chosen = |case: &&Case| {
        let (names, batches): (Vec<&String>, Vec<&String>) =
            arguments.iter().partition(|argument| argument.parse::<usize>().is_err());
        (names.is_empty() || names.iter().any(|name| *name == case.name))
            && (batches.is_empty() || batches.iter().any(|batch| **batch == case.batch.to_string()))
    };
    for case in CASES.iter().filter(is_chosen) {
        let dir = tempfile::tempdir()?;
        Model::init(Config::new("qwen2", &case.shape)?, 1, lm::Device::Cpu).save(dir.path())?;
        for threads in [1, 2] {
            let folder = dir.path().display().to_string();
            let numbers = [threads, case.batch, PROMPT, TOKENS].map(|number| number.to_string());
            let arguments: Vec<String> = std::iter::once(folder).chain(numbers).collect();
            let (own, other) = take_turns("sample.py", (&arguments, &arguments), case.times)?;
            let mut row = vec![case.name.to_owned(), case.batch.to_string(), threads.to_string()];
            row.extend(cells(&own, other.as_ref(), (case.batch * TOKENS * case.times) as f64));
            say(&format!("| {} |", row.join(" | ")));
        }
    }
    Ok(())
}

/// Runs our side.
fn sample(dir: &Path, threads: usize, batch: usize, prompt: usize, tokens: usize) -> Result<(), Failure> {
    let device = lm::setup(threads, lm::Device::Cpu)?;
    let model = Model::load(dir, &Options { device, ..Options::default() })?;
    let vocabulary = model.config.vocab_size;
    let row = |i: i64| (0..prompt as i64).map(|t| (i * 31 + t * t * 7 + 3) % vocabulary).collect();
    let requests: Vec<Request> = (0..batch).map(|i| Request { prompt: row(i as i64), seed: i as u64 }).collect();
    let sampling = Sampling { max_tokens: tokens, ..Sampling::default() };
    serve(|| {
        let done = generate(&model, &requests, &sampling, batch, &mut |_, _| {})?;
        assert!(done.iter().all(|completion| completion.ids.len() == tokens), "nothing ends a completion");
        Ok(())
    })
}
