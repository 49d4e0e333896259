//! A model's chat conventions, as a stage uses them: the keys that say how prompts are rendered.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::PathBuf;

use engine::artifact::{Model, Text as TextMarker};
use engine::stage::{Input, StageError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use text::template::{names, shipped};
use text::{Chat, ChatTemplate, SpecialTokens, TextTemplate};

use crate::artifacts::{Import, refuse_adapter_alone};
use crate::limits;
use crate::template_args::TemplateArgs;

/// How prompts are rendered: the keys that all kinds share that give conversations to a model.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case")]
pub struct Rendering {
    /// Chat template in place of the model's own, also in a trained model: `r1-zero` (R1's, for base models), `chatml`,
    /// `plain` (the texts of all turns), one in Hugging Face's Jinja, or `inputs.NAME` of a text. Absent: the model's.
    #[schemars(extend("x-omit-default" = true))]
    pub chat_template: Option<Text>,
    /// Values for the chat template's own variables, for example `{ enable_thinking = false }`; `today` is the day that
    /// `strftime_now` writes.
    #[schemars(extend("x-omit-default" = true))]
    pub template_args: TemplateArgs,
    /// System text of prompts that have none: a text, or `inputs.NAME` of one. Rows are kept without it.
    #[schemars(extend("x-omit-default" = true))]
    pub system: Option<Text>,
    /// Template around each user turn, in Jinja: `{{ prompt }}` is the turn's text. A text, or `inputs.NAME` of one.
    /// Rows are kept without it.
    #[schemars(extend("x-omit-default" = true))]
    pub prompt_template: Option<Text>,
    /// Token that ends a completion, also in a trained model's configuration. Absent: the tokenizer's `eos_token`. The
    /// model's other end tokens still end a completion that is sampled, and are never learnt.
    #[schemars(extend("x-omit-default" = true))]
    pub end_token: Option<String>,
}

/// A text in the workflow, or in a file that is an input.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Text {
    /// A reference.
    File(Input<TextMarker>),
    /// As written.
    Written(String),
}

impl Text {
    /// Returns the source of the chat template that it is or names.
    pub(crate) fn chat_template(&self) -> Result<String, StageError> {
        let text = self.read()?;
        source(&text).map(str::to_owned)
    }

    /// Refuses a text in the workflow that is no template in these variables; the key `key` has it.
    pub(crate) fn check(&self, key: &str, variables: &[&str]) -> Result<(), StageError> {
        match self {
            Self::Written(text) => Ok(TextTemplate::parse(key, text, variables).map(|_| ())?),
            Self::File(_) => Ok(()),
        }
    }

    pub(crate) fn read(&self) -> Result<String, StageError> {
        match self {
            Self::Written(text) => Ok(text.clone()),
            Self::File(input) => {
                let text = outside::read_text(
                    input.path(),
                    limits::TEXT_BYTES,
                    "a text is a template or a system text, not a data set",
                )?;
                // A file's last line break belongs to the file.
                Ok(text.strip_suffix('\n').map_or(text.as_str(), |text| text.trim_end_matches('\r')).to_owned())
            }
        }
    }
}

impl Rendering {
    /// Returns whether every text that it names can be read.
    pub(crate) fn is_here(&self) -> bool {
        let texts = [&self.chat_template, &self.system, &self.prompt_template];
        texts.into_iter().flatten().all(|text| !matches!(text, Text::File(input) if !input.is_here()))
    }

    /// Refuses what can be seen to be wrong before any file is read.
    pub(crate) fn check(&self) -> Result<(), StageError> {
        if let Some(Text::Written(text)) = &self.chat_template {
            let special = SpecialTokens::default();
            ChatTemplate::named("chat-template", source(text)?, special)?;
        }
        self.prompt_template.as_ref().map_or(Ok(()), |text| text.check(PROMPT_TEMPLATE, &["prompt"]))
    }

    /// Reads the tokenizer and the chat template of a model, and puts these keys in force.
    pub(crate) fn load(&self, model: &Input<Model>) -> Result<Chat, StageError> {
        self.apply(load_chat(model, self.end_token.as_deref())?)
    }

    /// Puts these keys in force.
    pub(crate) fn apply(&self, mut chat: Chat) -> Result<Chat, StageError> {
        if let Some(token) = &self.end_token {
            chat = chat.with_end(token)?;
        }
        if let Some(template) = &self.chat_template {
            chat = chat.with_template(&template.chat_template()?)?;
        }
        chat = chat.with_template_args(self.template_args.values())?;
        chat.surround.system = self.system.as_ref().map(Text::read).transpose()?;
        if chat.surround.system.is_some() && chat.template.is_none() {
            let known = names().map(|name| format!("`{name}`")).join(", ");
            return Err(StageError::new("`system` needs a chat template, and the model has none").with_help(format!(
                "name one by `chat-template`, {known}, or one of yours; `prompt-template` puts text around a prompt without one"
            )));
        }
        let template = self.prompt_template.as_ref().map(Text::read).transpose()?;
        chat.surround.template =
            template.map(|text| TextTemplate::parse(PROMPT_TEMPLATE, &text, &["prompt"])).transpose()?;
        Ok(chat)
    }

    /// Returns the keys that are not at their defaults, for a report; a file by its digest.
    pub(crate) fn shown(&self) -> Map<String, Value> {
        let texts = [
            ("chat-template", &self.chat_template),
            ("system", &self.system),
            ("prompt-template", &self.prompt_template),
        ];
        let mut shown = Map::new();
        for (name, text) in texts {
            let value = match text {
                None => continue,
                Some(Text::Written(text)) => text.clone(),
                Some(Text::File(input)) => input.artifact.digest.clone(),
            };
            shown.insert(name.to_owned(), value.into());
        }
        shown.extend(self.end_token.iter().map(|token| ("end-token".to_owned(), token.clone().into())));
        if self.template_args != TemplateArgs::default() {
            shown.insert("template-args".to_owned(), Value::Object(self.template_args.values()));
        }
        shown
    }
}

/// A model's folder, the folder of its tokenizer, and the end that is named for it.
type Loaded = (PathBuf, PathBuf, Option<String>);

thread_local! {
    /// What has been loaded since [`keep_loaded`] was called on this thread.
    static LOADED: RefCell<Option<HashMap<Loaded, Chat>>> = const { RefCell::new(None) };
}

/// Keeps the tokenizers that this thread loads from now on: stages that are looked at one after the other often have the
/// same model, and a large tokenizer takes most of a second.
pub(crate) fn keep_loaded() {
    LOADED.with_borrow_mut(|loaded| {
        loaded.get_or_insert_default();
    });
}

/// Reads the tokenizer and the chat template of a model: those of its adapters, if they have some. `end` ends a
/// completion where the tokenizer names no end.
pub(crate) fn load_chat(model: &Input<Model>, end: Option<&str>) -> Result<Chat, StageError> {
    refuse_adapter_alone(model)?;
    let adapter = Import::of(model)?.adapter.map(PathBuf::from);
    let own = adapter.filter(|adapter| adapter.join("tokenizer.json").is_file());
    let of_tokenizer = own.unwrap_or_else(|| model.path().to_owned());
    let key = (model.path().to_owned(), of_tokenizer, end.map(str::to_owned));
    if let Some(chat) = LOADED.with_borrow(|loaded| loaded.as_ref()?.get(&key).cloned()) {
        return Ok(chat);
    }
    let chat = Chat::load_with_tokenizer(model.path(), &key.1, end)?;
    LOADED.with_borrow_mut(|loaded| loaded.as_mut().map(|loaded| loaded.insert(key, chat.clone())));
    Ok(chat)
}

/// Returns the source of a chat template: of the one that has this name, or the text itself.
fn source(text: &str) -> Result<&str, StageError> {
    if let Some(source) = shipped(text) {
        return Ok(source);
    }
    if text.contains("{{") || text.contains("{%") {
        return Ok(text);
    }
    let known = names().map(|name| format!("`{name}`")).join(", ");
    Err(StageError::new(format!("`chat-template` is `{text}`, which is neither a known name nor a template"))
        .with_help(format!("take {known}, a template in Jinja, or `inputs.NAME` of a text")))
}

const PROMPT_TEMPLATE: &str = "prompt-template";

/// Refuses a stop text that would end every completion.
pub(crate) fn check_stops(stops: &[String]) -> Result<(), StageError> {
    if stops.iter().any(String::is_empty) {
        let help = "an empty text ends every completion at once; remove it";
        return Err(StageError::new("`stop` has an empty text").with_help(help));
    }
    Ok(())
}

/// Adds to an error which row it is about.
pub(crate) fn of_row<T>(result: Result<T, text::Error>, row: impl FnOnce() -> String) -> Result<T, StageError> {
    result.map_err(|error| {
        let error = StageError::from(error);
        let help = error.help.unwrap_or_else(|| {
            "`r1flow tokens FILE STAGE --row N` shows how rows are rendered; `where` of an input leaves rows out, and \
             `chat-template` names another template"
                .to_owned()
        });
        StageError { message: format!("{}: {}", row(), error.message), help: Some(help) }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{input, message, reference, tiny_model, well};

    fn of(dir: &std::path::Path) -> Input<Model> {
        input("inputs.m", dir, json!({}))
    }

    fn rendering(keys: Value) -> Rendering {
        serde_json::from_value(keys).unwrap()
    }

    #[test]
    fn the_keys_of_a_stage_surround_its_prompts() {
        let dir = tempfile::tempdir().unwrap();
        tiny_model(dir.path());
        fs_err::write(dir.path().join("q.jinja"), "1+{{ prompt }}\n").unwrap();
        let keys = rendering(json!({
            "chat-template": "{% for m in messages %}{{ m.content }}{{ eos_token }}{% endfor %}{{ more }}",
            "template-args": { "more": "9" },
            "system": "0=0",
            "prompt-template": reference::<TextMarker>("inputs.q", &dir.path().join("q.jinja")),
            "end-token": "?",
        }));
        well(keys.check());
        let chat = well(keys.load(&of(dir.path())));
        let text = chat.tokenizer.decode(&chat.prompt_ids(&"2=?".into()).unwrap());
        assert_eq!(text, "0=0?1+2=??9");
        assert_eq!(chat.tokenizer.decode(&[chat.eos]), "?");
        assert_eq!(keys.shown().len(), 5);
        let plain = well(rendering(json!({ "chat-template": "plain" })).load(&of(dir.path())));
        assert_eq!(plain.tokenizer.decode(&plain.prompt_ids(&"2=?".into()).unwrap()), "2=?\n");
        // No row is to blame for a model without a template.
        let mut bare = plain;
        bare.template = None;
        let refused = rendering(json!({ "system": "0=0" })).apply(bare.clone());
        assert_eq!(message(refused), "`system` needs a chat template, and the model has none");
        well(rendering(json!({ "system": "0=0", "chat-template": "plain" })).apply(bare));
    }

    #[test]
    fn what_cannot_be_meant_is_refused_before_anything_runs() {
        for (keys, expected) in [
            (json!({ "chat-template": "r1zero" }), "`chat-template` is `r1zero`, which is neither"),
            (json!({ "chat-template": "{% for m %}" }), "template `chat-template`: syntax error"),
            (json!({ "prompt-template": "Think." }), "template `prompt-template`: it reads no variable"),
        ] {
            assert!(message(rendering(keys).check()).starts_with(expected), "{expected}");
        }
        let dir = tempfile::tempdir().unwrap();
        tiny_model(dir.path());
        let error = message(rendering(json!({ "end-token": "<|im_end|>" })).load(&of(dir.path())));
        assert!(error.contains("`<|im_end|>` is none of its tokens"), "{error}");
    }
}
