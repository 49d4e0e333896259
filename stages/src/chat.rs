//! A model's chat conventions, as a stage uses them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use engine::artifact::Model;
use engine::stage::{Input, StageError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};
use text::Chat;

use crate::artifacts::{Import, refuse_adapter_alone};

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

/// Reads the tokenizer and the chat template of a model, with values for the template's own variables.
pub(crate) fn load_chat(model: &Input<Model>, args: &TemplateArgs) -> Result<Chat, StageError> {
    refuse_adapter_alone(model)?;
    let adapter = Import::of(model)?.adapter.map(PathBuf::from);
    let own = adapter.filter(|adapter| adapter.join("tokenizer.json").is_file());
    let chat = Chat::load_with_tokenizer(model.path(), own.as_deref().unwrap_or(model.path()))?;
    Ok(chat.with_template_args(args.values())?)
}
