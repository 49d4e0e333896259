//! The tags of values: the names of curves as Hugging Face's `Trainer` writes them, so that a run of ours and one of TRL
//! are drawn in the same charts.

/// Returns the tag of a measurement: `eval_loss` is `eval/loss`, `test_loss` is `test/loss`, and any other name is below
/// `train/`, as `rewrite_logs` of transformers has it.
pub fn scalar_tag(name: &str) -> String {
    for part in ["eval", "test"] {
        if let Some(rest) = name.strip_prefix(part).and_then(|rest| rest.strip_prefix('_')) {
            return format!("{part}/{rest}");
        }
    }
    format!("train/{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_trainer() {
        let table = [
            ("reward", "train/reward"),
            ("rewards/accuracy/mean", "train/rewards/accuracy/mean"),
            ("eval_accuracy", "eval/accuracy"),
            ("test_loss", "test/loss"),
            ("evaluations", "train/evaluations"),
            ("train_loss", "train/train_loss"),
        ];
        for (name, tag) in table {
            assert_eq!(scalar_tag(name), tag);
        }
    }
}
