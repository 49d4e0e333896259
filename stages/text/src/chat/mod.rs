//! `Chat`: turns a prompt into ids, and ids into text.

mod load;

use std::borrow::Cow;
use std::path::Path;

use serde_json::{Map, Value, json};
use tokenizers::AddedToken;

use crate::template::Marked;
use crate::{ChatTemplate, Error, Message, Prompt, Surround, Tokenizer};

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

/// For each new token its id, and the ids that its text had before.
pub type NewTokens = Vec<(i64, Vec<i64>)>;

/// A tokenizer with the conventions of its model: template, ends, padding.
#[derive(Clone, Debug)]
pub struct Chat {
    /// Text ↔ ids.
    pub tokenizer: Tokenizer,
    /// The chat template; without one, a prompt is encoded as text, with the special tokens that the tokenizer adds.
    pub template: Option<ChatTemplate>,
    /// Id of the end that is learnt: the tokenizer's `eos_token`, or another one by [`with_end`](Chat::with_end).
    pub eos: i64,
    /// Ids that end a completion: `eos` and those of `generation_config.json` and `config.json`.
    pub ends: Vec<i64>,
    /// Id of padding.
    pub pad: i64,
    /// Texts that end a completion; they are no part of it.
    pub stops: Vec<String>,
    /// What is put around every prompt.
    pub surround: Surround,
    special: SpecialTokens,
    args: Map<String, Value>,
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
        let template = template.map(|source| ChatTemplate::parse(source, special.clone())).transpose()?;
        Ok(Self {
            tokenizer,
            template,
            eos,
            ends: vec![eos],
            pad,
            stops: Vec::new(),
            surround: Surround::default(),
            special,
            args: Map::new(),
            embedding: None,
            config,
        })
    }

    /// Adds tokens to the vocabulary, apart from those that it has. Returns each new one's id, and the ids that its
    /// text had before.
    pub fn with_new_tokens(mut self, tokens: &[String]) -> Result<(Self, NewTokens), Error> {
        let missing: Vec<&String> = tokens.iter().filter(|token| self.tokenizer.id(token).is_none()).collect();
        if missing.is_empty() {
            return Ok((self, Vec::new()));
        }
        let pieces = missing.iter().map(|token| self.tokenizer.encode_continuation(token));
        let pieces = pieces.collect::<Result<Vec<_>, _>>()?;
        // They are part of a completion's text, so they are not special, and no rule may change them.
        let added = missing.iter().map(|token| AddedToken::from(token.as_str(), false).normalized(false));
        self.tokenizer = self.tokenizer.with_tokens(added.collect())?;
        let ids =
            missing.iter().map(|token| self.tokenizer.id(token).ok_or_else(|| Error::MissingToken((*token).clone())));
        let new = ids.collect::<Result<Vec<_>, _>>()?.into_iter().zip(pieces).collect();
        self.embedding = self.embedding.map(|rows| rows.max(self.tokenizer.last_id() + 1));
        Ok((self, new))
    }

    /// Replaces the token that ends a completion. The earlier one still ends completions, and is not learnt any more.
    pub fn with_end(mut self, token: &str) -> Result<Self, Error> {
        let id = self.tokenizer.id(token).ok_or_else(|| {
            Error::Tokenizer(format!(
                "`{token}` is none of its tokens, so it cannot end a completion; help: name one of them"
            ))
        })?;
        self.eos = id;
        self.ends.retain(|end| *end != id);
        self.ends.insert(0, id);
        token.clone_into(&mut self.special.eos);
        self.config["eos_token"] = json!(token);
        match self.template.take() {
            Some(template) => {
                let source = template.source().to_owned();
                self.with_template(&source)
            }
            None => Ok(self),
        }
    }

    /// Replaces the chat template, also in what [`save`](Chat::save) writes.
    pub fn with_template(mut self, source: &str) -> Result<Self, Error> {
        self.template = Some(ChatTemplate::parse(source, self.special.clone())?);
        self.config["chat_template"] = json!(source);
        Ok(self)
    }

    /// Sets the texts that end a completion.
    #[must_use]
    pub fn with_stops(self, stops: &[String]) -> Self {
        Self { stops: stops.to_vec(), ..self }
    }

    /// Sets the chat template's own variables; see [`ChatTemplate::with_args`].
    pub fn with_template_args(mut self, args: Map<String, Value>) -> Result<Self, Error> {
        if args.is_empty() {
            return Ok(self);
        }
        let template = self.template.take().ok_or_else(|| needs_template("it reads no `template-args`"))?;
        self.template = Some(template.with_args(args.clone())?);
        self.args = args;
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
        let ids = match self.rendered(prompt)? {
            Some(text) => self.tokenizer.encode(&text)?,
            None => self.tokenizer.encode_text(&plain(&*self.surround.around(prompt)?)?)?,
        };
        self.checked(ids)
    }

    /// Renders a prompt by the template, if there is one, with all that surrounds it.
    fn rendered(&self, prompt: &Prompt) -> Result<Option<String>, Error> {
        let Some(template) = &self.template else { return Ok(None) };
        let prompt = self.surround.around(prompt)?;
        self.of_prompt(template, &prompt)?.render(&prompt.turns(), true).map(Some)
    }

    /// Refuses a prompt's values for variables that the template does not read.
    pub fn check_args(&self, prompt: &Prompt) -> Result<(), Error> {
        match (&self.template, prompt.template_args()) {
            (_, None) => Ok(()),
            (Some(template), Some(_)) => self.of_prompt(template, prompt).map(|_| ()),
            (None, Some(_)) => plain(prompt).map(|_| ()),
        }
    }

    /// Returns the template with the prompt's own values for its variables.
    fn of_prompt<'a>(&self, template: &'a ChatTemplate, prompt: &Prompt) -> Result<Cow<'a, ChatTemplate>, Error> {
        let Some(of_prompt) = prompt.template_args() else { return Ok(Cow::Borrowed(template)) };
        let mut args = self.args.clone();
        args.extend(of_prompt.clone());
        template.clone().with_args(args).map(Cow::Owned)
    }

    /// Returns the ids of a row that is learnt, a prompt with its completion and its end, and the index of the first
    /// that is learnt. That is the first of the completion; where the template marks the assistant's text in its turn
    /// by `{% generation %}`, the first that it marks.
    pub fn row_ids(&self, prompt: &Prompt, completion: &str) -> Result<(Vec<i64>, usize), Error> {
        if let Some((before, marked)) = self.marked(prompt, completion)? {
            let mut ids = self.tokenizer.encode(&before)?;
            let start = ids.len();
            ids.extend(self.tokenizer.encode_continuation(&marked)?);
            return Ok((self.checked(self.ended(ids))?, start));
        }
        let mut ids = self.prompt_ids(prompt)?;
        let start = ids.len();
        ids.extend(self.completion_ids(&ids, completion)?);
        Ok((ids, start))
    }

    /// Returns what the template renders of a row before and in the text that it marks in the last turn; `None` if it
    /// marks none, has other white space there than at the end of a prompt, or leaves out a part of the completion, as
    /// some do with thoughts.
    fn marked(&self, prompt: &Prompt, completion: &str) -> Result<Option<(String, String)>, Error> {
        let Some(template) = &self.template else { return Ok(None) };
        let ends: Vec<String> = self.ends.iter().map(|id| self.tokenizer.decode(&[*id])).collect();
        let without_end = |text: &'_ str| ends.iter().find_map(|end| text.strip_suffix(end.as_str()).map(str::len));
        let completion = self.up_to_end(completion);
        let completion = &completion[..without_end(completion).unwrap_or(completion.len())];
        let surrounded = self.surround.around(prompt)?;
        let template = self.of_prompt(template, &surrounded)?;
        let mut turns = surrounded.turns().into_owned();
        turns.push(Message::new("assistant", completion));
        let asked = template.render(&surrounded.turns(), true)?;
        let Some(Marked { before, marked, turn }) = template.render_marked(&turns, &asked, completion)? else {
            return Ok(None);
        };
        let mut parts = completion.split(END_THINK).flat_map(|part| part.split(THINK)).map(str::trim);
        if !parts.all(|part| turn.contains(part)) {
            return Ok(None);
        }
        let end = marked.trim_end().len();
        let ends_itself = ends.iter().any(|text| marked[..end].ends_with(text.as_str()));
        let marked = if ends_itself { marked[..end].to_owned() } else { marked };
        Ok(Some((before, marked)))
    }

    /// Returns a completion without the white space after an end token, if it has one.
    fn up_to_end<'a>(&self, completion: &'a str) -> &'a str {
        let trimmed = completion.trim_end();
        let ends_itself = self.ends.iter().any(|id| trimmed.ends_with(&self.tokenizer.decode(&[*id])));
        if ends_itself { trimmed } else { completion }
    }

    /// Adds the end that is learnt to ids that have none.
    fn ended(&self, mut ids: Vec<i64>) -> Vec<i64> {
        if ids.last().is_none_or(|last| !self.ends.contains(last)) {
            ids.push(self.eos);
        }
        ids
    }

    /// Returns the ids of a completion after the ids of its prompt, with the eos that ends it. What the template
    /// already writes of a completion at the end of the prompt is left out, and a completion that ends with an end
    /// token gets no second.
    pub fn completion_ids(&self, prompt_ids: &[i64], completion: &str) -> Result<Vec<i64>, Error> {
        let opening = self.opening(prompt_ids);
        let ids = self.tokenizer.encode_continuation(without_opening(self.up_to_end(completion), &opening))?;
        self.checked(self.ended(ids))
    }

    /// Returns the text of a completion up to its end or the first stop text, other special tokens included.
    pub fn completion_text(&self, ids: &[i64]) -> String {
        let end = ids.iter().position(|id| self.ends.contains(id)).unwrap_or(ids.len());
        let mut text = self.tokenizer.decode(&ids[..end]);
        if let Some(stop) = self.stops.iter().filter_map(|stop| text.find(stop.as_str())).min() {
            text.truncate(stop);
        }
        text
    }

    /// Returns whether the last token of a completion completes a stop text.
    pub fn is_stopped(&self, ids: &[i64]) -> bool {
        let Some(longest) = self.stops.iter().map(String::len).max() else { return false };
        // A token has at least one byte, except special ones and those that end a character.
        let end = self.tokenizer.decode(&ids[ids.len().saturating_sub(longest + PARTS_OF_A_CHARACTER)..]);
        self.stops.iter().any(|stop| end.contains(stop.as_str()))
    }

    /// Returns the number of ids that a completion may have: the tokenizer's, or the embedding's if it has fewer. A
    /// head may be padded beyond them.
    pub fn vocabulary(&self) -> i64 {
        let ids = self.tokenizer.last_id() + 1;
        self.embedding.map_or(ids, |rows| rows.min(ids))
    }

    /// Returns the beginning of a completion that a template has already written at the end of a prompt: `<think>`,
    /// perhaps with white space after it, or an empty thought; nothing for most templates.
    ///
    /// Templates of the released distilled models write it. Without it, a format reward that needs the opening tag
    /// would always be 0.
    pub fn opening(&self, prompt_ids: &[i64]) -> String {
        let sources = [self.template.as_ref().map(ChatTemplate::source), self.surround.template_source()];
        if !sources.into_iter().flatten().any(|source| source.contains(THINK)) {
            return String::new();
        }
        let end = self.tokenizer.decode(&prompt_ids[prompt_ids.len().saturating_sub(OPENING_TOKENS)..]);
        let Some(start) = end.rfind(THINK) else { return String::new() };
        let rest = &end[start + THINK.len()..];
        let is_opening = rest.trim().is_empty() || rest.trim() == END_THINK;
        if is_opening { end[start..].to_owned() } else { String::new() }
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
/// Most bytes of a character in UTF-8.
const PARTS_OF_A_CHARACTER: usize = 4;
/// More tokens than an empty thought has, even where its tags are no tokens of their own.
const OPENING_TOKENS: usize = 64;

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
        Prompt::WithArgs { .. } => Err(needs_template("it reads no `template-args`, which a row has")),
        Prompt::Turns(turns) => {
            Err(needs_template(&format!("it cannot render a conversation of {} turns, as this is", turns.len())))
        }
    }
}

fn needs_template(consequence: &str) -> Error {
    Error::Template {
        name: "chat_template".to_owned(),
        reason: format!(
            "the model has none, so {consequence}; help: name one by `chat-template`, {}, or one of yours",
            crate::template::names().map(|name| format!("`{name}`")).join(", ")
        ),
    }
}

#[cfg(test)]
mod tests;
