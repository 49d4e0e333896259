//! Students on tiny models: they come closer to their teacher, a stop changes nothing, and a teacher with another
//! tokenizer is refused.

use std::path::{Path, PathBuf};

use engine::artifact as mark;
use engine::worker::protocol::FromWorker;
use lm::{Kind, Model, Options, Tensor, loss, no_grad_guard};
use serde_json::{Value, json};
use tempfile::TempDir;
use text::Chat;

use super::Distill;
use crate::artifacts::TokenRow;
use crate::artifacts::{PromptRow, SampleRow, write_prompts, write_samples};
use crate::kinds::sft::Sft;
use crate::kinds::teacher_logits::TeacherLogits;
use crate::testing::{Attempt, NOISES, message, reference, shake, tiny_model, well};
use crate::training::rows::pack;
use crate::verifiers::Verify;

/// Losses of five seeded steps on the CPU by each method; see `sft`'s tests for when they may change.
const GOLDEN_LOGITS: [f64; 5] = [4.525_677, 4.418_244, 3.523_248, 3.116_750, 2.745_570];
const GOLDEN_ON_POLICY: [f64; 5] = [4.710_834, 6.443_785, 5.206_033, 4.666_224, 3.931_764];

/// A folder with a student, a teacher trained on sums, the teacher's logits, and prompts.
struct School(TempDir);

impl School {
    fn new() -> Self {
        Self::shaken(0)
    }

    /// The same from weights with one of `NOISES`.
    fn shaken(noise: u64) -> Self {
        let school = Self(tempfile::tempdir().unwrap());
        tiny_model(&school.at("student"));
        shake(&school.at("student"), noise);
        well(write_samples(&school.at("data"), &(2..10).map(sample).collect::<Vec<_>>()).map_err(Into::into));
        let prompts: Vec<_> = (2..10).map(prompt).collect();
        well(write_prompts(&school.at("prompts"), &prompts).map_err(Into::into));
        let taught = json!({
            "model": reference::<mark::Model>("base.model", &school.at("student")),
            "data": [reference::<mark::Samples>("data.samples", &school.at("data"))],
            "steps": 40, "batch-size": 8, "lr": 0.02,
        });
        well(Attempt::new::<Sft>(&school.at("taught"), &taught, None).run::<Sft>());
        let asked = json!({
            "model": reference::<mark::Model>("taught.model", &school.teacher()),
            "data": [reference::<mark::Samples>("data.samples", &school.at("data"))],
            "top-k": 8, "micro-batch-tokens": 8,
        });
        well(Attempt::new::<TeacherLogits>(&school.at("asked"), &asked, None).run::<TeacherLogits>());
        school
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn teacher(&self) -> PathBuf {
        self.at("taught/output-model")
    }

    fn config(&self, method: &str, more: &Value) -> Value {
        let mut config = json!({
            "model": reference::<mark::Model>("student.model", &self.at("student")),
            "method": method, "steps": 6, "batch-size": 4, "lr": 0.01, "micro-batch-tokens": 30, "warmup-steps": 2,
        });
        let of_method = match method {
            "logits" => {
                json!({ "logits": [reference::<mark::Logits>("asked.logits", &self.at("asked/output-logits"))] })
            }
            _ => json!({
                "teacher": reference::<mark::Model>("taught.model", &self.teacher()),
                "prompts": [reference::<mark::Prompts>("sums.prompts", &self.at("prompts"))],
                "completion-tokens": 24,
            }),
        };
        for part in [&of_method, more] {
            config.as_object_mut().unwrap().extend(part.as_object().unwrap().clone());
        }
        config
    }

    /// Adds prompts that the student answers after every second step.
    fn with_held_out(&self, mut config: Value) -> Value {
        let more = json!({ "eval-prompts": [reference::<mark::Prompts>("sums.prompts", &self.at("prompts"))],
                           "eval-every": 2, "eval-max-tokens": 16 });
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        config
    }

    fn train(&self, name: &str, config: &Value) -> Attempt {
        let attempt = Attempt::new::<Distill>(&self.at(name), config, None);
        well(attempt.run::<Distill>());
        attempt
    }

    /// KL(teacher ‖ student) and KL(student ‖ teacher) of a model, per completion token of samples that no model was
    /// trained on.
    fn distances(&self, student: &Path) -> (f64, f64) {
        let _guard = no_grad_guard();
        let chat = Chat::load(student).unwrap();
        let rows = (10..20).map(|n| {
            let SampleRow { prompt, completion, .. } = sample(n);
            let (prompt, completion) = (
                chat.prompt_ids(&prompt).unwrap(),
                chat.completion_ids(&chat.prompt_ids(&prompt).unwrap(), &completion).unwrap(),
            );
            TokenRow { start: prompt.len(), ids: [prompt, completion].concat() }
        });
        let (packed, starts) = pack(rows.collect::<Vec<_>>().iter());
        let positions = Tensor::from_slice(&packed.predictions_from(&starts).positions);
        let log_probs = |dir: &Path| {
            let model = Model::load(dir, &Options::default()).unwrap();
            model.logits(&model.hidden(&packed).index_select(0, &positions)).log_softmax(-1, Kind::Double)
        };
        let (p, q) = (log_probs(&self.teacher()), log_probs(student));
        let mean = |kl: Tensor| kl.mean(Kind::Double).double_value(&[]);
        (mean(loss::divergence(&p, &q)), mean(loss::divergence(&q, &p)))
    }

    /// Stops a training three times, and compares the result with that of an uninterrupted one.
    fn resumes(&self, name: &str, config: &Value) {
        let config = &self.with_held_out(config.clone());
        self.train(&format!("{name}-whole"), config);
        let mut resume = None;
        for step in 1..=3 {
            let broken = Attempt::new::<Distill>(&self.at(&format!("{name}-{step}")), config, resume);
            let stopped = broken.run_stopped::<Distill>();
            assert_eq!(stopped.step, step);
            resume = Some(stopped);
        }
        well(Attempt::new::<Distill>(&self.at(&format!("{name}-resumed")), config, resume).run::<Distill>());
        for output in ["model/model.safetensors", "best/model.safetensors", "answers/answers.jsonl"] {
            let bytes = |end: &str| fs_err::read(self.at(&format!("{name}-{end}/output-{output}"))).unwrap();
            assert!(bytes("whole") == bytes("resumed"), "{name} {output}");
        }
    }
}

fn sample(n: usize) -> SampleRow {
    SampleRow::new(format!("{n}+1=?"), format!("<think>{n}+1</think>{}", n + 1))
}

fn prompt(n: usize) -> PromptRow {
    PromptRow {
        id: n.to_string(),
        prompt: format!("{n}+1=?").into(),
        answer: Some((n + 1).to_string()),
        verify: Verify::EXACT,
        tests: None,
        tolerance: None,
        task: None,
        language: None,
        source: String::new(),
    }
}

fn curve(attempt: &Attempt, metric: &str) -> Vec<f64> {
    let progress = attempt.sent().into_iter().filter_map(|message| match message {
        FromWorker::Progress { metrics, .. } => Some(metrics[metric]),
        _ => None,
    });
    progress.collect()
}

#[test]
fn logits_bring_a_student_close_to_its_teacher() {
    let school = School::new();
    let (before, _) = school.distances(&school.at("student"));
    for (name, more) in [("plain", json!({})), ("warm", json!({ "temperature": 2.0, "text-weight": 0.3 }))] {
        let mut config = school.config("logits", &json!({ "steps": 60, "batch-size": 8, "lr": 0.02 }));
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        school.train(name, &config);
        let (after, _) = school.distances(&school.at(name).join("output-model"));
        assert!(after < before / 3.0, "{name}: {before} to {after}");
    }
}

#[test]
fn a_student_that_is_its_teacher_has_nothing_to_learn() {
    let school = School::new();
    let teacher = json!({ "model": reference::<mark::Model>("taught.model", &school.teacher()), "steps": 1 });
    for method in ["logits", "on-policy"] {
        let attempt = school.train(method, &school.config(method, &teacher));
        let kl = curve(&attempt, "kl")[0];
        assert!(kl.abs() < 1e-5, "{method}: {kl}");
    }
}

#[test]
fn on_policy_brings_a_student_close_to_its_teacher() {
    let school = School::new();
    let (_, before) = school.distances(&school.at("student"));
    for divergence in ["reverse", "forward"] {
        let more = json!({ "steps": 100, "batch-size": 8, "lr": 0.02, "divergence": divergence });
        let attempt = school.train(divergence, &school.config("on-policy", &more));
        let (kl, (_, after)) = (curve(&attempt, "kl"), school.distances(&school.at(divergence).join("output-model")));
        assert!(kl[95..].iter().sum::<f64>() < kl[..5].iter().sum::<f64>() / 2.5, "{divergence}: {kl:?}");
        assert!(after < 0.6 * before, "{divergence}: {before} to {after}");
        assert!(curve(&attempt, "sampling/sampling_logp_difference/max").iter().all(|difference| *difference < 1e-3));
    }
}

#[test]
fn a_stop_changes_nothing() {
    let school = School::new();
    let cosine = json!({ "schedule": "cosine", "decay-steps": 6, "temperature": 1.5 });
    for method in ["logits", "on-policy"] {
        let lean = json!({ "dtype": "bfloat16", "gradient-checkpointing": true });
        for (name, more) in [("full", &cosine), ("adapters", &json!({ "lora": { "rank": 2 } })), ("lean", &lean)] {
            school.resumes(&format!("{method}-{name}"), &school.config(method, more));
        }
    }
}

#[test]
fn recomputing_changes_nothing() {
    let school = School::new();
    for method in ["logits", "on-policy"] {
        let bytes = |recompute: bool| {
            let name = format!("{method}-{recompute}");
            school.train(&name, &school.config(method, &json!({ "gradient-checkpointing": recompute })));
            fs_err::read(school.at(&name).join("output-model/model.safetensors")).unwrap()
        };
        assert!(bytes(true) == bytes(false), "{method}");
    }
}

#[test]
fn micro_batches_give_the_gradients_of_the_whole_batch() {
    let school = School::new();
    for method in ["logits", "on-policy"] {
        let whole =
            school.train(&format!("{method}-whole"), &school.config(method, &json!({ "micro-batch-tokens": 10_000 })));
        let parts =
            school.train(&format!("{method}-parts"), &school.config(method, &json!({ "micro-batch-tokens": 1 })));
        for metric in ["loss", "kl", "grad_norm"] {
            for (whole, part) in curve(&whole, metric).iter().zip(curve(&parts, metric)) {
                assert!((whole - part).abs() < 1e-3 * whole.abs().max(0.1), "{method}, {metric}: {whole} {part}");
            }
        }
    }
}

#[test]
fn golden_steps() {
    for noise in NOISES {
        let school = School::shaken(noise);
        let methods = [("logits", GOLDEN_LOGITS, 2e-5), ("on-policy", GOLDEN_ON_POLICY, 2e-4)];
        for (method, golden, bound) in methods {
            let losses = curve(&school.train(method, &school.config(method, &json!({ "steps": 5 }))), "loss");
            let near = losses.iter().zip(golden).all(|(loss, golden)| (loss - golden).abs() < bound);
            assert!(near, "noise {noise}, {method}: {losses:?}");
        }
    }
}

#[test]
fn a_teacher_of_another_vocabulary_is_refused() {
    let school = School::new();
    let file = school.at("student").join("tokenizer.json");
    let tokenizer = fs_err::read_to_string(&file).unwrap();
    let refused = |text: &str, reason: &str| {
        fs_err::write(&file, text).unwrap();
        for method in ["logits", "on-policy"] {
            let attempt = Attempt::new::<Distill>(&school.at("refused"), &school.config(method, &json!({})), None);
            let Err(error) = attempt.run::<Distill>() else { panic!("{method}: it went well") };
            assert!(error.message.contains(reason), "{method}: {}", error.message);
            assert!(error.help.is_some_and(|help| help.contains("method = \"text\"")));
        }
    };
    refused(&tokenizer.replace("\"得\"", "\"不\""), "different tokens for the same ids");
    let mut smaller: Value = serde_json::from_str(&tokenizer).unwrap();
    smaller["model"]["vocab"].as_object_mut().unwrap().remove("得");
    refused(&smaller.to_string(), "tokens, its teacher `");
    // The same tokenizer, formatted differently, is accepted.
    let compact: Value = serde_json::from_str(&tokenizer).unwrap();
    fs_err::write(&file, compact.to_string()).unwrap();
    school.train("respelt", &school.config("logits", &json!({ "steps": 1 })));
}

#[test]
fn completions_need_room() {
    let school = School::new();
    let attempt =
        |name: &str, more: &Value| Attempt::new::<Distill>(&school.at(name), &school.config("on-policy", more), None);
    let none = attempt("none", &json!({ "max-tokens": 24 }));
    assert!(message(none.run::<Distill>()).starts_with("`max-tokens` = 24 leaves no room for a prompt"));
    let too_little = attempt("too-little", &json!({ "max-tokens": 26 }));
    assert!(message(too_little.run::<Distill>()).starts_with("no prompt leaves room in the 2 tokens"));
    let short = attempt("short", &json!({ "steps": 1, "completion-tokens": 1 }));
    well(short.run::<Distill>());
    assert!(
        short.warnings().iter().any(|warning| warning.starts_with("no completion ended within `completion-tokens`"))
    );
}

#[test]
fn rows_that_are_too_long_are_left_out() {
    let school = School::new();
    let attempt = |max: usize| {
        let config = school.config("logits", &json!({ "max-tokens": max, "steps": 1 }));
        Attempt::new::<Distill>(&school.at(&max.to_string()), &config, None)
    };
    assert_eq!(message(attempt(3).run::<Distill>()), "no row is short enough for `max-tokens` = 3");
    // All rows have the same length except the last, whose sum has two digits.
    let some = attempt(13);
    well(some.run::<Distill>());
    assert!(some.warnings()[0].starts_with("1 of 8 rows is longer than 13 tokens"), "{:?}", some.warnings());
}
