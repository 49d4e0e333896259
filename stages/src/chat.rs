//! A model's chat conventions, as a stage uses them.

use std::collections::BTreeMap;
use std::path::Path;

use engine::stage::StageError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};
use text::Chat;

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
    fn values(&self) -> Map<String, Value> {
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

/// Adds to an error which row it is about.
pub(crate) fn of_row<T>(result: Result<T, text::Error>, row: impl FnOnce() -> String) -> Result<T, StageError> {
    result.map_err(|error| {
        let error = StageError::from(error);
        StageError { message: format!("{}: {}", row(), error.message), ..error }
    })
}

/// Reads the tokenizer and the chat template of a model's folder, with values for the template's own variables.
pub(crate) fn load_chat(dir: &Path, args: &TemplateArgs) -> Result<Chat, StageError> {
    Ok(Chat::load(dir)?.with_template_args(args.values())?)
}
