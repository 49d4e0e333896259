//! What a step of SFT costs, compared with Hugging Face transformers: same model, rows, type and threads, in one run.
//!
//!     R1FLOW_BENCH_PYTHON=VENV/bin/python cargo bench -p r1flow-lm --bench sft \
//!         [-- tiny|small|medium … float32|bfloat16|autocast …]
//!
//! Every token but a row's first has a loss, gradients are clipped, AdamW is fused. "Ratio wall" compares wall times,
//! "ratio CPU" the processor times of the processes. In bfloat16 transformers keeps weights and moments in bfloat16 or,
//! as `autocast`, the weights in float32; ours keeps float32 master weights. Without the variable only our side runs.
//! The packages: torch 2.11.0, transformers 5.23.0.

mod beside;

use std::path::Path;

use beside::{Failure, MEDIUM, SMALL, TINY, TURNS, cells, is_chosen, say, serve, take_turns};
use lm::{AdamW, AdamWOptions, Config, Kind, Model, Options, Rows, Shape, clip_grad_norm, head, zero_grad};

struct Case {
    name: &'static str,
    shape: Shape,
    rows: usize,
    length: usize,
    steps: usize,
}

const CASES: &[Case] = &[
    Case { name: "tiny", shape: TINY, rows: 8, length: 128, steps: 30 },
    Case { name: "small", shape: SMALL, rows: 8, length: 128, steps: 3 },
    Case { name: "medium", shape: MEDIUM, rows: 2, length: 128, steps: 2 },
];
/// The types in which both sides compute, ours first.
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
    for case in CASES.iter().filter(|case| is_chosen(&arguments, case.name, &models)) {
        let dir = tempfile::tempdir()?;
        Model::init(Config::new("qwen2", &case.shape)?, 1, lm::Device::Cpu).save(dir.path())?;
        for (ours, theirs) in TYPES.iter().filter(|(_, theirs)| is_chosen(&arguments, theirs, &types)) {
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
    let (own, other) = take_turns("sft.py", (&tail(ours), &tail(theirs)), (TURNS, case.steps))?;
    let tokens = (case.rows * case.length * case.steps) as f64;
    let mut row = vec![case.name.to_owned(), format!("{ours} / {theirs}"), threads.to_string()];
    row.extend(cells(&own, other.as_ref(), tokens));
    say(&format!("| {} |", row.join(" | ")));
    Ok(())
}

/// Runs our side.
fn take_steps(dir: &Path, dtype: &str, threads: usize, num_rows: usize, length: usize) -> Result<(), Failure> {
    let device = lm::setup(threads, lm::Device::Cpu)?;
    let dtype = if dtype == "bfloat16" { Kind::BFloat16 } else { Kind::Float };
    let model = Model::load(dir, &Options { device, dtype })?;
    let (vocabulary, length) = (model.config.vocab_size, length as i64);
    let row = |i: i64| (0..length).map(|t| (i * 31 + t * t * 7 + 3) % vocabulary).collect::<Vec<_>>();
    let rows = Rows::pack((0..num_rows as i64).map(row));
    let predictions = rows.predictions();
    let (positions, targets) = predictions.to_device(device);
    let scale = 1.0 / predictions.targets.len() as f64;
    let mut optimiser = AdamW::new(model.parameters(), AdamWOptions::default());
    serve(|| {
        let hidden = model.hidden(&rows).index_select(0, &positions);
        head::backward(&model, &hidden, &targets, 1.0, head::CHUNK, |logps, _| -logps.sum(Kind::Float) * scale);
        clip_grad_norm(model.parameters(), 1.0)?;
        optimiser.step(1e-4)?;
        Ok(zero_grad(model.parameters())?)
    })
}
