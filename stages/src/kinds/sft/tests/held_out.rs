//! Held-out rows: what is measured on them, and which weights are the best.

use engine::artifact::Samples;
use engine::worker::protocol::{FromWorker, Resume};
use lm::{Kind, Model, Options, Tensor, no_grad_guard};
use serde_json::{Value, json};
use tempfile::TempDir;
use text::Chat;

use super::{Sft, config, run, stopped_after_each};
use crate::artifacts::{SampleRow, write_samples};
use crate::testing::{Attempt, message, reference, well};

const STEPS: u64 = 31;

/// Three rows whose answers are never trained on: the loss on them falls while the form is learnt, and rises when the
/// training rows are known by heart.
fn rows() -> Vec<SampleRow> {
    (1..4).map(|n| SampleRow::new(format!("{n}+1=?"), format!("<think>{n}+1</think>{}", 9 - n))).collect()
}

/// The keys of a training with held-out rows that are measured after every fifth step.
fn keys(dir: &TempDir, steps: u64) -> Value {
    let held_out = dir.path().join("held-out");
    well(write_samples(&held_out, &rows()).map_err(Into::into));
    let mut config = config(dir, steps);
    config["eval-data"] = json!([reference::<Samples>("held.samples", &held_out)]);
    config["eval-every"] = json!(5);
    config
}

/// The steps at which an attempt measured `metric`, with the values.
fn measured(attempt: &Attempt, metric: &str) -> Vec<(u64, f64)> {
    let progress = attempt.sent().into_iter().filter_map(|line| match line {
        FromWorker::Progress { step, metrics, .. } => Some((step, *metrics.get(metric)?)),
        _ => None,
    });
    progress.collect()
}

fn weights(dir: &TempDir, output: &str) -> Vec<u8> {
    fs_err::read(dir.path().join(output).join("model.safetensors")).unwrap()
}

#[test]
fn the_best_model_is_that_of_the_step_with_the_lowest_loss() {
    let dir = tempfile::tempdir().unwrap();
    let (attempt, summary) = run(&dir, "a", &keys(&dir, STEPS), None);
    let losses = measured(&attempt, "eval_loss");
    let steps: Vec<u64> = losses.iter().map(|(step, _)| *step).collect();
    assert_eq!(steps, [5, 10, 15, 20, 25, 30, 31]);
    let (best, loss) = losses.iter().copied().min_by(|one, two| one.1.total_cmp(&two.1)).unwrap();
    assert!(best < STEPS, "{losses:?}");
    assert_eq!((&summary["best-step"], &summary["best-eval-loss"]), (&json!(best), &json!(loss)));
    assert_eq!(summary["eval_loss"], json!(losses[6].1));

    let accuracies = measured(&attempt, "mean_token_accuracy");
    assert_eq!(accuracies.len() as u64, STEPS);
    assert!(accuracies[0].1 < 0.5 && accuracies[STEPS as usize - 1].1 > 0.8, "{accuracies:?}");

    let mut without = config(&dir, STEPS);
    run(&dir, "without", &without, None);
    assert!(weights(&dir, "a/output-model") == weights(&dir, "without/output-model"));
    without["steps"] = json!(best);
    run(&dir, "shorter", &without, None);
    assert!(weights(&dir, "a/output-best") == weights(&dir, "shorter/output-model"));
    assert!(!dir.path().join("without/output-best").exists());
}

#[test]
fn the_measurements_are_those_of_the_whole_logits() {
    let dir = tempfile::tempdir().unwrap();
    let (attempt, _) = run(&dir, "a", &keys(&dir, 10), None);
    let _guard = no_grad_guard();
    let folder = dir.path().join("a/output-model");
    let (model, chat) = (Model::load(&folder, &Options::default()).unwrap(), Chat::load(&folder).unwrap());
    let (mut loss, mut right, mut tokens) = (0.0, 0.0, 0.0);
    for SampleRow { prompt, completion, .. } in rows() {
        let before = chat.prompt_ids(&prompt).unwrap();
        let after = chat.completion_ids(&before, &completion).unwrap();
        let logits_tv = model.logits(&model.hidden(&lm::Rows::pack([[before.clone(), after.clone()].concat()])));
        let logits_nv = logits_tv.narrow(0, before.len() as i64 - 1, after.len() as i64);
        let targets_n = Tensor::from_slice(&after);
        let log_probs_nv = logits_nv.log_softmax(-1, Kind::Double);
        loss -= log_probs_nv.gather(1, &targets_n.unsqueeze(1), false).sum(Kind::Double).double_value(&[]);
        right += logits_nv.argmax(-1, false).eq_tensor(&targets_n).sum(Kind::Double).double_value(&[]);
        tokens += after.len() as f64;
    }
    let (_, measured_loss) = measured(&attempt, "eval_loss")[1];
    let (_, measured_share) = measured(&attempt, "eval_mean_token_accuracy")[1];
    assert!((measured_loss - loss / tokens).abs() < 1e-5, "{measured_loss}, {}", loss / tokens);
    assert!((measured_share - right / tokens).abs() < 1e-9, "{measured_share}, {}", right / tokens);
}

#[test]
fn attempts_that_are_stopped_again_and_again_end_with_the_same_best_model() {
    for more in [json!({}), json!({ "lora": { "rank": 4 }, "lr": 0.1 })] {
        let dir = tempfile::tempdir().unwrap();
        let mut config = keys(&dir, 8);
        config["eval-every"] = json!(3);
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let (_, whole) = run(&dir, "whole", &config, None);
        let resume = stopped_after_each(&dir, &config, 7);
        let (resumed, summary) = run(&dir, "resumed", &config, resume);
        assert_eq!(summary["best-step"], whole["best-step"]);
        // The checkpoint of the last step: an attempt that died before its outputs were published goes on from there.
        let last = Resume { step: 8, dir: dir.path().join("resumed/checkpoints/8") };
        run(&dir, "again", &config, Some(last));
        for output in ["model", "best"] {
            let [whole, resumed, again] =
                ["whole", "resumed", "again"].map(|attempt| weights(&dir, &format!("{attempt}/output-{output}")));
            assert!(whole == resumed && whole == again, "{output} {more}");
        }
        assert!(!measured(&resumed, "eval_loss").is_empty());
        assert_ne!(weights(&dir, "whole/output-best"), weights(&dir, "model"), "{more}");
    }
}

#[test]
fn more_steps_later_give_what_they_would_have_given_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let (_, whole) = run(&dir, "whole", &keys(&dir, STEPS), None);
    // It ends between two measurements, and measures once more.
    run(&dir, "first", &keys(&dir, 13), None);
    let resume = Resume { step: 13, dir: dir.path().join("first/checkpoints/13") };
    let (_, extended) = run(&dir, "extended", &keys(&dir, STEPS), Some(resume));
    assert_eq!(whole["best-step"], extended["best-step"]);
    for output in ["model", "best"] {
        let of = |attempt: &str| weights(&dir, &format!("{attempt}/output-{output}"));
        assert!(of("whole") == of("extended"), "{output}");
    }
}

#[test]
fn measurements_of_nothing_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(&dir, 2);
    config["eval-every"] = json!(5);
    let attempt = Attempt::new::<Sft>(&dir.path().join("a"), &config, None);
    assert!(message(attempt.run::<Sft>()).starts_with("`eval-every` needs `eval-data` or `eval-prompts`"));
    let mut config = keys(&dir, 2);
    config["max-tokens"] = json!(20);
    let long = [SampleRow::new("1+1=?", "1".repeat(30))];
    well(write_samples(&dir.path().join("held-out"), &long).map_err(Into::into));
    let attempt = Attempt::new::<Sft>(&dir.path().join("b"), &config, None);
    assert_eq!(message(attempt.run::<Sft>()), "no row of `eval-data` is short enough for `max-tokens` = 20");
}
