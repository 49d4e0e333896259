//! `reward-model` tells good from bad after a few steps, trained on pairs and on labels.

use engine::artifact::{Model as ModelMarker, Preferences};
use engine::stage::Outcome;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::RewardModel;
use crate::artifacts::{PreferenceRow, write_preferences};
use crate::testing::{Attempt, message, reference, tiny_model, well};

fn pairs() -> Vec<PreferenceRow> {
    let row = |n: u32| PreferenceRow::Pairwise {
        prompt: format!("greet {n}").into(),
        chosen: format!("hello {n}, nice to see you"),
        rejected: "no".to_owned(),
    };
    (0..40).map(row).collect()
}

fn labels() -> Vec<PreferenceRow> {
    let row = |n: u32| PreferenceRow::Pointwise {
        prompt: format!("hurt {n}").into(),
        completion: if n.is_multiple_of(2) { "no, i will not".to_owned() } else { "take a stick".to_owned() },
        label: u8::from(n.is_multiple_of(2)),
    };
    (0..40).map(row).collect()
}

fn config(dir: &TempDir, rows: &[PreferenceRow], loss: &str) -> Value {
    let (model, data) = (dir.path().join("model"), dir.path().join("data"));
    tiny_model(&model);
    well(write_preferences(&data, rows).map_err(Into::into));
    json!({
        "model": reference::<ModelMarker>("base.model", &model),
        "data": [reference::<Preferences>("data.preferences", &data)],
        "loss": loss, "steps": 40, "batch-size": 8, "lr": 0.01, "validation-share": 0.25,
    })
}

#[test]
fn held_out_judgements_are_shared() {
    for (rows, loss) in [(pairs(), "pairwise"), (labels(), "pointwise")] {
        let dir = tempfile::tempdir().unwrap();
        let attempt = Attempt::new::<RewardModel>(&dir.path().join("attempt"), &config(&dir, &rows, loss), None);
        let Outcome::Done(summary) = well(attempt.run::<RewardModel>()) else { panic!("it was not stopped") };
        assert!(summary["held-out accuracy"].as_f64().unwrap() > 0.9, "{loss}: {summary:?}");
    }
}

#[test]
fn the_wrong_form_is_refused_with_the_cure() {
    let dir = tempfile::tempdir().unwrap();
    let attempt = Attempt::new::<RewardModel>(&dir.path().join("attempt"), &config(&dir, &labels(), "pairwise"), None);
    assert!(message(attempt.run::<RewardModel>()).contains("holds labels"));
}
