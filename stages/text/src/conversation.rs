//! Conversations: the turns that a chat template renders, and the prompts that a model completes.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A turn of a conversation, as chat templates read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// `system`, `user`, `assistant` or `tool`.
    pub role: String,
    /// Its text, or null. (A list of text parts is read as one text.)
    #[serde(default)]
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

/// Returns the text that the assistant writes in a turn: its thought in tags, if it has one, and its content.
fn completion(turn: &Message) -> Result<String, String> {
    if let Some(calls) = ["tool_calls", "function_call"].into_iter().find(|key| turn.more.contains_key(*key)) {
        return Err(format!("the last turn has `{calls}`: only a text can be learnt"));
    }
    let content = turn.text().ok_or("the last turn has parts that are not text")?;
    let thought = [THOUGHT, "reasoning", "thinking"].into_iter().find_map(|key| turn.more.get(key)?.as_str());
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
        fields.retain(|key, value| key == "content" || !value.is_null());
        if let (Some(from), Some(value)) = (fields.get("from").cloned(), fields.get("value").cloned()) {
            fields.remove("from");
            fields.remove("value");
            let role = from.as_str().ok_or_else(|| format!("`from` of {} is no text", place()))?;
            fields.insert("role".to_owned(), sharegpt_role(role).into());
            fields.insert("content".to_owned(), value);
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

fn sharegpt_role(from: &str) -> &str {
    match from {
        "human" | "user" => "user",
        "gpt" | "assistant" | "chatgpt" | "bing" | "bard" | "model" => "assistant",
        "observation" | "tool" | "function_response" => "tool",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parsed(list: Value) -> Result<(Prompt, String), String> {
        turns(list.as_array().unwrap()).and_then(split)
    }

    #[test]
    fn a_conversation_of_two_plain_turns_is_a_prompt_and_a_completion() {
        let plain =
            json!([{ "role": "user", "content": "2+2" }, { "role": "assistant", "content": "4", "name": null }]);
        assert_eq!(parsed(plain), Ok(("2+2".into(), "4".to_owned())));
        let sharegpt = json!([{ "from": "human", "value": "2+2" }, { "from": "gpt", "value": "4" }]);
        assert_eq!(parsed(sharegpt), Ok(("2+2".into(), "4".to_owned())));
    }

    #[test]
    fn every_turn_before_the_last_is_part_of_the_prompt() {
        let list = json!([{ "role": "system", "content": "Be brief." }, { "role": "user", "content": "a" },
            { "role": "assistant", "content": null, "tool_calls": [{ "name": "f" }] }, { "role": "tool", "content": "b" },
            { "role": "assistant", "content": [{ "type": "text", "text": "c" }] }]);
        let (prompt, completion) = parsed(list.clone()).unwrap();
        assert_eq!((completion.as_str(), prompt.last_text().as_ref()), ("c", "a"));
        assert_eq!(serde_json::to_value(&prompt).unwrap(), json!(list.as_array().unwrap()[..4]));
        assert_ne!(prompt.key(), Prompt::from("a").key());
        let more = prompt.with_text_before("x ");
        assert_eq!((more.last_text().as_ref(), more.turns().len()), ("x a", 4));
    }

    #[test]
    fn values_for_the_template_stay_with_a_prompt() {
        let args = json!({ "enable_thinking": false }).as_object().unwrap().clone();
        let prompt = Prompt::from("a").with_template_args(args.clone());
        assert_eq!((prompt.last_text().as_ref(), prompt.template_args()), ("a", Some(&args)));
        assert_ne!(prompt.key(), Prompt::from("a").key());
        let longer = prompt.with_turns_before(vec![Message::new("user", "b"), Message::new("assistant", "c")]);
        let texts: Vec<_> = longer.texts().into_iter().map(Cow::into_owned).collect();
        assert_eq!((texts, longer.template_args()), (["b", "c", "a"].map(str::to_owned).to_vec(), Some(&args)));
        assert_eq!(earlier(&longer)[0].0, Prompt::from("b").with_template_args(args));
        let written = serde_json::to_value(&prompt).unwrap();
        assert_eq!(written["template-args"], json!({ "enable_thinking": false }));
        assert_eq!(serde_json::from_value::<Prompt>(written).unwrap(), prompt);
    }

    #[test]
    fn an_earlier_turn_is_learnt_after_the_turns_before_it() {
        let list = json!([{ "role": "user", "content": "a" }, { "role": "assistant", "content": "b" },
            { "role": "user", "content": "c" }, { "role": "assistant", "content": "", "tool_calls": [{}] },
            { "role": "tool", "content": "d" }, { "role": "assistant", "content": "e", "thinking": "f" },
            { "role": "user", "content": "g" }, { "role": "assistant", "content": "h" }]);
        let (prompt, last) = parsed(list).unwrap();
        let earlier = earlier(&prompt);
        assert_eq!((earlier.len(), last.as_str()), (2, "h"));
        assert_eq!(earlier[0], ("a".into(), "b".to_owned()));
        assert_eq!((earlier[1].0.turns().len(), earlier[1].1.as_str()), (5, "<think>\nf\n</think>\n\ne"));
    }

    #[test]
    fn a_thought_beside_the_content_comes_before_it_in_tags() {
        let list = json!([{ "role": "user", "content": "2+2" },
            { "role": "assistant", "content": "4", "reasoning_content": "two and two" }]);
        assert_eq!(parsed(list).unwrap().1, "<think>\ntwo and two\n</think>\n\n4");
    }

    #[test]
    fn what_cannot_be_learnt_is_refused_with_its_turn() {
        let user = json!({ "role": "user", "content": "a" });
        for (list, expected) in [
            (json!([]), "empty"),
            (json!([user]), "the last turn is the user's"),
            (json!([{ "role": "assistant", "content": "b" }]), "only an assistant's turn"),
            (json!([user, { "role": "assistant", "content": " " }]), "has no text"),
            (json!([user, { "role": "assistant", "content": "", "tool_calls": [] }]), "`tool_calls`"),
            (
                json!([user, { "role": "assistant", "content": [{ "type": "image" }] }]),
                "turn 2 has a part that is no text",
            ),
            (json!([user, { "role": "assistant", "content": "</think>b", "thinking": "c" }]), "twice"),
            (json!([user, { "content": "b" }]), "turn 2: missing field `role`"),
            (json!([user, 3]), "turn 2 is no object"),
            (json!([user, { "role": "assistant", "content": 3 }]), "`content` of turn 2"),
        ] {
            let error = parsed(list.clone()).unwrap_err();
            assert!(error.contains(expected), "{list}: {error}");
        }
    }
}
