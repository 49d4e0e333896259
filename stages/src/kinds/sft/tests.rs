//! `sft` on a tiny model: it learns, and a stop in the middle changes nothing.

mod held_out;
mod held_out_prompts;

use engine::artifact::{Model as ModelMarker, Samples};
use engine::stage::Outcome;
use engine::worker::protocol::{FromWorker, Resume};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use super::Sft;
use crate::artifacts::{SampleRow, write_samples};
use crate::testing::{Attempt, NOISES, message, reference, shake, tiny_model, tiny_model_of, well};

/// Losses of ten seeded steps, valid on any CPU ([`NOISES`]). A refactor must not change them. A change of the
/// mathematics updates them (print `losses`), raises the kind's `VERSION` and explains why.
const GOLDEN: [f64; 10] =
    [4.519_489, 4.098_474, 2.969_914, 2.669_690, 2.248_231, 2.145_693, 1.752_778, 1.799_488, 1.557_100, 1.385_858];

fn config(dir: &TempDir, steps: u64) -> Value {
    let (model, data) = (dir.path().join("model"), dir.path().join("data"));
    tiny_model(&model);
    let rows: Vec<_> =
        (1..9).map(|n| SampleRow::new(format!("{n}+1=?"), format!("<think>{n}+1</think>{}", n + 1))).collect();
    well(write_samples(&data, &rows).map_err(Into::into));
    json!({
        "model": reference::<ModelMarker>("base.model", &model),
        "data": [reference::<Samples>("data.samples", &data)],
        "steps": steps, "batch-size": 4, "lr": 0.02, "micro-batch-tokens": 40, "warmup-steps": 2,
    })
}

fn run(dir: &TempDir, name: &str, config: &Value, resume: Option<Resume>) -> (Attempt, Map<String, Value>) {
    let attempt = Attempt::new::<Sft>(&dir.path().join(name), config, resume);
    match well(attempt.run::<Sft>()) {
        Outcome::Done(summary) => (attempt, summary),
        Outcome::Stopped(step) => panic!("stopped at {step}"),
    }
}

/// Returns the checkpoint of an attempt after `steps` steps, each of them by an attempt of its own.
fn stopped_after_each(dir: &TempDir, config: &Value, steps: u64) -> Option<Resume> {
    (1..=steps).fold(None, |resume, step| {
        let broken = Attempt::new::<Sft>(&dir.path().join(format!("broken-{step}")), config, resume);
        Some(broken.run_stopped::<Sft>())
    })
}

fn losses(attempt: &Attempt) -> Vec<f64> {
    let progress = attempt.sent().into_iter().filter_map(|message| match message {
        FromWorker::Progress { metrics, .. } => Some(metrics["loss"]),
        _ => None,
    });
    progress.collect()
}

#[test]
fn eight_rows_are_learnt_by_heart() {
    let dir = tempfile::tempdir().unwrap();
    let attempt = Attempt::new::<Sft>(&dir.path().join("attempt"), &config(&dir, 60), None);
    assert!(matches!(well(attempt.run::<Sft>()), Outcome::Done(_)));
    let losses = losses(&attempt);
    assert!(losses[0] > 3.0 && losses[59] < 1.0, "{losses:?}");
}

#[test]
fn golden_steps() {
    for noise in NOISES {
        let dir = tempfile::tempdir().unwrap();
        let config = config(&dir, 10);
        shake(&dir.path().join("model"), noise);
        let attempt = Attempt::new::<Sft>(&dir.path().join("attempt"), &config, None);
        well(attempt.run::<Sft>());
        let losses = losses(&attempt);
        assert_eq!(losses.len(), GOLDEN.len());
        for (step, (loss, golden)) in losses.iter().zip(GOLDEN).enumerate() {
            assert!((loss - golden).abs() < 2e-5, "noise {noise}, step {step}: {losses:?}");
        }
    }
}

#[test]
fn what_training_will_hold_is_said_by_term_and_measured_at_each_step() {
    let dir = tempfile::tempdir().unwrap();
    let attempt = Attempt::new::<Sft>(&dir.path().join("attempt"), &config(&dir, 2), None);
    well(attempt.run::<Sft>());
    let said = attempt.sent().into_iter().find_map(|line| match line {
        FromWorker::Note { message, .. } => message.strip_prefix("memory: ").map(str::to_owned),
        _ => None,
    });
    assert!(said.is_some_and(|said| said.starts_with("model and data ")));
    let peaks: Vec<f64> = attempt.sent().into_iter().filter_map(peak).collect();
    assert!(peaks.len() == 2 && peaks.iter().all(|gib| (0.01..64.0).contains(gib)), "{peaks:?}");
}

fn peak(line: FromWorker) -> Option<f64> {
    let FromWorker::Progress { metrics, .. } = line else { return None };
    metrics.get("peak_memory_gib").copied()
}

#[test]
fn a_resumed_attempt_ends_with_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(&dir, 6);
    let whole = Attempt::new::<Sft>(&dir.path().join("whole"), &config, None);
    well(whole.run::<Sft>());
    let broken = Attempt::new::<Sft>(&dir.path().join("broken"), &config, None);
    let resume = broken.run_stopped::<Sft>();
    assert_eq!(resume.step, 1);
    let resumed = Attempt::new::<Sft>(&dir.path().join("resumed"), &config, Some(resume));
    well(resumed.run::<Sft>());
    let weights =
        |attempt: &str| fs_err::read(dir.path().join(attempt).join("output-model/model.safetensors")).unwrap();
    assert!(weights("whole") == weights("resumed"));
}

#[test]
fn every_architecture_learns_and_resumes() {
    for model_type in ["qwen3", "mistral", "qwen3_moe", "deepseek_v3"] {
        let dir = tempfile::tempdir().unwrap();
        let config = config(&dir, 30);
        tiny_model_of(model_type, 2, &dir.path().join("model"));
        let whole = Attempt::new::<Sft>(&dir.path().join("whole"), &config, None);
        well(whole.run::<Sft>());
        let losses = losses(&whole);
        assert!(losses[0] > 3.0 && losses[29] < 0.6 * losses[0], "{model_type}: {losses:?}");
        let broken = Attempt::new::<Sft>(&dir.path().join("broken"), &config, None);
        let resume = broken.run_stopped::<Sft>();
        well(Attempt::new::<Sft>(&dir.path().join("resumed"), &config, Some(resume)).run::<Sft>());
        let weights =
            |attempt: &str| fs_err::read(dir.path().join(attempt).join("output-model/model.safetensors")).unwrap();
        assert!(weights("whole") == weights("resumed"), "{model_type}");
    }
}

#[test]
fn tensors_without_a_place_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(&dir, 1);
    let model = dir.path().join("model");
    tiny_model_of("deepseek_v3", 1, &model);
    let file = model.join("model.safetensors");
    let mut tensors = lm::checkpoint::load_tensors(&file).unwrap();
    tensors.push(("model.layers.1.eh_proj.weight".to_owned(), lm::Tensor::from_slice(&[1f32])));
    lm::checkpoint::save_tensors(&file, &tensors).unwrap();
    let attempt = Attempt::new::<Sft>(&dir.path().join("attempt"), &config, None);
    well(attempt.run::<Sft>());
    let notes = attempt.sent().into_iter().filter_map(|line| match line {
        FromWorker::Note { message, .. } => Some(message),
        _ => None,
    });
    assert!(notes.into_iter().any(|note| note.contains("tensors: 1, the first `model.layers.1.eh_proj.weight`")));
}

#[test]
fn adapters_start_at_the_base_and_learn() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(&dir, 30);
    let full = Attempt::new::<Sft>(&dir.path().join("full"), &config, None);
    well(full.run::<Sft>());
    config["lora"] = json!({ "rank": 4, "targets": ["q_proj", "up_proj", "down_proj"] });
    let adapted = Attempt::new::<Sft>(&dir.path().join("adapted"), &config, None);
    well(adapted.run::<Sft>());
    let (full, losses) = (losses(&full), losses(&adapted));
    assert_eq!(full[0].to_bits(), losses[0].to_bits(), "B is 0");
    assert!(losses[29] < losses[0] - 0.3, "{losses:?}");

    let load = |path: &str| -> std::collections::BTreeMap<_, _> {
        lm::checkpoint::load_tensors(&dir.path().join(path)).unwrap().into_iter().collect()
    };
    let (base, merged) = (load("model/model.safetensors"), load("adapted/output-model/model.safetensors"));
    let adapter = load("adapted/output-model/adapter/adapter_model.safetensors");
    assert_eq!(adapter.len(), 6);
    for (name, base) in &base {
        let module = name.strip_suffix(".weight").unwrap_or(name);
        let half = |letter: &str| adapter.get(&format!("base_model.model.{module}.lora_{letter}.weight"));
        match half("A").zip(half("B")) {
            None => assert_eq!(*base, merged[name], "{name} is not adapted"),
            Some((a, b)) => {
                let differs = (base + b.matmul(a) * 4.0 - &merged[name]).abs().max().double_value(&[]);
                assert!(differs < 1e-6 && *base != merged[name], "{name}: {differs}");
            }
        }
    }
}

#[test]
fn resumed_adapters_end_with_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(&dir, 6);
    config["lora"] = json!({});
    let whole = Attempt::new::<Sft>(&dir.path().join("whole"), &config, None);
    well(whole.run::<Sft>());
    let mut resume = None;
    for step in 1..=5 {
        let broken = Attempt::new::<Sft>(&dir.path().join(format!("broken-{step}")), &config, resume);
        resume = Some(broken.run_stopped::<Sft>());
    }
    let resumed = Attempt::new::<Sft>(&dir.path().join("resumed"), &config, resume);
    well(resumed.run::<Sft>());
    for file in ["model.safetensors", "adapter/adapter_model.safetensors", "adapter/adapter_config.json"] {
        let bytes = |attempt: &str| fs_err::read(dir.path().join(attempt).join("output-model").join(file)).unwrap();
        assert!(bytes("whole") == bytes("resumed"), "{file}");
    }
}

#[test]
fn computing_activations_anew_changes_no_byte() {
    let cases = [json!({}), json!({ "lora": {} }), json!({ "freeze": ["model.embed_tokens", "model.layers.0"] })];
    for more in cases {
        let dir = tempfile::tempdir().unwrap();
        let mut config = config(&dir, 4);
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let kept = Attempt::new::<Sft>(&dir.path().join("kept"), &config, None);
        well(kept.run::<Sft>());
        config["gradient-checkpointing"] = json!(true);
        let anew = Attempt::new::<Sft>(&dir.path().join("anew"), &config, None);
        well(anew.run::<Sft>());
        let file = |attempt: &str| dir.path().join(attempt).join("output-model/model.safetensors");
        assert!(fs_err::read(file("kept")).unwrap() == fs_err::read(file("anew")).unwrap(), "{more}");
    }
}

#[test]
fn what_is_frozen_stays_and_the_rest_learns_and_resumes() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(&dir, 20);
    config["freeze"] = json!(["model.embed_tokens", "model.layers.0.self_attn", "model.layers.0.mlp.up_proj.weight"]);
    let whole = Attempt::new::<Sft>(&dir.path().join("whole"), &config, None);
    well(whole.run::<Sft>());
    let losses = losses(&whole);
    assert!(losses[19] < losses[0] - 0.1, "{losses:?}");
    let broken = Attempt::new::<Sft>(&dir.path().join("broken"), &config, None);
    let resume = broken.run_stopped::<Sft>();
    let moments = lm::checkpoint::load_tensors(&resume.dir.join("optimizer.safetensors")).unwrap();
    assert!(moments.iter().all(|(name, _)| !name.contains("embed_tokens")), "what is frozen has no moments");
    let resumed = Attempt::new::<Sft>(&dir.path().join("resumed"), &config, Some(resume));
    well(resumed.run::<Sft>());

    let load = |path: &str| lm::checkpoint::load_tensors(&dir.path().join(path)).unwrap();
    let (base, trained) = (load("model/model.safetensors"), load("whole/output-model/model.safetensors"));
    assert!(trained == load("resumed/output-model/model.safetensors"));
    for ((name, base), (_, trained)) in base.iter().zip(&trained) {
        let frozen =
            ["embed_tokens", "layers.0.self_attn", "layers.0.mlp.up_proj"].iter().any(|part| name.contains(part));
        assert_eq!(base == trained, frozen, "{name}");
    }

    for (freeze, said) in [
        (json!(["model.layers.0.self"]), "`freeze` names `model.layers.0.self`, which no parameter begins with"),
        (json!(["model", "lm_head", "score"]), "`freeze` names `lm_head`, which no parameter begins with"),
        (json!(["model"]), "`freeze` names every parameter"),
    ] {
        config["freeze"] = freeze;
        let wrong = Attempt::new::<Sft>(&dir.path().join("wrong"), &config, None);
        assert!(message(wrong.run::<Sft>()).starts_with(said), "{said}");
    }
    config["lora"] = json!({});
    let both = Attempt::new::<Sft>(&dir.path().join("both"), &config, None);
    assert!(message(both.run::<Sft>()).starts_with("`freeze` beside `lora`"));
}

#[test]
fn bf16_follow_single_precision_and_resume_to_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(&dir, 10);
    config["dtype"] = json!("bfloat16");
    let whole = Attempt::new::<Sft>(&dir.path().join("whole"), &config, None);
    well(whole.run::<Sft>());
    for (step, (loss, single)) in losses(&whole).iter().zip(GOLDEN).enumerate() {
        assert!((loss - single).abs() < 0.05 * single, "step {step}: {loss}, single precision has {single}");
    }
    let broken = Attempt::new::<Sft>(&dir.path().join("broken"), &config, None);
    let resume = broken.run_stopped::<Sft>();
    let resumed = Attempt::new::<Sft>(&dir.path().join("resumed"), &config, Some(resume));
    well(resumed.run::<Sft>());
    let file = |attempt: &str| dir.path().join(attempt).join("output-model/model.safetensors");
    assert!(fs_err::read(file("whole")).unwrap() == fs_err::read(file("resumed")).unwrap());
    let exported = lm::checkpoint::load_tensors(&file("whole")).unwrap();
    assert!(exported.iter().all(|(_, tensor)| tensor.kind() == lm::Kind::BFloat16));
}

/// Returns the losses of three steps over rows in JSON.
fn losses_of(rows: &[Value], keys: &Value) -> Result<Vec<f64>, String> {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(&dir, 3);
    let text = rows.iter().map(Value::to_string).collect::<Vec<_>>().join("\n");
    fs_err::write(dir.path().join("data/samples.jsonl"), text).unwrap();
    config["batch-size"] = json!(2);
    config.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    let attempt = Attempt::new::<Sft>(&dir.path().join("attempt"), &config, None);
    attempt.run::<Sft>().map(|_| losses(&attempt)).map_err(|error| error.message)
}

fn turn(role: &str, content: &str) -> Value {
    json!({ "role": role, "content": content })
}

#[test]
fn the_last_turn_is_learnt_after_all_turns_before_it_or_every_turn_is() {
    let turns = [turn("user", "1+1=?"), turn("assistant", "2"), turn("user", "3+1=?"), turn("assistant", "4")];
    let chat = json!({ "messages": turns });
    let first = json!({ "prompt": "1+1=?", "completion": "2" });
    let last = json!({ "prompt": turns[..3], "completion": "4" });
    let learnt = |rows: &[Value], learn: &str| losses_of(rows, &json!({ "learn": learn })).unwrap();
    assert_eq!(learnt(std::slice::from_ref(&chat), "last"), learnt(std::slice::from_ref(&last), "last"));
    assert_eq!(learnt(&[chat], "all"), learnt(&[first.clone(), last.clone()], "last"));
    assert_ne!(learnt(&[last], "last"), learnt(&[first], "last"));
}

#[test]
fn a_row_that_the_tokenizer_refuses_is_named() {
    let rows = [json!({ "prompt": "1+1=?", "completion": "2" }), json!({ "prompt": "A", "completion": "2" })];
    let error = losses_of(&rows, &json!({})).unwrap_err();
    assert!(error.starts_with("row 1 of `data`: tokenizer: "), "{error}");
}

#[test]
fn new_tokens_get_rows_that_are_learnt_and_exported() {
    let dir = tempfile::tempdir().unwrap();
    let mut keys = config(&dir, 1);
    let folder = dir.path().join("model");
    let (before, old) =
        (lm::Model::load(&folder, &lm::Options::default()).unwrap(), text::Chat::load(&folder).unwrap());
    keys["new-tokens"] = json!(["<think>", "+1", "=?"]);
    keys["lr"] = json!(0.0);
    let attempt = Attempt::new::<Sft>(&dir.path().join("attempt"), &keys, None);
    well(attempt.run::<Sft>());
    let out = dir.path().join("attempt/output-model");
    let (after, chat) = (lm::Model::load(&out, &lm::Options::default()).unwrap(), text::Chat::load(&out).unwrap());
    let first = old.tokenizer.last_id() + 1;
    assert_eq!(chat.tokenizer.encode("<think>4+1=?").unwrap()[2..], [first, first + 1]);
    assert_eq!(after.config.vocab_size, before.config.vocab_size.max(first + 2));
    let row = |model: &lm::Model, id: i64| {
        let embedding = model.parameters().iter().find(|(name, _)| name == "model.embed_tokens.weight").unwrap();
        Vec::<f32>::try_from(embedding.1.get(id)).unwrap()
    };
    let pieces = old.tokenizer.encode("+1").unwrap();
    let mean: Vec<f32> =
        row(&before, pieces[0]).iter().zip(row(&before, pieces[1])).map(|(a, b)| (a + b) / 2.0).collect();
    assert_eq!(row(&after, first), mean);
    assert_eq!(row(&after, 3), row(&before, 3));
    keys["lora"] = json!({});
    assert!(
        message(Attempt::new::<Sft>(&dir.path().join("b"), &keys, None).run::<Sft>())
            .contains("`new-tokens` with `lora`")
    );
}
