//! Values that change at given steps: `max-tokens = [{ value = 8_192 }, { from-step = 1_040, value = 16_384 }]`.

use engine::stage::StageError;
use schemars::{Schema, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::limits;

/// A value for all steps, or one from each of some steps on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a value, or a list of tables with `value` and `from-step`")]
pub enum Stepwise<T> {
    /// The same at every step.
    Always(T),
    /// Ordered by their first step; the first begins at step 0.
    Changing(Vec<FromStep<T>>),
}

/// A value from a step on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct FromStep<T> {
    /// The first step that has the value.
    #[serde(default)]
    pub from_step: u64,
    /// The value.
    pub value: T,
}

impl<T: Copy + PartialOrd> Stepwise<T> {
    /// Returns the value at a step.
    pub(crate) fn at(&self, step: u64) -> T {
        match self {
            Self::Always(value) => *value,
            Self::Changing(values) => {
                let begun = values.iter().rev().find(|value| value.from_step <= step);
                begun.or(values.first()).expect("the list was checked: it has a value").value
            }
        }
    }

    /// Returns the greatest value.
    pub(crate) fn greatest(&self) -> T {
        match self {
            Self::Always(value) => *value,
            Self::Changing(values) => {
                let greatest = |one: T, two: T| if two > one { two } else { one };
                values.iter().map(|value| value.value).reduce(greatest).expect("the list was checked: it has a value")
            }
        }
    }

    /// Refuses a list that does not say what holds at every step; `key` is its key in the workflow.
    pub(crate) fn check(&self, key: &str) -> Result<(), StageError> {
        let Self::Changing(values) = self else { return Ok(()) };
        let help = format!("for example `{key} = [{{ value = … }}, {{ from-step = 1_000, value = … }}]`");
        if values.first().is_none_or(|first| first.from_step > 0) {
            return Err(StageError::new(format!("`{key}` has no value at step 0")).with_help(help));
        }
        match values.windows(2).find(|pair| pair[0].from_step >= pair[1].from_step) {
            Some(pair) => {
                let (one, two) = (pair[0].from_step, pair[1].from_step);
                let message = format!("`{key}`: `from-step` = {two} comes after `from-step` = {one}");
                Err(StageError::new(message).with_help("order the values by their first step, one for each"))
            }
            None => Ok(()),
        }
    }
}

/// Returns the schema of a key whose values have the schema `value`.
pub(crate) fn schema(value: &Value) -> Schema {
    let from_step = serde_json::json!({
        "type": "integer", "minimum": 0, "maximum": limits::STEPS, "default": 0,
        "description": "The first step that has the value.",
    });
    json_schema!({
        "anyOf": [
            value,
            {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": { "value": value, "from-step": from_step },
                    "required": ["value"],
                    "additionalProperties": false,
                },
            },
        ]
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::message;

    fn of(value: &Value) -> Stepwise<usize> {
        serde_json::from_value(value.clone()).unwrap()
    }

    #[test]
    fn a_value_holds_until_the_next_one_begins() {
        let grown = of(&json!([{ "value": 8 }, { "from-step": 3, "value": 16 }, { "from-step": 5, "value": 12 }]));
        assert_eq!((0..7).map(|step| grown.at(step)).collect::<Vec<_>>(), [8, 8, 8, 16, 16, 12, 12]);
        assert_eq!((grown.greatest(), of(&json!(7)).at(1_000), of(&json!(7)).greatest()), (16, 7, 7));
        grown.check("max-tokens").unwrap();
    }

    #[test]
    fn a_list_that_leaves_steps_open_is_refused() {
        let refused = |value: Value| message(of(&value).check("max-tokens"));
        assert!(refused(json!([])).contains("`max-tokens` has no value at step 0"));
        assert!(refused(json!([{ "from-step": 2, "value": 8 }])).contains("no value at step 0"));
        let same = json!([{ "value": 8 }, { "from-step": 5, "value": 1 }, { "from-step": 5, "value": 2 }]);
        assert!(refused(same).contains("`from-step` = 5 comes after `from-step` = 5"));
    }
}
