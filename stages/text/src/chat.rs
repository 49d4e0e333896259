//! `Chat`: turns a prompt into ids, and ids into text.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{ChatTemplate, Error, Tokenizer, limits};

/// A turn of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// `system`, `user` or `assistant`.
    pub role: String,
    /// Its text.
    pub content: String,
}

/// The tokens that templates may name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpecialTokens {
    /// Beginning of a text, if the model has such a token.
    pub bos: Option<String>,
    /// End of a completion.
    pub eos: String,
    /// Padding; the eos token if the model has no padding token.
    pub pad: String,
}

/// A tokenizer with the conventions of its model: template, end, padding.
#[derive(Clone, Debug)]
pub struct Chat {
    /// Text ↔ ids.
    pub tokenizer: Tokenizer,
    /// The chat template; without one, a prompt is encoded as it is.
    pub template: Option<ChatTemplate>,
    /// Id that ends a completion.
    pub eos: i64,
    /// Id of padding.
    pub pad: i64,
    config: Value,
}

impl Chat {
    /// Makes a chat from parts.
    pub fn new(tokenizer: Tokenizer, template: Option<&str>, special: SpecialTokens) -> Result<Self, Error> {
        let id = |token: &str| tokenizer.id(token).ok_or_else(|| Error::MissingToken(token.to_owned()));
        let (eos, pad) = (id(&special.eos)?, id(&special.pad)?);
        let mut config = json!({
            "tokenizer_class": "PreTrainedTokenizerFast",
            "clean_up_tokenization_spaces": false,
            "eos_token": special.eos, "pad_token": special.pad,
        });
        if let Some(bos) = &special.bos {
            config["bos_token"] = json!(bos);
        }
        if let Some(source) = template {
            config["chat_template"] = json!(source);
        }
        let template = template.map(|source| ChatTemplate::parse(source, special)).transpose()?;
        Ok(Self { tokenizer, template, eos, pad, config })
    }

    /// Reads `tokenizer.json`, `tokenizer_config.json` and `chat_template.jinja` of a model's folder.
    pub fn load(dir: &Path) -> Result<Self, Error> {
        let tokenizer = Tokenizer::load(dir)?;
        let path = dir.join("tokenizer_config.json");
        let invalid = |reason: String| Error::Json { path: path.clone(), reason };
        let text = outside::read_text(&path, limits::CONFIG_BYTES, limits::NO_SUCH_FILE)?;
        let config: Value = serde_json::from_str(&text).map_err(|error| invalid(error.to_string()))?;
        let eos = token(&config, "eos_token").ok_or_else(|| invalid("it names no `eos_token`".to_owned()))?;
        let pad = token(&config, "pad_token").unwrap_or_else(|| eos.clone());
        let special = SpecialTokens { bos: token(&config, "bos_token"), eos, pad };
        let beside = dir.join("chat_template.jinja");
        let (source, file) = match config["chat_template"].as_str() {
            Some(source) => (Some(source.to_owned()), &path),
            None => (outside::read_text_if_there(&beside, limits::CONFIG_BYTES, limits::NO_SUCH_FILE)?, &beside),
        };
        let template =
            source.as_deref().map(|source| ChatTemplate::named(&file.display().to_string(), source, special.clone()));
        let mut chat = Self::new(tokenizer, None, special)?;
        chat.template = template.transpose()?;
        chat.config = config;
        if let Some(source) = source {
            chat.config["chat_template"] = json!(source);
        }
        Ok(chat)
    }

    /// Writes `tokenizer.json` and `tokenizer_config.json` into a model's folder.
    pub fn save(&self, dir: &Path) -> Result<(), Error> {
        fs_err::create_dir_all(dir)?;
        fs_err::write(dir.join("tokenizer.json"), self.tokenizer.to_json())?;
        let config = serde_json::to_string_pretty(&self.config).expect("a JSON value is JSON");
        fs_err::write(dir.join("tokenizer_config.json"), config)?;
        Ok(())
    }

    /// Returns the ids of a prompt, rendered by the template as a user's turn followed by the beginning of the
    /// assistant's.
    pub fn prompt_ids(&self, prompt: &str) -> Result<Vec<i64>, Error> {
        self.tokenizer.encode(&self.render(prompt)?)
    }

    /// Returns the ids of a completion, with the eos that ends it.
    pub fn completion_ids(&self, completion: &str) -> Result<Vec<i64>, Error> {
        let mut ids = self.tokenizer.encode(completion)?;
        ids.push(self.eos);
        Ok(ids)
    }

    /// Returns the text of a completion up to its eos, other special tokens included.
    pub fn completion_text(&self, ids: &[i64]) -> String {
        let end = ids.iter().position(|id| *id == self.eos).unwrap_or(ids.len());
        self.tokenizer.decode(&ids[..end])
    }

    /// Returns the beginning of a completion that the template already writes at the end of the prompt: `<think>`, or
    /// nothing.
    ///
    /// Templates of the released distilled models write it. Without this, a format reward that needs the opening tag
    /// would always be 0.
    pub fn opening(&self) -> &'static str {
        let is_open = self.render("").is_ok_and(|prompt| prompt.trim_end().ends_with("<think>"));
        if is_open { "<think>" } else { "" }
    }

    fn render(&self, prompt: &str) -> Result<String, Error> {
        match &self.template {
            None => Ok(prompt.to_owned()),
            Some(template) => {
                let turn = Message { role: "user".to_owned(), content: prompt.to_owned() };
                template.render(&[turn], true)
            }
        }
    }
}

/// Reads a special token, which `tokenizer_config.json` writes as a string or as an object with `content`.
fn token(config: &Value, key: &str) -> Option<String> {
    config[key].as_str().or_else(|| config[key]["content"].as_str()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::char_level;

    const NEWLINE: &str =
        "{% for m in messages %}{{ m.content }}{% if m.role == 'user' %}{{ '\\n' }}{% endif %}{% endfor %}";

    fn special() -> SpecialTokens {
        SpecialTokens { bos: None, eos: "<eos>".to_owned(), pad: "<pad>".to_owned() }
    }

    fn chat(template: Option<&str>) -> Chat {
        let specials = ["<pad>", "<eos>", "<think>"].map(str::to_owned);
        Chat::new(char_level(["1+2=?\n3 "].into_iter(), &specials).unwrap(), template, special()).unwrap()
    }

    #[test]
    fn prompts_are_dressed_and_completions_end() {
        let chat = chat(Some(NEWLINE));
        assert_eq!(chat.tokenizer.decode(&chat.prompt_ids("1+2=?").unwrap()), "1+2=?\n");
        let ids = chat.completion_ids("<think>3").unwrap();
        assert_eq!(ids.last(), Some(&chat.eos));
        assert_eq!(chat.completion_text(&ids), "<think>3");
    }

    #[test]
    fn a_folder_round_trips() {
        let dir = tempfile::tempdir().unwrap();
        chat(Some(NEWLINE)).save(dir.path()).unwrap();
        let loaded = Chat::load(dir.path()).unwrap();
        assert_eq!(loaded.template.unwrap().source(), NEWLINE);
        assert_eq!((loaded.eos, loaded.pad), (1, 0));
    }

    #[test]
    fn a_prefilled_thought_is_noticed() {
        let template =
            "{% for m in messages %}{{ m.content }}{% endfor %}{% if add_generation_prompt %}<think>\n{% endif %}";
        assert_eq!(chat(Some(template)).opening(), "<think>");
        assert_eq!((chat(Some(NEWLINE)).opening(), chat(None).opening()), ("", ""));
    }
}
