//! Rewards of your own: a program in Python that scores completions.
//!
//! ```toml
//! [inputs]
//! brevity = { text = "brevity.py" }
//!
//! [grpo.rl.rewards]
//! accuracy    = 1.0
//! own.brevity = { program = "inputs.brevity", weight = 0.2 }
//! ```
//! The program is run once for each batch. It reads one completion a line on its standard input, as JSON:
//! ```text
//! {"prompt", "completion", "thought", "answer", "gold", "correct", "finished", "tokens", "task"}
//! ```
//! and writes one line for each: a number, or `null` where the reward does not apply. It is an input, hashed by content,
//! so an edit of it reruns what it rewards. It runs in the jail, unless `jail` says otherwise, with the files and the
//! network that its keys name; it must give the same scores again for the same lines.

use engine::stage::StageError;
use serde_json::{Value, json};

use super::{Graded, Reward};
use crate::loading::Loading;
use crate::own::{LoadedOwn, Own, Told};

/// Starts the jail of a reward's program.
pub(super) fn load(own: &Own, name: &str, loading: &Loading<'_>) -> Result<Box<dyn Reward>, StageError> {
    Ok(Box::new(OwnReward(own.clone().load(&whose(name), loading.jail)?)))
}

/// Refuses what is not there.
pub(super) fn check(own: &Own, name: &str) -> Result<(), StageError> {
    own.check(&whose(name))
}

fn whose(name: &str) -> String {
    format!("reward `{name}`")
}

/// A loaded reward of your own.
struct OwnReward(LoadedOwn);

impl Reward for OwnReward {
    fn score(&self, rows: &[&Graded<'_>]) -> Result<Vec<Option<f64>>, StageError> {
        let told: Vec<Told> = rows.iter().map(|row| told(row)).collect();
        self.0.answers(&told, "a finite number, or `null` where the reward does not apply", score)
    }
}

/// Returns what the program reads of a completion.
fn told(row: &Graded<'_>) -> Told {
    let Graded { scored, grade } = row;
    let line = json!({
        "prompt": scored.prompt.prompt,
        "completion": scored.completion,
        "thought": grade.reasoning,
        "answer": grade.answer,
        "gold": scored.prompt.answer,
        "correct": grade.verdict.map(|_| grade.correct),
        "finished": scored.finished,
        "tokens": scored.num_tokens,
        "task": scored.prompt.task,
    });
    Told { line, prompt: scored.prompt.prompt.last_text().into_owned() }
}

/// Reads a score: `None` is one that does not apply. Fails for what is no score.
fn score(answer: &Value) -> Result<Option<f64>, ()> {
    match answer {
        Value::Null => Ok(None),
        Value::Number(number) => number.as_f64().filter(|score| score.is_finite()).map(Some).ok_or(()),
        _ => Err(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_is_a_finite_number_or_null() {
        assert_eq!(
            [json!(1), json!(-0.5), json!(null)].map(|line| score(&line)),
            [Ok(Some(1.0)), Ok(Some(-0.5)), Ok(None)]
        );
        for line in [json!("1"), json!([1]), json!(true), json!({ "score": 1 })] {
            assert_eq!(score(&line), Err(()), "{line}");
        }
        // JSON has neither.
        for line in ["NaN", "Infinity", "1e999", "1 2"] {
            assert!(serde_json::from_str::<Value>(line).is_err(), "{line}");
        }
    }
}
