//! `Chat`: turns a prompt into ids, and ids into text.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::{ChatTemplate, Error, Prompt, Tokenizer, limits};

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

/// A tokenizer with the conventions of its model: template, ends, padding.
#[derive(Clone, Debug)]
pub struct Chat {
    /// Text ↔ ids.
    pub tokenizer: Tokenizer,
    /// The chat template; without one, a prompt is encoded as text, with the special tokens that the tokenizer adds.
    pub template: Option<ChatTemplate>,
    /// Id of the end that is learnt: the tokenizer's `eos_token`.
    pub eos: i64,
    /// Ids that end a completion: `eos` and those of `generation_config.json` and `config.json`.
    pub ends: Vec<i64>,
    /// Id of padding.
    pub pad: i64,
    /// Rows of the model's embedding; ids from there on are refused.
    embedding: Option<i64>,
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
        Ok(Self { tokenizer, template, eos, ends: vec![eos], pad, embedding: None, config })
    }

    /// Reads `tokenizer.json`, `tokenizer_config.json` and `chat_template.jinja` of a model's folder, and from its
    /// `config.json` and `generation_config.json` the ends of a completion and the size of the embedding.
    pub fn load(dir: &Path) -> Result<Self, Error> {
        Self::load_with_tokenizer(dir, dir)
    }

    /// Does the same as [`load`](Self::load) with the tokenizer and the template of another folder.
    pub fn load_with_tokenizer(dir: &Path, of_tokenizer: &Path) -> Result<Self, Error> {
        let tokenizer = Tokenizer::load(of_tokenizer)?;
        let path = of_tokenizer.join("tokenizer_config.json");
        let config = json_of(&path)?.ok_or_else(|| invalid(&path, "it does not exist"))?;
        let eos = token(&config, "eos_token").ok_or_else(|| invalid(&path, "it names no `eos_token`"))?;
        let pad = token(&config, "pad_token").unwrap_or_else(|| eos.clone());
        let special = SpecialTokens { bos: token(&config, "bos_token"), eos, pad };
        let source = template_of(of_tokenizer, &path, &config)?;
        let template =
            source.as_ref().map(|(file, text)| ChatTemplate::named(&file.display().to_string(), text, special.clone()));
        let mut chat = Self::new(tokenizer, None, special)?;
        chat.template = template.transpose()?;
        chat.config = config;
        if let Some((_, text)) = source {
            chat.config["chat_template"] = json!(text);
        }
        let of_model = json_of(&dir.join("config.json"))?.unwrap_or_default();
        let of_generation = json_of(&dir.join("generation_config.json"))?.unwrap_or_default();
        chat.embedding = of_model["vocab_size"].as_i64();
        for id in [&of_generation, &of_model].into_iter().flat_map(|document| ids(&document["eos_token_id"])) {
            if !chat.ends.contains(&id) {
                chat.ends.push(id);
            }
        }
        Ok(chat)
    }

    /// Sets the chat template's own variables; see [`ChatTemplate::with_args`].
    pub fn with_template_args(mut self, args: Map<String, Value>) -> Result<Self, Error> {
        if args.is_empty() {
            return Ok(self);
        }
        let template = self.template.take().ok_or_else(|| Error::Template {
            name: "chat_template".to_owned(),
            reason: "the model has none, so it reads no `template-args`".to_owned(),
        })?;
        self.template = Some(template.with_args(args)?);
        Ok(self)
    }

    /// Writes `tokenizer.json` and `tokenizer_config.json` into a model's folder.
    pub fn save(&self, dir: &Path) -> Result<(), Error> {
        fs_err::create_dir_all(dir)?;
        fs_err::write(dir.join("tokenizer.json"), self.tokenizer.to_json())?;
        let config = serde_json::to_string_pretty(&self.config).expect("a JSON value is JSON");
        fs_err::write(dir.join("tokenizer_config.json"), config)?;
        Ok(())
    }

    /// Returns the ids of a prompt, rendered by the template with the beginning of the assistant's turn.
    pub fn prompt_ids(&self, prompt: &Prompt) -> Result<Vec<i64>, Error> {
        let ids = match &self.template {
            Some(template) => self.tokenizer.encode(&template.render(&prompt.turns(), true)?)?,
            None => self.tokenizer.encode_text(&plain(prompt)?)?,
        };
        self.checked(ids)
    }

    /// Returns the ids of a completion of `prompt`, with the eos that ends it. What the template already writes of a
    /// completion at the end of the prompt is left out, and a completion that ends with an end token gets no second.
    pub fn completion_ids(&self, prompt: &Prompt, completion: &str) -> Result<Vec<i64>, Error> {
        let opening = self.opening_of(prompt)?;
        let mut ids = self.tokenizer.encode_continuation(without_opening(completion, &opening))?;
        if ids.last().is_none_or(|last| !self.ends.contains(last)) {
            ids.push(self.eos);
        }
        self.checked(ids)
    }

    /// Returns the text of a completion up to its end, other special tokens included.
    pub fn completion_text(&self, ids: &[i64]) -> String {
        let end = ids.iter().position(|id| self.ends.contains(id)).unwrap_or(ids.len());
        self.tokenizer.decode(&ids[..end])
    }

    /// Returns the number of ids that a completion may have: the tokenizer's, or the embedding's if it has fewer. A head
    /// may be padded beyond them.
    pub fn vocabulary(&self) -> i64 {
        let ids = self.tokenizer.last_id() + 1;
        self.embedding.map_or(ids, |rows| rows.min(ids))
    }

    /// Returns the beginning of a completion that the template already writes at the end of a prompt: `<think>`, perhaps
    /// with white space after it, or an empty thought; nothing for most templates.
    ///
    /// Templates of the released distilled models write it. Without it, a format reward that needs the opening tag would
    /// always be 0.
    pub fn opening(&self) -> String {
        self.opening_of(&Prompt::from("")).unwrap_or_default()
    }

    fn opening_of(&self, prompt: &Prompt) -> Result<String, Error> {
        let Some(template) = self.template.as_ref().filter(|template| template.source().contains(THINK)) else {
            return Ok(String::new());
        };
        let rendered = template.render(&prompt.turns(), true)?;
        let Some(start) = rendered.rfind(THINK) else { return Ok(String::new()) };
        let rest = &rendered[start + THINK.len()..];
        let is_opening = rest.trim().is_empty() || rest.trim() == END_THINK;
        Ok(if is_opening { rendered[start..].to_owned() } else { String::new() })
    }

    /// Refuses ids that the model has no embedding for.
    fn checked(&self, ids: Vec<i64>) -> Result<Vec<i64>, Error> {
        let Some(rows) = self.embedding else { return Ok(ids) };
        match ids.iter().find(|id| **id >= rows) {
            Some(id) => Err(Error::Tokenizer(format!(
                "the token `{}` has id {id}, and the model's embedding has {rows} rows (`vocab_size` in config.json); \
                 help: take the tokenizer that the model was published with",
                self.tokenizer.decode(&[*id])
            ))),
            None => Ok(ids),
        }
    }
}

const THINK: &str = "<think>";
const END_THINK: &str = "</think>";

/// Returns a completion without what the template has already written of it.
fn without_opening<'a>(completion: &'a str, opening: &str) -> &'a str {
    if let Some(rest) = completion.strip_prefix(opening) {
        return rest;
    }
    // The completion has the tag with other white space after it.
    match completion.trim_start().strip_prefix(THINK) {
        Some(rest) if opening.trim_end() == THINK => {
            if opening.len() > THINK.len() {
                rest.trim_start_matches('\n')
            } else {
                rest
            }
        }
        _ => completion,
    }
}

/// Returns the text of a prompt for a model without a chat template.
fn plain(prompt: &Prompt) -> Result<String, Error> {
    match prompt {
        Prompt::Text(text) => Ok(text.clone()),
        Prompt::Turns(turns) => Err(Error::Template {
            name: "chat_template".to_owned(),
            reason: format!(
                "the model has none, and a row has a conversation of {} turns; help: take a chat model, or rows with one \
                 user turn",
                turns.len()
            ),
        }),
    }
}

/// Returns the source of the chat template and where it is: `chat_template.jinja` takes precedence, and of several named
/// ones the template `default`.
fn template_of(dir: &Path, path: &Path, config: &Value) -> Result<Option<(PathBuf, String)>, Error> {
    let beside = dir.join("chat_template.jinja");
    if let Some(text) = outside::read_text_if_there(&beside, limits::CONFIG_BYTES, limits::NO_SUCH_FILE)? {
        return Ok(Some((beside, text)));
    }
    let text = match &config["chat_template"] {
        Value::Null => return Ok(None),
        Value::String(text) => text,
        Value::Array(named) => {
            let default = named.iter().find(|template| template["name"] == "default");
            default.and_then(|template| template["template"].as_str()).ok_or_else(|| {
                let names: Vec<&str> = named.iter().filter_map(|template| template["name"].as_str()).collect();
                invalid(path, &format!("of its chat templates, `{}`, none is called `default`", names.join("`, `")))
            })?
        }
        _ => return Err(invalid(path, "`chat_template` is neither a text nor a list of named templates")),
    };
    Ok(Some((path.to_owned(), text.to_owned())))
}

/// Reads a JSON file of a model's folder, if it exists.
fn json_of(path: &Path) -> Result<Option<Value>, Error> {
    let text = outside::read_text_if_there(path, limits::CONFIG_BYTES, limits::NO_SUCH_FILE)?;
    text.map(|text| serde_json::from_str(&text).map_err(|error| invalid(path, &error.to_string()))).transpose()
}

fn invalid(path: &Path, reason: &str) -> Error {
    Error::Json { path: path.to_owned(), reason: reason.to_owned() }
}

/// Returns the ids of a key that holds one or several.
fn ids(value: &Value) -> Vec<i64> {
    match value {
        Value::Array(ids) => ids.iter().filter_map(Value::as_i64).collect(),
        one => one.as_i64().into_iter().collect(),
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
        assert_eq!(chat.tokenizer.decode(&chat.prompt_ids(&"1+2=?".into()).unwrap()), "1+2=?\n");
        let ids = chat.completion_ids(&"1+2=?".into(), "<think>3").unwrap();
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
        assert_eq!(chat(Some(template)).opening(), "<think>\n");
        assert_eq!(chat(Some(&template.replace('\n', "\n\n</think>\n\n"))).opening(), "<think>\n\n</think>\n\n");
        assert_eq!((chat(Some(NEWLINE)).opening(), chat(None).opening()), (String::new(), String::new()));
    }

    #[test]
    fn what_the_template_has_written_is_not_written_again() {
        let template =
            "{% for m in messages %}{{ m.content }}{% endfor %}{% if add_generation_prompt %}<think>\n{% endif %}";
        for (template, completion, learnt) in [
            (template, "<think>\n1\n 2", "1\n 2<eos>"),
            (template, "<think>1 2", "1 2<eos>"),
            (template, "1 2", "1 2<eos>"),
            (template, "1 2<eos>", "1 2<eos>"),
            (&*template.replace('\n', ""), "<think>\n1", "\n1<eos>"),
            (&*template.replace('\n', "\n</think>\n"), "<think>\n</think>\n1", "1<eos>"),
            (NEWLINE, "<think>\n1", "<think>\n1<eos>"),
        ] {
            let chat = chat(Some(template));
            let ids = chat.completion_ids(&"1+2=?".into(), completion).unwrap();
            assert_eq!(chat.tokenizer.decode(&ids), learnt, "{completion:?} after {template:?}");
        }
    }

    #[test]
    fn an_id_beyond_the_embedding_is_refused_with_both_sizes() {
        let dir = tempfile::tempdir().unwrap();
        chat(Some(NEWLINE)).save(dir.path()).unwrap();
        fs_err::write(dir.path().join("config.json"), r#"{ "vocab_size": 5, "eos_token_id": [1, 2] }"#).unwrap();
        let loaded = Chat::load(dir.path()).unwrap();
        assert_eq!((loaded.vocabulary(), loaded.ends.clone()), (5, vec![1, 2]));
        let error = loaded.prompt_ids(&"3".into()).unwrap_err().to_string();
        assert!(error.contains("the token `3` has id 8") && error.contains("5 rows"), "{error}");
        assert_eq!(loaded.completion_text(&[3, 2, 4]), loaded.tokenizer.decode(&[3]));
    }

    #[test]
    fn of_several_templates_the_file_and_then_the_default_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        chat(Some("config")).save(dir.path()).unwrap();
        let source = || Chat::load(dir.path()).map(|chat| chat.template.unwrap().source().to_owned());
        let path = dir.path().join("tokenizer_config.json");
        let mut config: Value = serde_json::from_str(&fs_err::read_to_string(&path).unwrap()).unwrap();
        config["chat_template"] =
            json!([{ "name": "tool_use", "template": "a" }, { "name": "default", "template": "b" }]);
        fs_err::write(&path, config.to_string()).unwrap();
        assert_eq!(source().unwrap(), "b");
        config["chat_template"] = json!([{ "name": "tool_use", "template": "a" }, { "name": "rag", "template": "b" }]);
        fs_err::write(&path, config.to_string()).unwrap();
        let error = source().unwrap_err().to_string();
        assert!(error.contains("`tool_use`, `rag`"), "{error}");
        fs_err::write(dir.path().join("chat_template.jinja"), "c").unwrap();
        assert_eq!(source().unwrap(), "c");
    }
}
