//! Rewards outside of a workflow, for completions in a file: those that need no more than the row.

use engine::stage::StageError;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::Rewards;
use super::table::{JUDGE, kind};

impl Rewards {
    /// Parses a table of rewards; refuses those that read a reward model, and keys that name prompt sets.
    pub(crate) fn offline(table: &Map<String, Value>) -> Result<Self, StageError> {
        for (name, keys) in table {
            if kind(name).is_some_and(|kind| kind.reads_model) {
                return Err(StageError::new(format!("reward `{name}` reads a reward model, which a workflow names"))
                    .with_help("leave it out here; an `eval` stage measures it"));
            }
            if name == JUDGE {
                return Err(StageError::new("`judge` asks models, which a workflow names")
                    .with_help("leave it out here; `eval` and `generate` have a key `judge`"));
            }
            if keys.get("on").is_some() {
                return Err(StageError::new(format!("reward `{name}`: `on` names prompt sets of a workflow"))
                    .with_help("leave it out: every row is scored"));
            }
        }
        Self::deserialize(Value::Object(table.clone())).map_err(|error| StageError::new(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_needs_a_workflow_is_refused() {
        let refused = |table: Value| Rewards::offline(table.as_object().unwrap()).unwrap_err().message;
        assert_eq!(
            refused(json!({ "helpful": { "model": "m" } })),
            "reward `helpful` reads a reward model, which a workflow names"
        );
        assert_eq!(
            refused(json!({ "accuracy": { "on": ["inputs.math"] } })),
            "reward `accuracy`: `on` names prompt sets of a workflow"
        );
        assert!(
            refused(json!({ "exactness": 1 })).starts_with("no reward `exactness`; there are `accuracy`, `format`")
        );
        let rewards = Rewards::offline(json!({ "accuracy": 1, "length": { "max-tokens": 8 } }).as_object().unwrap());
        assert_eq!(rewards.unwrap().counting_tokens(), Some("length"));
    }
}
