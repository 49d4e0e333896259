//! Held-out prompts: what the model answers while it is trained, and which weights are the best.

use engine::artifact::{Model as ModelMarker, Prompts};
use engine::worker::protocol::Resume;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Sft, config, run, stopped_after_each};
use crate::artifacts::{PromptRow, write_prompts};
use crate::kinds::eval::Eval;
use crate::testing::{Attempt, message, reference, well};
use crate::verifiers::Verify;

fn prompts(dir: &TempDir) -> Value {
    let held_out = dir.path().join("prompts");
    // All are trained on, two of them with other answers than these.
    let rows: Vec<_> = (1..9)
        .map(|n| PromptRow {
            id: n.to_string(),
            prompt: format!("{n}+1=?").into(),
            answer: Some(if n > 6 { "0".to_owned() } else { (n + 1).to_string() }),
            verify: Verify::NUMBER,
            tests: None,
            tolerance: None,
            task: None,
            language: None,
            source: String::new(),
        })
        .collect();
    well(write_prompts(&held_out, &rows).map_err(Into::into));
    reference::<Prompts>("held.prompts", &held_out)
}

fn keys(dir: &TempDir, steps: u64) -> Value {
    let mut config = config(dir, steps);
    let more = json!({ "eval-prompts": [prompts(dir)], "eval-every": 10, "eval-max-tokens": 24, "eval-completions": 2,
                       "eval-temperature": 1.0, "eval-top-p": 1.0 });
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    config
}

fn answers(attempt: &Attempt) -> Vec<Value> {
    attempt.output("answers/answers.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn the_answers_are_those_that_an_evaluation_of_the_model_gets() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = keys(&dir, 42);
    config["batch-size"] = json!(8);
    config["eval-every"] = json!(5);
    let (attempt, summary) = run(&dir, "a", &config, None);
    let answers = answers(&attempt);
    let steps: Vec<_> = (1..=9).map(|number| (number * 5).min(42)).collect();
    assert_eq!(answers.len(), steps.len() * 8 * 3);
    let share = |step: u64| {
        let of = answers.iter().filter(|row| row["step"] == step && row["greedy"] == true);
        of.filter(|row| row["correct"] == true).count() as f64 / 8.0
    };
    // Six of the eight have the answers that are learnt by heart.
    assert!(share(5) < 0.5 && share(42) > 0.5, "{} {}", share(5), share(42));
    assert_eq!(summary["eval_accuracy"], json!(share(42)));
    let best = steps.iter().map(|step| share(*step)).fold(0.0, f64::max);
    assert_eq!(summary["best-eval-accuracy"], json!(best));
    assert_eq!(summary["best-step"], json!(steps.iter().find(|step| share(**step) >= best)));

    let asked = json!({
        "model": reference::<ModelMarker>("a.model", &dir.path().join("a/output-model")),
        "prompts": { "sums": prompts(&dir) }, "max-tokens": 24, "completions": 1,
    });
    let evaluated = Attempt::new::<Eval>(&dir.path().join("eval"), &asked, None);
    well(evaluated.run::<Eval>());
    let texts = |rows: Vec<Value>| {
        let greedy = rows.into_iter().filter(|row| row["greedy"] == true);
        greedy
            .map(|row| ["completion", "correct", "gold", "answer", "tokens"].map(|field| row[field].clone()))
            .collect::<Vec<_>>()
    };
    let last = answers.iter().filter(|row| row["step"] == 42).cloned().collect();
    assert_eq!(texts(last), texts(self::answers(&evaluated)));
}

#[test]
fn stops_and_later_steps_change_no_answer() {
    for more in [json!({}), json!({ "lora": { "rank": 4 }, "lr": 0.1 })] {
        let dir = tempfile::tempdir().unwrap();
        let mut config = keys(&dir, 8);
        config["eval-every"] = json!(3);
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let (whole, _) = run(&dir, "whole", &config, None);
        let resume = stopped_after_each(&dir, &config, 7);
        let (resumed, _) = run(&dir, "resumed", &config, resume);
        // The checkpoint of the last step: an attempt that died before its outputs were published goes on from there.
        let last = Resume { step: 8, dir: dir.path().join("resumed/checkpoints/8") };
        let (again, _) = run(&dir, "again", &config, Some(last));
        // It measures after steps 3 and 6, and after its last step, 8. A run of nine steps does not measure after step 8.
        let steps = |attempt: &Attempt| answers(attempt).iter().map(|row| row["step"].clone()).collect::<Vec<_>>();
        assert_eq!(steps(&whole), [3, 6, 8].map(|step| vec![json!(step); 24]).concat());
        for other in [&resumed, &again] {
            assert_eq!(whole.output("answers/answers.jsonl"), other.output("answers/answers.jsonl"), "{more}");
        }
        let last = Resume { step: 8, dir: dir.path().join("whole/checkpoints/8") };
        config["steps"] = json!(9);
        let (longer, _) = run(&dir, "longer", &config, Some(last));
        let (at_once, _) = run(&dir, "at-once", &config, None);
        assert_eq!(longer.output("answers/answers.jsonl"), at_once.output("answers/answers.jsonl"), "{more}");
        assert_eq!(steps(&longer), [3, 6, 9].map(|step| vec![json!(step); 24]).concat());
        // The last measurement of these was due: it is in the checkpoint already.
        let last = Resume { step: 9, dir: dir.path().join("at-once/checkpoints/9") };
        let (again, _) = run(&dir, "again-9", &config, Some(last));
        assert_eq!(again.output("answers/answers.jsonl"), at_once.output("answers/answers.jsonl"), "{more}");
    }
}

#[test]
fn sampled_answers_to_nothing_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(&dir, 2);
    config["eval-completions"] = json!(4);
    let attempt = Attempt::new::<Sft>(&dir.path().join("a"), &config, None);
    assert_eq!(message(attempt.run::<Sft>()), "`eval-completions` needs `eval-prompts`");
}
