//! Reads a model's chat conventions from its folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tokenizers::AddedToken;

use super::{Chat, SpecialTokens};
use crate::{ChatTemplate, Error, Tokenizer, limits};

impl Chat {
    /// Reads `tokenizer.json`, `tokenizer_config.json` and `chat_template.jinja` of a model's folder, and from its
    /// `config.json` and `generation_config.json` the ends of a completion and the size of the embedding.
    pub fn load(dir: &Path) -> Result<Self, Error> {
        Self::load_with_tokenizer(dir, dir, None)
    }

    /// Does the same as [`load`](Self::load) with the tokenizer and the template of another folder; `end` ends a
    /// completion where the tokenizer names no end.
    pub fn load_with_tokenizer(dir: &Path, of_tokenizer: &Path, end: Option<&str>) -> Result<Self, Error> {
        let path = of_tokenizer.join("tokenizer_config.json");
        let mut config = json_of(&path)?.unwrap_or_else(|| json!({}));
        // As in transformers, the older file takes precedence.
        let older = json_of(&of_tokenizer.join("special_tokens_map.json"))?.unwrap_or_default();
        for key in ["bos_token", "eos_token", "pad_token"] {
            if let Some(token) = token(&older, key) {
                config[key] = json!(token);
            }
        }
        let tokenizer = Tokenizer::load(of_tokenizer)?;
        let tokenizer =
            with_added_tokens(tokenizer, &config["added_tokens_decoder"]).map_err(|reason| invalid(&path, &reason))?;
        let eos = token(&config, "eos_token").or_else(|| end.map(str::to_owned)).ok_or_else(|| no_end(&path))?;
        config["eos_token"] = json!(eos);
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
}

/// Adds the tokens of `added_tokens_decoder` that `tokenizer.json` does not have, as transformers does.
fn with_added_tokens(tokenizer: Tokenizer, decoder: &Value) -> Result<Tokenizer, String> {
    let Some(tokens) = decoder.as_object() else { return Ok(tokenizer) };
    let tokens = tokens.iter().filter_map(|(id, token)| Some((id.parse().ok()?, (token["content"].as_str()?, token))));
    let mut missing: BTreeMap<i64, (&str, &Value)> = tokens.collect();
    missing.retain(|_, (content, _)| tokenizer.id(content).is_none());
    if missing.is_empty() {
        return Ok(tokenizer);
    }
    let added = missing.values().map(|(content, token)| {
        let flag = |name: &str| token[name] == true;
        AddedToken::from(*content, flag("special"))
            .single_word(flag("single_word"))
            .lstrip(flag("lstrip"))
            .rstrip(flag("rstrip"))
            .normalized(flag("normalized"))
    });
    let tokenizer = tokenizer.with_tokens(added.collect()).map_err(|error| error.to_string())?;
    for (id, (content, _)) in missing {
        let got = tokenizer.id(content).unwrap_or(-1);
        if got != id {
            return Err(format!("the added token `{content}` has id {id} there and would get {got}; help: {MATCH}"));
        }
    }
    Ok(tokenizer)
}

fn no_end(path: &Path) -> Error {
    let what = if path.exists() { "names no `eos_token`, nor does" } else { "is not there, and no `eos_token` is in" };
    Error::NoEnd(format!(
        "`{}` {what} special_tokens_map.json; help: name the token that ends a completion by `end-token`",
        path.display()
    ))
}

/// Help for files that do not belong together.
const MATCH: &str = "take both files of the tokenizer from one publication";

/// Returns the source of the chat template and where it is: `chat_template.jinja` takes precedence, and of several
/// named ones the template `default`.
fn template_of(dir: &Path, path: &Path, config: &Value) -> Result<Option<(PathBuf, String)>, Error> {
    let beside = dir.join("chat_template.jinja");
    if let Some(text) = outside::read_text_if_there(&beside, limits::CONFIG_BYTES, limits::NO_SUCH_FILE)? {
        return Ok(Some((beside, text)));
    }
    let text = match &config["chat_template"] {
        Value::Null => {
            let more = dir.join("additional_chat_templates");
            if more.is_dir() {
                let reason = format!(
                    "it names no chat template, and `{}` has none by default; help: name one by \
                    `chat-template`, or put the default into chat_template.jinja",
                    more.display()
                );
                return Err(invalid(path, &reason));
            }
            return Ok(None);
        }
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
