//! What sampling costs, compared with `generate` of Hugging Face transformers: same model, prompts, length and threads,
//! in one run.
//!
//!     R1FLOW_BENCH_PYTHON=VENV/bin/python cargo bench -p r1flow-lm --bench sample \
//!         [-- tiny|small|smollm2 … float32|bfloat16 … 1|64 …]
//!
//! Prompts are distinct and have 32 tokens. Each completion has 128 tokens at temperature 1, and no token ends it.
//! "Ratio wall" compares wall times, "ratio CPU" the processor times of the processes. Without the variable only our
//! side runs. The packages: torch 2.11.0, transformers 5.24.0.

mod beside;

use std::path::Path;

use beside::{Failure, SMALL, SMOLLM2, TINY, TURNS, cells, is_chosen, say, serve, take_turns};
use lm::generate::generate;
use lm::{Config, Kind, Model, Options, Request, Sampling, Shape};

const PROMPT: usize = 32;
const TOKENS: usize = 128;

struct Case {
    name: &'static str,
    architecture: &'static str,
    shape: Shape,
    dtype: &'static str,
    batch: usize,
    turns: usize,
    /// How often a turn samples the batch.
    times: usize,
}

const OF_TINY: Case =
    Case { name: "tiny", architecture: "qwen2", shape: TINY, dtype: "float32", batch: 64, turns: TURNS, times: 1 };
const OF_SMALL: Case = Case { name: "small", shape: SMALL, ..OF_TINY };
/// The shape of SmolLM2-135M.
const OF_SMOLLM2: Case = Case { name: "smollm2", architecture: "llama", shape: SMOLLM2, turns: 3, ..OF_TINY };

const CASES: &[Case] = &[
    Case { batch: 1, times: 4, ..OF_TINY },
    OF_TINY,
    Case { batch: 1, times: 2, ..OF_SMALL },
    OF_SMALL,
    Case { batch: 1, ..OF_SMOLLM2 },
    OF_SMOLLM2,
    Case { batch: 1, dtype: "bfloat16", ..OF_SMOLLM2 },
    Case { dtype: "bfloat16", ..OF_SMOLLM2 },
];

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [side, folder, dtype, threads, batch, prompt, tokens] = arguments.as_slice()
        && side == "--side"
    {
        let numbers = (threads.parse()?, batch.parse()?, prompt.parse()?, tokens.parse()?);
        return sample(Path::new(folder), dtype, numbers);
    }
    say(
        "| model | type | batch | threads | ours, tok/s | theirs, tok/s | ratio wall | ratio CPU | peak MiB, ours / theirs |",
    );
    say("|---|---|---|---|---|---|---|---|---|");
    let types: Vec<&str> = CASES.iter().map(|case| case.dtype).collect();
    let models: Vec<&str> = CASES.iter().map(|case| case.name).collect();
    let chosen = CASES.iter().filter(|case| {
        is_chosen(&arguments, case.name, &models)
            && is_chosen(&arguments, case.dtype, &types)
            && is_chosen(&arguments, &case.batch.to_string(), &["1", "64"])
    });
    for case in chosen {
        let dir = tempfile::tempdir()?;
        Model::init(Config::new(case.architecture, &case.shape)?, 1, lm::Device::Cpu).save(dir.path())?;
        for threads in [1, 2] {
            let names = [dir.path().display().to_string(), case.dtype.to_owned()];
            let numbers = [threads, case.batch, PROMPT, TOKENS].map(|number| number.to_string());
            let arguments: Vec<String> = names.into_iter().chain(numbers).collect();
            let (own, other) = take_turns("sample.py", (&arguments, &arguments), (case.turns, case.times))?;
            let mut row: Vec<String> = [case.name, case.dtype].map(str::to_owned).into();
            row.extend([case.batch, threads].map(|number| number.to_string()));
            row.extend(cells(&own, other.as_ref(), (case.batch * TOKENS * case.times) as f64));
            say(&format!("| {} |", row.join(" | ")));
        }
    }
    Ok(())
}

/// Runs our side.
fn sample(
    dir: &Path,
    dtype: &str,
    (threads, batch, prompt, tokens): (usize, usize, usize, usize),
) -> Result<(), Failure> {
    let device = lm::setup(threads, lm::Device::Cpu)?;
    let dtype = if dtype == "bfloat16" { Kind::BFloat16 } else { Kind::Float };
    let model = Model::load(dir, &Options { device, dtype })?;
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
