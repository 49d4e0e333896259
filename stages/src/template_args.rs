//! Values for a chat template's own variables, as a workflow writes them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};

/// Values for the chat template's own variables.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct TemplateArgs(BTreeMap<String, TemplateArg>);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
enum TemplateArg {
    Flag(bool),
    Number(Number),
    Text(String),
}

impl TemplateArgs {
    pub(crate) fn values(&self) -> Map<String, Value> {
        let values = self.0.iter().map(|(name, value)| {
            let value = match value {
                TemplateArg::Flag(flag) => Value::Bool(*flag),
                TemplateArg::Number(number) => Value::Number(number.clone()),
                TemplateArg::Text(text) => Value::String(text.clone()),
            };
            (name.clone(), value)
        });
        values.collect()
    }
}
