//! `grpo` on a tiny model: rewards rise, and a stop in the middle of a rollout changes nothing.

use std::path::Path;

use engine::artifact::{Model as ModelMarker, Prompts};
use engine::stage::{Outcome, StageError};
use engine::worker::protocol::{FromWorker, Resume};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::Grpo;
use crate::artifacts::{PromptRow, write_prompts};
use crate::testing::{Attempt, NOISES, message, reference, shake, tiny_model, tiny_model_of, well};
use crate::verifiers::Verify;

/// Rewards and losses of five seeded steps on the CPU; see `sft`'s tests for when they may change.
const GOLDEN: [(f64, f64); 5] = [
    (-0.895_833, 0.125_311),
    (-0.739_583, 0.252_326),
    (-0.770_833, 0.236_713),
    (-0.666_667, 0.381_542),
    (-0.489_583, 0.423_898),
];

fn config(dir: &TempDir, changes: &Value) -> Value {
    let (model, prompts) = (dir.path().join("model"), dir.path().join("prompts"));
    tiny_model(&model);
    let row = |n: usize| PromptRow {
        id: n.to_string(),
        prompt: format!("{n}").into(),
        answer: Some("7".to_owned()),
        verify: Verify::EXACT,
        tests: None,
        tolerance: None,
        task: None,
        language: None,
        source: String::new(),
    };
    well(write_prompts(&prompts, &(0..12).map(row).collect::<Vec<_>>()).map_err(Into::into));
    let mut config = json!({
        "model": reference::<ModelMarker>("base.model", &model),
        "prompts": [reference::<Prompts>("sums.prompts", &prompts)],
        "rewards": { "accuracy": 1.0, "length": { "max-tokens": 6, "buffer": 0.5 } },
        "steps": 6, "prompts-per-step": 4, "group-size": 8, "max-tokens": 6, "lr": 0.01, "micro-batch-tokens": 64,
    });
    for (key, value) in changes.as_object().unwrap() {
        config[key] = value.clone();
    }
    config
}

fn curve(attempt: &Attempt, metric: &str) -> Vec<f64> {
    let progress = attempt.sent().into_iter().filter_map(|message| match message {
        FromWorker::Progress { metrics, .. } => metrics.get(metric).copied(),
        _ => None,
    });
    progress.collect()
}

fn bytes(dir: &TempDir, attempt: &str, file: &str) -> Vec<u8> {
    fs_err::read(dir.path().join(attempt).join(format!("output-{file}"))).unwrap()
}

#[test]
fn rewards_rise() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(&dir, &json!({ "steps": 40, "rewards": { "length": { "max-tokens": 6, "buffer": 1.0 } } }));
    let attempt = Attempt::new::<Grpo>(&dir.path().join("attempt"), &config, None);
    assert!(matches!(well(attempt.run::<Grpo>()), Outcome::Done(_)));
    let rewards = curve(&attempt, "reward");
    let (first, last) = (rewards[..5].iter().sum::<f64>() / 5.0, rewards[35..].iter().sum::<f64>() / 5.0);
    assert!(last > first + 0.2, "{rewards:?}");
    assert!(curve(&attempt, "sampling/sampling_logp_difference/max").iter().all(|difference| *difference < 1e-3));
}

#[test]
fn a_stop_in_the_middle_of_a_rollout_changes_nothing() {
    stops_change_nothing(&json!({}));
}

#[test]
fn a_stop_of_adapters_in_the_middle_of_a_rollout_changes_nothing() {
    stops_change_nothing(&json!({ "lora": { "rank": 2 } }));
}

#[test]
fn a_stop_changes_nothing_where_prompts_values_and_kl_change_on_the_way() {
    stops_change_nothing(&json!({
        "refill": 2, "kl-in": "reward", "kl-estimator": "k1", "baseline": "leave-one-out", "scale": "none",
        "ratio": "sequence", "max-ratio": 3.0, "entropy-bonus": 0.01, "keep-groups": 100,
        "max-tokens": [{ "value": 4 }, { "from-step": 3, "value": 6 }],
        "temperature": [{ "value": 1.0 }, { "from-step": 2, "value": 0.9 }],
    }));
}

fn stops_change_nothing(more: &Value) {
    let dir = tempfile::tempdir().unwrap();
    let mut changes = json!({ "updates-per-rollout": 3, "kl": 0.01, "reference-refresh": 2, "prompts-per-step": 2 });
    changes.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let config = config(&dir, &changes);
    let whole = Attempt::new::<Grpo>(&dir.path().join("whole"), &config, None);
    well(whole.run::<Grpo>());
    let mut resume: Option<Resume> = None;
    for (number, expected) in [1, 2, 3, 4].into_iter().enumerate() {
        let broken = Attempt::new::<Grpo>(&dir.path().join(format!("broken-{number}")), &config, resume);
        let stopped = broken.run_stopped::<Grpo>();
        assert_eq!(stopped.step, expected);
        resume = Some(stopped);
    }
    let resumed = Attempt::new::<Grpo>(&dir.path().join("resumed"), &config, resume);
    well(resumed.run::<Grpo>());
    for file in ["model/model.safetensors", "rollouts/samples.jsonl"] {
        assert!(bytes(&dir, "whole", file) == bytes(&dir, "resumed", file), "{file}");
    }
}

#[test]
fn a_stop_between_two_measurements_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut config =
        config(&dir, &json!({ "eval-every": 2, "steps": 7, "eval-completions": 3, "eval-temperature": 1.0 }));
    // Any answer of six tokens or less is right now and then.
    let asked =
        (0..20).map(|n| json!({ "id": n.to_string(), "prompt": format!("{n}"), "answer": "7", "verify": "exact" }));
    let held_out = dir.path().join("held-out");
    fs_err::create_dir(&held_out).unwrap();
    let lines: String = asked.map(|row| row.to_string() + "\n").collect();
    fs_err::write(held_out.join("prompts.jsonl"), lines).unwrap();
    config["eval-prompts"] = json!([reference::<Prompts>("held.prompts", &held_out)]);
    let whole = Attempt::new::<Grpo>(&dir.path().join("whole"), &config, None);
    let Outcome::Done(summary) = well(whole.run::<Grpo>()) else { panic!("it was not stopped") };
    // After steps 2, 4, 6 and the last one.
    let measured = curve(&whole, "eval_accuracy");
    assert_eq!(measured.len(), 4);
    let best = measured.iter().copied().fold(0.0, f64::max);
    let first = 2 * (1 + measured.iter().position(|accuracy| *accuracy >= best).unwrap());
    assert_eq!((&summary["best-eval-accuracy"], &summary["best-step"]), (&json!(best), &json!(first.min(7))));
    let mut resume: Option<Resume> = None;
    for number in 0..5 {
        let broken = Attempt::new::<Grpo>(&dir.path().join(format!("broken-{number}")), &config, resume);
        resume = Some(broken.run_stopped::<Grpo>());
    }
    let resumed = Attempt::new::<Grpo>(&dir.path().join("resumed"), &config, resume);
    let Outcome::Done(again) = well(resumed.run::<Grpo>()) else { panic!("it was not stopped") };
    assert_eq!(again, summary);
    let files =
        ["model/model.safetensors", "best/model.safetensors", "rollouts/samples.jsonl", "answers/answers.jsonl"];
    for file in files {
        assert!(bytes(&dir, "whole", file) == bytes(&dir, "resumed", file), "{file}");
    }
    // A greedy answer and three sampled ones to each prompt, four times; the measurements are their shares.
    let answers: Vec<Value> =
        whole.output("answers/answers.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers.len(), 4 * 20 * 4);
    for (greedy, metric) in [(true, "eval_accuracy"), (false, "eval_sampled_accuracy")] {
        let share = |step: u64| {
            let of = answers.iter().filter(|row| row["step"] == step && row["greedy"] == greedy);
            let marks: Vec<_> = of.map(|row| f64::from(u8::from(row["correct"] == true))).collect();
            marks.iter().sum::<f64>() / marks.len() as f64
        };
        let shares: Vec<_> = [2, 4, 6, 7].into_iter().map(share).collect();
        assert_eq!(shares, curve(&whole, metric), "{metric}");
    }
}

#[test]
fn golden_steps() {
    for noise in NOISES {
        let dir = tempfile::tempdir().unwrap();
        let config = config(&dir, &json!({ "steps": 5, "aggregate": "token" }));
        shake(&dir.path().join("model"), noise);
        let attempt = Attempt::new::<Grpo>(&dir.path().join("attempt"), &config, None);
        well(attempt.run::<Grpo>());
        let found: Vec<_> = curve(&attempt, "reward").into_iter().zip(curve(&attempt, "loss")).collect();
        assert_eq!(found.len(), GOLDEN.len());
        for ((reward, loss), golden) in found.iter().zip(GOLDEN) {
            let near = (reward - golden.0).abs() < 1e-6 && (loss - golden.1).abs() < 1e-5;
            assert!(near, "noise {noise}: {found:?}");
        }
    }
}

#[test]
fn without_rewards_there_is_nothing_to_learn() {
    let dir = tempfile::tempdir().unwrap();
    let attempt = Attempt::new::<Grpo>(&dir.path().join("attempt"), &config(&dir, &json!({ "rewards": {} })), None);
    assert!(message(attempt.run::<Grpo>()).contains("`rewards` is empty"));
}

#[test]
fn prompts_without_room_are_named_and_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(&dir, &json!({ "steps": 1 }));
    let prompts = dir.path().join("prompts/prompts.jsonl");
    let long = json!({ "id": "endless", "prompt": "1+".repeat(200), "answer": "7", "verify": "exact" });
    let text = fs_err::read_to_string(&prompts).unwrap();
    fs_err::write(&prompts, format!("{text}{long}\n")).unwrap();
    let attempt = Attempt::new::<Grpo>(&dir.path().join("attempt"), &config, None);
    well(attempt.run::<Grpo>());
    let warnings = attempt.warnings();
    assert!(
        warnings.iter().any(|text| text.starts_with("1 of 13 prompts") && text.contains("`endless`")),
        "{warnings:?}"
    );
    fs_err::write(&prompts, format!("{long}\n")).unwrap();
    let attempt = Attempt::new::<Grpo>(&dir.path().join("second"), &config, None);
    assert!(message(attempt.run::<Grpo>()).contains("no prompt leaves room"));
}

/// The objectives of the field, as docs/tuning-grpo.md has them.
#[test]
fn every_objective_learns() {
    let objectives = [
        ("DAPO", json!({ "aggregate": "token", "clip-high": 0.28, "refill": 2 })),
        ("Dr. GRPO", json!({ "aggregate": "constant", "scale": "none", "lr": 0.02 })),
        ("GSPO", json!({ "ratio": "sequence", "clip-low": 3e-4, "clip-high": 4e-4 })),
        ("CISPO", json!({ "surrogate": "cispo", "aggregate": "token", "clip-low": 10.0, "clip-high": 4.0 })),
        (
            "RLOO",
            json!({ "baseline": "leave-one-out", "scale": "none", "kl": 0.01, "kl-in": "reward", "kl-estimator": "k1" }),
        ),
        ("REINFORCE++", json!({ "baseline": "none", "scale": "tokens", "aggregate": "token" })),
        ("REINFORCE++-baseline", json!({ "scale": "tokens", "aggregate": "token", "kl": 0.01, "kl-estimator": "k2" })),
        ("dual clip, entropy bonus", json!({ "max-ratio": 3.0, "entropy-bonus": 0.001 })),
    ];
    for (name, keys) in objectives {
        let dir = tempfile::tempdir().unwrap();
        let mut changes = json!({
            "steps": 40, "updates-per-rollout": 2, "prompts-per-step": 2,
            "rewards": { "length": { "max-tokens": 6, "buffer": 1.0 } },
        });
        changes.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
        let attempt = Attempt::new::<Grpo>(&dir.path().join("attempt"), &config(&dir, &changes), None);
        well(attempt.run::<Grpo>());
        let rewards = curve(&attempt, "reward");
        let (first, last) = (rewards[..5].iter().sum::<f64>() / 5.0, rewards[35..].iter().sum::<f64>() / 5.0);
        assert!(last > first + 0.15, "{name}: {first} → {last}");
        assert_eq!(curve(&attempt, "kl").is_empty(), keys.get("kl").is_none(), "{name}");
        assert_eq!(curve(&attempt, "refill/rounds").is_empty(), keys.get("refill").is_none(), "{name}");
    }
}

#[test]
fn a_longer_limit_holds_from_its_step_on() {
    let dir = tempfile::tempdir().unwrap();
    let changes = json!({ "steps": 4, "lr": 0.0, "max-tokens": [{ "value": 2 }, { "from-step": 2, "value": 5 }] });
    let attempt = Attempt::new::<Grpo>(&dir.path().join("attempt"), &config(&dir, &changes), None);
    well(attempt.run::<Grpo>());
    assert_eq!(curve(&attempt, "completions/max_length"), [2.0, 2.0, 5.0, 5.0]);
}

#[test]
fn every_rollout_can_be_kept_with_what_it_earned_and_why_it_ended() {
    let dir = tempfile::tempdir().unwrap();
    let attempt = Attempt::new::<Grpo>(
        &dir.path().join("attempt"),
        &config(&dir, &json!({ "steps": 3, "keep-groups": 100 })),
        None,
    );
    well(attempt.run::<Grpo>());
    let rows = attempt.output("rollouts/samples.jsonl");
    let rows: Vec<Value> = rows.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), 3 * 4 * 8);
    for row in &rows {
        let (reason, tokens) = (row["stop-reason"].as_str().unwrap(), row["tokens"].as_u64().unwrap());
        assert_eq!(row["finished"], reason != "length", "{row}");
        assert!(reason == "end" || tokens == 6, "{row}");
        assert!(row["logp"].as_f64().unwrap() < 0.0 && row["parts"]["length"].is_f64(), "{row}");
    }
    let group = rows[..8].iter().map(|row| row["advantage"].as_f64().unwrap()).sum::<f64>();
    assert!(group.abs() < 1e-6, "the advantages of a group add up to 0: {group}");
}

/// Runs one step on prompts with this gold answer, and returns the attempt with how it ended.
fn probed(answer: &str, verify: &str, changes: &Value) -> (Attempt, Result<Outcome, StageError>) {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(&dir, changes);
    config["steps"] = json!(1);
    let row = |n: usize| json!({ "id": n.to_string(), "prompt": n.to_string(), "answer": answer, "verify": verify });
    let rows: String = (0..12).map(|n| row(n).to_string() + "\n").collect();
    fs_err::write(dir.path().join("prompts/prompts.jsonl"), rows).unwrap();
    let attempt = Attempt::new::<Grpo>(&dir.path().join("attempt"), &config, None);
    let outcome = attempt.run::<Grpo>();
    (attempt, outcome)
}

#[test]
fn rewards_that_one_text_earns_are_told_of_before_the_first_update() {
    let warnings = |changes: Value| {
        let (attempt, outcome) = probed("7", "number", &changes);
        well(outcome);
        attempt.warnings().into_iter().filter(|text| text.contains(" earns ")).collect::<Vec<_>>()
    };
    let found = warnings(json!({ "rewards": { "format": 1.0 } }));
    assert!(matches!(&found[..], [text] if text.contains("answer>` earns 1.00 of 1.00 on 12")), "{found:?}");
    assert_eq!(warnings(json!({ "rewards": { "format": 1.0 }, "guards": "off" })), [""; 0]);
    // No text says 7, and the form alone is a sixth of what can be earned.
    assert_eq!(warnings(json!({ "rewards": { "accuracy": 1.0, "format": 0.2 } })), [""; 0]);
}

#[test]
fn a_gold_answer_that_is_always_the_same_is_told_of() {
    let changes =
        json!({ "rewards": { "accuracy": 1.0, "length": { "max-tokens": 6, "buffer": 0.5 } }, "guards": "stop" });
    let (_, outcome) = probed("0", "exact", &changes);
    assert!(message(outcome).contains("the text `0` earns 1.00 of 1 by `rewards.accuracy`"));
}

#[test]
fn keys_without_an_effect_are_refused() {
    let refused = |changes: Value| {
        let dir = tempfile::tempdir().unwrap();
        let attempt = Attempt::new::<Grpo>(&dir.path().join("attempt"), &config(&dir, &changes), None);
        message(attempt.run::<Grpo>())
    };
    for (key, value) in [("kl-in", json!("reward")), ("kl-estimator", json!("k1")), ("reference-refresh", json!(4))] {
        let text = refused(json!({ key: value }));
        assert!(text.contains(&format!("`{key}` has no effect: `kl` is 0")), "{text}");
    }
    let stranger = reference::<Prompts>("other.prompts", Path::new("nowhere"));
    let text = refused(json!({ "mixture": [{ "prompts": stranger }] }));
    assert!(text.contains("`mixture` has 0 entries for `sums.prompts`"), "{text}");
    let text = refused(json!({ "max-tokens": [{ "from-step": 2, "value": 6 }] }));
    assert!(text.contains("`max-tokens` has no value at step 0"), "{text}");
}

#[test]
fn every_architecture_learns_and_resumes() {
    for model_type in ["qwen3", "mistral", "qwen3_moe", "deepseek_v3"] {
        let dir = tempfile::tempdir().unwrap();
        let config = config(
            &dir,
            &json!({ "steps": 40, "kl": 0.001, "rewards": { "length": { "max-tokens": 6, "buffer": 1.0 } } }),
        );
        tiny_model_of(model_type, 2, &dir.path().join("model"));
        let whole = Attempt::new::<Grpo>(&dir.path().join("whole"), &config, None);
        well(whole.run::<Grpo>());
        let rewards = curve(&whole, "reward");
        let (first, last) = (rewards[..5].iter().sum::<f64>() / 5.0, rewards[35..].iter().sum::<f64>() / 5.0);
        assert!(last > first + 0.2, "{model_type}: {rewards:?}");
        let differences = curve(&whole, "sampling/sampling_logp_difference/max");
        assert!(differences.iter().all(|difference| *difference < 1e-3), "{model_type}: {differences:?}");
        let broken = Attempt::new::<Grpo>(&dir.path().join("broken"), &config, None);
        let resume = broken.run_stopped::<Grpo>();
        well(Attempt::new::<Grpo>(&dir.path().join("resumed"), &config, Some(resume)).run::<Grpo>());
        let file = "model/model.safetensors";
        assert!(bytes(&dir, "whole", file) == bytes(&dir, "resumed", file), "{model_type}");
    }
}
