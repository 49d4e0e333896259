//! Conversations: the turns that a chat template renders, and the prompts that a model completes.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// A turn of a conversation, as chat templates read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// `system`, `user`, `assistant` or `tool`.
    pub role: String,
    /// Its text, or null, which no template sees. (A list of text parts is read as one text.)
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub content: Value,
    /// Other keys, which some templates read: `reasoning_content`, `tool_calls`, `name`, ….
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

impl Message {
    /// Makes a turn of plain text.
    pub fn new(role: &str, content: impl Into<String>) -> Self {
        Self { role: role.to_owned(), content: Value::String(content.into()), more: Map::new() }
    }

    /// Returns its text; parts of type `text` are concatenated, as templates do. `None` if there is another part.
    pub fn text(&self) -> Option<Cow<'_, str>> {
        match &self.content {
            Value::String(text) => Some(Cow::Borrowed(text)),
            Value::Null => Some(Cow::Borrowed("")),
            Value::Array(parts) => {
                let texts = parts.iter().map(|part| part.as_str().or_else(|| part["text"].as_str()));
                texts.collect::<Option<String>>().map(Cow::Owned)
            }
            _ => None,
        }
    }
}

/// What a model completes: the user's text, or a conversation that ends before the assistant's turn.
///
/// A conversation of one plain user turn is the same prompt as its text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Prompt {
    /// The user's text.
    Text(String),
    /// All turns.
    Turns(Vec<Message>),
    /// All turns, with values for the chat template's own variables.
    #[serde(rename_all = "kebab-case")]
    WithArgs {
        /// The turns.
        messages: Vec<Message>,
        /// Name of a variable → its value.
        template_args: Map<String, Value>,
    },
}

impl Prompt {
    /// Makes a prompt of turns.
    pub fn of_turns(mut turns: Vec<Message>) -> Self {
        match turns.as_mut_slice() {
            [Message { role, content: Value::String(text), more }] if role == "user" && more.is_empty() => {
                Self::Text(std::mem::take(text))
            }
            _ => Self::Turns(turns),
        }
    }

    /// Returns the turns.
    pub fn turns(&self) -> Cow<'_, [Message]> {
        match self {
            Self::Text(text) => Cow::Owned(vec![Message::new("user", text)]),
            Self::Turns(turns) | Self::WithArgs { messages: turns, .. } => Cow::Borrowed(turns),
        }
    }

    /// Returns the values for the chat template's own variables, if it has any.
    pub fn template_args(&self) -> Option<&Map<String, Value>> {
        match self {
            Self::WithArgs { template_args, .. } => Some(template_args),
            _ => None,
        }
    }

    /// Returns the prompt with these values for the chat template's own variables; none of them is forgotten that it
    /// has.
    #[must_use]
    pub fn with_template_args(self, more: Map<String, Value>) -> Self {
        let mut template_args = self.template_args().cloned().unwrap_or_default();
        template_args.extend(more);
        if template_args.is_empty() {
            return self;
        }
        Self::WithArgs { messages: self.turns().into_owned(), template_args }
    }

    /// Returns a prompt of other turns, with the same values for the template.
    #[must_use]
    pub fn with_turns(&self, turns: Vec<Message>) -> Self {
        Self::of_turns(turns).with_template_args(self.template_args().cloned().unwrap_or_default())
    }

    /// Returns a text that differs for different prompts: the user's text, or the turns as JSON.
    pub fn key(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            more => Cow::Owned(serde_json::to_string(more).expect("turns are JSON")),
        }
    }

    /// Returns the text of the last user turn; empty if there is none.
    pub fn last_text(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::Turns(turns) | Self::WithArgs { messages: turns, .. } => {
                turns.iter().rev().find(|turn| turn.role == "user").and_then(Message::text).unwrap_or_default()
            }
        }
    }

    /// Returns the texts of all turns.
    pub fn texts(&self) -> Vec<Cow<'_, str>> {
        match self {
            Self::Text(text) => vec![Cow::Borrowed(text.as_str())],
            Self::Turns(turns) | Self::WithArgs { messages: turns, .. } => {
                turns.iter().filter_map(Message::text).collect()
            }
        }
    }

    /// Returns the prompt with `before` before the last user turn's text.
    #[must_use]
    pub fn with_text_before(&self, before: &str) -> Self {
        self.with_last_text(|text| format!("{before}{text}"))
    }

    /// Returns the prompt with `after` after the last user turn's text.
    #[must_use]
    pub fn with_text_after(&self, after: &str) -> Self {
        self.with_last_text(|text| format!("{text}{after}"))
    }

    fn with_last_text(&self, change: impl FnOnce(&str) -> String) -> Self {
        let mut turns = self.turns().into_owned();
        if let Some(turn) = turns.iter_mut().rev().find(|turn| turn.role == "user")
            && let Some(text) = turn.text()
        {
            turn.content = Value::String(change(&text));
        }
        self.with_turns(turns)
    }

    /// Returns the prompt with `more` turns before the last user turn.
    #[must_use]
    pub fn with_turns_before(&self, more: Vec<Message>) -> Self {
        let mut turns = self.turns().into_owned();
        let last = turns.iter().rposition(|turn| turn.role == "user").unwrap_or(turns.len());
        turns.splice(last..last, more);
        self.with_turns(turns)
    }
}

impl From<String> for Prompt {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Prompt {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// Splits a conversation before its last turn, which must be the assistant's: the prompt, and the completion's text
/// with the thought in tags.
///
/// # Errors
/// The reason, for a row's error message.
pub fn split(mut turns: Vec<Message>) -> Result<(Prompt, String), String> {
    let completion = answer(&turns)?;
    turns.pop();
    if turns.is_empty() {
        return Err("the conversation has only an assistant's turn".to_owned());
    }
    Ok((Prompt::of_turns(turns), completion))
}

/// Returns the text of the last turn, which must be the assistant's, with the thought in tags.
///
/// # Errors
/// The reason, for a row's error message.
pub fn answer(turns: &[Message]) -> Result<String, String> {
    let last = turns.last().ok_or("the conversation is empty")?;
    if last.role != "assistant" {
        let role = &last.role;
        return Err(format!("the last turn is the {role}'s, expected the assistant's: there is nothing to learn"));
    }
    completion(last)
}

/// Returns the assistant's earlier turns of a prompt, each as a prompt of the turns before it and a completion. Turns
/// that only call a tool are left out.
pub fn earlier(prompt: &Prompt) -> Vec<(Prompt, String)> {
    if matches!(prompt, Prompt::Text(_)) {
        return Vec::new();
    }
    let turns = prompt.turns();
    let answers = turns.iter().enumerate().filter(|(index, turn)| *index > 0 && turn.role == "assistant");
    answers
        .filter_map(|(index, turn)| Some((prompt.with_turns(turns[..index].to_vec()), completion(turn).ok()?)))
        .collect()
}

/// The key of a turn that has the assistant's thought beside its text.
pub const THOUGHT: &str = "reasoning_content";
/// The keys under which sets have it; the first that a turn has counts. Templates read the first or the second.
const THOUGHTS: [&str; 3] = [THOUGHT, "thinking", "reasoning"];

impl Message {
    /// Returns the turn as templates see it in transformers: a thought has the names that templates know.
    pub(crate) fn for_template(&self) -> Cow<'_, Self> {
        let found = THOUGHTS.iter().find_map(|key| self.more.get(*key).filter(|thought| !thought.is_null()));
        let Some(thought) = found.cloned() else { return Cow::Borrowed(self) };
        let mut turn = self.clone();
        turn.more.entry(THOUGHTS[1]).or_insert_with(|| thought.clone());
        turn.more.insert(THOUGHT.to_owned(), thought);
        Cow::Owned(turn)
    }
}

/// Returns the text that the assistant writes in a turn: its thought in tags, if it has one, and its content.
fn completion(turn: &Message) -> Result<String, String> {
    // A table has an empty list where there is no call.
    let is_call =
        |key: &&str| turn.more.get(*key).is_some_and(|calls| calls.as_array().is_none_or(|calls| !calls.is_empty()));
    if let Some(calls) = ["tool_calls", "function_call"].into_iter().find(is_call) {
        return Err(format!("the last turn has `{calls}`: only a text can be learnt"));
    }
    let content = turn.text().ok_or("the last turn has parts that are not text")?;
    let thought = THOUGHTS.into_iter().find_map(|key| turn.more.get(key)?.as_str());
    match thought.filter(|thought| !thought.trim().is_empty()) {
        Some(_) if content.contains("</think>") => {
            Err("the last turn has a thought twice: in its text and beside it".to_owned())
        }
        Some(thought) => {
            Ok(format!("<think>\n{}\n</think>\n\n{}", thought.trim_matches('\n'), content.trim_start_matches('\n')))
        }
        None if content.trim().is_empty() => Err("the last turn has no text".to_owned()),
        None => Ok(content.into_owned()),
    }
}

/// Parses a list of turns: `{"role", "content"}`, or ShareGPT's `{"from", "value"}`.
///
/// # Errors
/// The reason, for a row's error message.
pub fn turns(list: &[Value]) -> Result<Vec<Message>, String> {
    let turns = list.iter().enumerate().map(|(index, turn)| {
        let place = || format!("turn {}", index + 1);
        let Value::Object(fields) = turn else {
            return Err(format!("{} is no object, expected `role` and `content`", place()));
        };
        let mut fields = fields.clone();
        // A table has a column for every key, so a key that a turn does not have is null there.
        fields.retain(|_, value| !value.is_null());
        if let Some(from) = fields.remove("from") {
            let from = from.as_str().ok_or_else(|| format!("`from` of {} is no text", place()))?;
            let content = fields.remove("value").unwrap_or_default();
            let role = sharegpt_role(from).ok_or_else(|| {
                format!("`from` of {} is `{from}`, expected `human`, `gpt`, `system` or `tool`", place())
            })?;
            fields.insert("role".to_owned(), role.into());
            match (from, called(&content)) {
                ("function_call", Some(calls)) => fields.insert("tool_calls".to_owned(), calls),
                _ => fields.insert("content".to_owned(), content),
            };
        }
        let mut turn: Message =
            serde_json::from_value(Value::Object(fields)).map_err(|error| format!("{}: {error}", place()))?;
        match turn.content {
            Value::String(_) | Value::Null => {}
            Value::Array(_) => {
                let text = turn.text().ok_or_else(|| format!("{} has a part that is no text", place()))?.into_owned();
                turn.content = Value::String(text);
            }
            _ => return Err(format!("`content` of {} is neither text nor a list of parts", place())),
        }
        Ok(turn)
    });
    turns.collect()
}

/// Returns the role of a speaker in ShareGPT's form, whatever its capitals.
fn sharegpt_role(from: &str) -> Option<&'static str> {
    match from.to_ascii_lowercase().as_str() {
        "human" | "user" | "prompter" => Some("user"),
        "gpt" | "assistant" | "chatgpt" | "bing" | "bard" | "model" | "bot" | "ai" | "function_call" => {
            Some("assistant")
        }
        "observation" | "tool" | "function" | "function_response" => Some("tool"),
        "system" => Some("system"),
        _ => None,
    }
}

/// Returns the calls in the text of a `function_call`: `{"name", "arguments"}` or a list of these, in JSON.
fn called(value: &Value) -> Option<Value> {
    let calls = match serde_json::from_str(value.as_str()?).ok()? {
        Value::Array(calls) => calls,
        call => vec![call],
    };
    let calls =
        calls.into_iter().map(|call| call["name"].is_string().then(|| json!({ "type": "function", "function": call })));
    calls.collect::<Option<Vec<_>>>().map(Value::Array)
}

#[cfg(test)]
mod tests;
