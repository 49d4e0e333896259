//! Tests of a real model, SmolLM2-135M-Instruct: its tokenizer, its template and its numbers are those of transformers.
//!
//! The model is 270 MB, so it is not in the repository. The tests look for a folder with it where `R1FLOW_SMOLLM2`
//! says, or else in `target/smollm2`, and say so if there is none. `make.py` wrote `reference.json`.

use std::path::{Path, PathBuf};

use lm::{Device, Kind, Model, Options, Request, Rows, Sampling, generate, head, no_grad_guard};
use serde::Deserialize;
use text::{Chat, Message, Prompt};

/// Bound on log-probabilities in single precision, three times the worst that was seen.
const SINGLE: f64 = 1e-4;
/// Bound on log-probabilities in bf16, twice the worst that was seen.
const HALF: f64 = 0.5;
/// Distance of the two likeliest logits, above which bf16 chooses the same token.
const CLEAR: f64 = 0.5;

#[derive(Deserialize)]
struct Reference {
    weights: Weights,
    rows: Vec<Row>,
}

#[derive(Deserialize)]
struct Weights {
    embedding_sum: f64,
    last_norm_sum: f64,
}

#[derive(Deserialize)]
struct Row {
    messages: Vec<Message>,
    prompt: Vec<i64>,
    answer: String,
    whole: Vec<i64>,
    logprobs: Vec<f64>,
    greedy: Greedy,
}

#[derive(Deserialize)]
struct Greedy {
    tokens: Vec<i64>,
    margins: Vec<f64>,
}

fn reference() -> Reference {
    serde_json::from_str(include_str!("reference.json")).expect("make.py wrote it")
}

/// Returns the model's folder, or says that the test is skipped.
#[expect(clippy::print_stderr, reason = "a test that skips says so")]
#[expect(clippy::disallowed_methods, reason = "a test finds its model by a variable")]
fn folder() -> Option<PathBuf> {
    let named = std::env::var_os("R1FLOW_SMOLLM2").map(PathBuf::from);
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/smollm2");
    let folder = named.unwrap_or(default);
    if folder.join("config.json").is_file() {
        return Some(folder);
    }
    eprintln!("skipped: SmolLM2-135M-Instruct is not in {}", folder.display());
    None
}

/// Returns the model, or says that the test is skipped: the hub's weights are not those that the numbers belong to.
#[expect(clippy::print_stderr, reason = "a test that skips says so")]
fn model(folder: &Path, reference: &Reference, dtype: Kind) -> Option<Model> {
    let device = lm::setup(2, Device::Cpu).expect("the CPU is always there");
    let model = Model::load(folder, &Options { device, dtype }).expect("a Llama model");
    assert_eq!(model.num_parameters(), 134_515_008);
    let sum = |wanted: &str| {
        let (_, weight) = model.parameters().iter().find(|(name, _)| name == wanted).expect("a parameter");
        weight.sum(Kind::Double).double_value(&[])
    };
    let Weights { embedding_sum, last_norm_sum } = &reference.weights;
    let sums = [("model.embed_tokens.weight", embedding_sum), ("model.norm.weight", last_norm_sum)];
    if sums.iter().all(|(name, expected)| (sum(name) - **expected).abs() < 1e-3) {
        return Some(model);
    }
    eprintln!("skipped: {} has other weights than those that `reference.json` was made from", folder.display());
    None
}

#[test]
fn a_real_model_s_chats_have_the_ids_of_transformers() {
    let Some(folder) = folder() else { return };
    let chat = Chat::load(&folder).expect("a tokenizer and a template");
    for Row { messages, prompt, answer, whole, .. } in reference().rows {
        let question = Prompt::of_turns(messages);
        assert_eq!(chat.prompt_ids(&question).expect("a template"), prompt, "{question:?}");
        let completion = chat.completion_ids(&prompt, &answer).expect("a template");
        assert_eq!([prompt, completion].concat(), whole, "{question:?}");
    }
}

fn log_probs(model: &Model, ids: &[i64]) -> Vec<f64> {
    let _guard = no_grad_guard();
    let rows = Rows::pack([ids]);
    let (positions, targets) = rows.predictions().to_device(model.device());
    let hidden = model.hidden(&rows).index_select(0, &positions);
    let found = head::logprobs(model, &hidden, &targets, 1.0, head::CHUNK);
    Vec::try_from(found.to_kind(Kind::Double)).expect("numbers")
}

fn greedy(model: &Model, prompt: &[i64], count: usize) -> Vec<i64> {
    let requests = [Request { prompt: prompt.to_vec(), seed: 0 }];
    let stop = model.config.eos_token_ids.clone();
    let sampling = Sampling { temperature: 0.0, max_tokens: count, stop, ..Sampling::default() };
    generate::generate(model, &requests, &sampling, 1, &mut |_, _| {}).expect("a valid request").remove(0).ids
}

#[test]
fn a_real_model_has_the_numbers_of_transformers() {
    let (Some(folder), reference) = (folder(), reference()) else { return };
    for (dtype, bound) in [(Kind::Float, SINGLE), (Kind::BFloat16, HALF)] {
        let Some(model) = model(&folder, &reference, dtype) else { return };
        let mut compared = 0;
        for row in &reference.rows {
            let found = log_probs(&model, &row.whole);
            let worst = found.iter().zip(&row.logprobs).map(|(found, expected)| (found - expected).abs());
            let worst = worst.fold(0.0, f64::max);
            assert!(found.len() == row.logprobs.len() && worst < bound, "{dtype:?}, {:?}: {worst}", row.messages);
            let Greedy { tokens, margins } = &row.greedy;
            let needed = if dtype == Kind::Float { 2.0 * bound } else { CLEAR };
            let clear = margins.iter().take_while(|margin| **margin > needed).count();
            assert_eq!(greedy(&model, &row.prompt, tokens.len()).get(..clear), tokens.get(..clear), "{dtype:?}");
            compared += clear;
        }
        assert!(compared > 10, "{dtype:?}: only {compared} tokens are clear");
    }
}
