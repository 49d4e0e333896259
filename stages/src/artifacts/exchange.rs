//! What is asked and what is answered in a row: two texts, or a conversation.

use std::borrow::Cow;

use serde_json::Value;
use text::conversation::{THOUGHT, answer, split, turns};
use text::template::TOOLS;
use text::{Message, Prompt};

use super::fields::{parse_json, parsed, text_of};
use super::lines::RawRow;
use super::transcript;

impl RawRow<'_> {
    /// Returns what the model is asked: a text, or the turns of a conversation before its last assistant's turn.
    pub(super) fn prompt(&self) -> Result<Prompt, String> {
        let prompt = match self.conversation("prompt")? {
            None => self.text("prompt").map(Prompt::from),
            Some(mut turns) => {
                turns.pop_if(|turn| turn.role == "assistant");
                let asks = turns.iter().any(|turn| turn.role == "user");
                if asks { Ok(Prompt::of_turns(turns)) } else { Err("the conversation has no user's turn".to_owned()) }
            }
        };
        self.with_all_beside(prompt?)
    }

    /// Returns the text that `part` goes by: the user's first turn of what the model is asked. It is the same whether the
    /// row is read as a prompt, a sample or a preference, and whatever surrounds it.
    pub(super) fn question(&self) -> Result<String, String> {
        let has_text = self.import.fields.has("prompt") || self.value("prompt").is_some();
        let mut turns = self.conversation("prompt")?;
        for name in ["chosen", "completion"] {
            if turns.is_none() && !has_text {
                turns = self.conversation(name)?.filter(|turns| turns.len() > 1);
            }
        }
        let Some(turns) = turns else { return self.text("prompt") };
        let first = turns.iter().find(|turn| turn.role == "user").ok_or("the conversation has no user's turn")?;
        Ok(first.text().map_or_else(|| first.content.to_string(), Cow::into_owned))
    }

    /// Returns a prompt with what its row has beside it: a system text, if it has none yet, and values for the chat
    /// template's own variables, under our name or TRL's.
    fn with_all_beside(&self, prompt: Prompt) -> Result<Prompt, String> {
        let mut args = self.import.template_args.values();
        let of_row =
            [self.value("prompt").and_then(|prompt| prompt.get("template-args")), self.value("chat_template_kwargs")];
        for values in of_row.into_iter().flatten() {
            let values = parsed(values)?;
            let values = values.as_object().ok_or("the values for the chat template are no object")?;
            args.extend(
                values.iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| (name.clone(), value.clone())),
            );
        }
        let tools = self.value(TOOLS).map(parsed).transpose()?;
        match tools.as_deref() {
            Some(Value::Array(tools)) if tools.is_empty() => {}
            Some(tools @ Value::Array(_)) => drop(args.insert(TOOLS.to_owned(), tools.clone())),
            Some(_) => return Err(format!("`{TOOLS}` is no list")),
            None => {}
        }
        let mut turns = prompt.turns();
        if let Some(system) = self.optional_text("system")?.filter(|text| !text.is_empty()) {
            match turns.first().filter(|turn| turn.role == "system") {
                None => turns.to_mut().insert(0, Message::new("system", system)),
                Some(turn) if turn.text().is_some_and(|text| text == system) => {}
                Some(_) => return Err("`system` differs from the conversation's system turn".to_owned()),
            }
        }
        Ok(Prompt::of_turns(turns.into_owned()).with_template_args(args))
    }

    /// Returns our field `name`: a text, or the last turn of a conversation, which must be the assistant's.
    pub(super) fn completion(&self, name: &str) -> Result<String, String> {
        match self.conversation(name)? {
            Some(turns) => answer(&turns).map_err(|reason| format!("`{name}`: {reason}")),
            None => self.text(name),
        }
    }

    /// Does the same for the user's field `path`.
    pub(super) fn completion_at(&self, path: &str) -> Result<String, String> {
        let value = self.field(path)?.ok_or_else(|| self.missing(path))?;
        match self.turns_of(&value, path)? {
            Some(turns) => answer(&turns).map_err(|reason| format!("`{path}`: {reason}")),
            None => text_of(&value, path)
                .and_then(|text| if text.trim().is_empty() { Err(format!("`{path}` is empty")) } else { Ok(text) }),
        }
    }

    /// Returns what the model is asked: the turns before the completion in our field `name`, if it is a conversation
    /// that has them, else the row's prompt. If the row has both, they must agree.
    pub(super) fn prompt_before(&self, name: &str) -> Result<Prompt, String> {
        let Some(turns) = self.conversation(name)?.filter(|turns| turns.len() > 1) else { return self.prompt() };
        let before = split(turns.clone()).map_err(|reason| format!("`{name}`: {reason}"))?.0;
        let own = ["prompt", "messages", "conversations"].iter().any(|field| self.value(field).is_some());
        if own || self.import.fields.has("prompt") {
            self.check_asked(&turns)?;
            let asked = self.conversation("prompt")?.is_some().then(|| self.prompt()).transpose()?;
            if asked.is_some_and(|asked| asked.turns() != before.turns()) {
                return Err(format!("the row's prompt is not the conversation before the answer in `{name}`"));
            }
        }
        self.with_all_beside(before)
    }

    /// Returns a prompt and its completion: two fields, perhaps with a third for the thought, or a conversation that
    /// ends with the assistant's turn.
    pub(super) fn exchange(&self) -> Result<(Prompt, String), String> {
        let has_completion = self.import.fields.has("completion") || self.value("completion").is_some();
        let (mut turns, is_text) = match self.conversation("prompt")? {
            Some(turns) => (turns, false),
            // Some chat sets have the first question beside the whole conversation.
            None if !has_completion && let Some(turns) = self.chat()? => (turns, false),
            None => (vec![Message::new("user", self.text("prompt")?)], true),
        };
        let has_answer = turns.last().is_some_and(|turn| turn.role == "assistant");
        if has_completion && has_answer {
            return Err("the prompt ends with the assistant's turn, and there is a `completion`, too".to_owned());
        }
        if let Some(more) = self.conversation("completion")? {
            turns.extend(more);
        } else if is_text || has_completion {
            turns.push(Message::new("assistant", self.text("completion")?));
        }
        if let (Some(thought), Some(last)) = (self.thought()?, turns.last_mut()) {
            last.more.insert(THOUGHT.to_owned(), thought.into());
        }
        self.check_asked(&turns)?;
        let (prompt, completion) = split(turns)?;
        Ok((self.with_all_beside(prompt)?, completion))
    }

    /// Returns the thought before the completion, if the row has one in a field of its own.
    pub(super) fn thought(&self) -> Result<Option<String>, String> {
        let thought = self.mapped("thought")?.map(|thought| text_of(&thought, "thought")).transpose()?;
        Ok(thought.filter(|thought| !thought.trim().is_empty()))
    }

    /// Refuses a row whose prompt is a text that no user's turn of its conversation has: one of the two would be lost.
    pub(super) fn check_asked(&self, turns: &[Message]) -> Result<(), String> {
        let name = self.import.fields.get("prompt").map_or("prompt", |_| "the field of `fields.prompt`");
        let asked = self.mapped("prompt").ok().flatten();
        let Some(Value::String(asked)) = asked.as_deref() else { return Ok(()) };
        if self.import.turn_marks.is_some() {
            return Ok(());
        }
        let is_asked =
            |turn: &Message| turn.role == "user" && turn.text().is_some_and(|text| text.trim() == asked.trim());
        if turns.iter().any(is_asked) {
            return Ok(());
        }
        Err(format!("{name} is none of the user's turns in the row's conversation: leave one of them out of the data"))
    }

    /// Returns the turns in our field `name` if it is a list; for the prompt, else those of the row's chat.
    fn conversation(&self, name: &str) -> Result<Option<Vec<Message>>, String> {
        let mapped = self.import.fields.get(name).map(|fields| fields.iter().collect::<Vec<_>>());
        let own = match mapped.as_deref() {
            Some([field]) => self.field(field)?,
            Some(_) => None,
            None => self.value(name).map(Cow::Borrowed),
        };
        match own.as_deref() {
            Some(Value::Object(written)) if let Some(list @ Value::Array(_)) = written.get("messages") => {
                self.turns_of(list, name)
            }
            Some(value) => self.turns_of(value, name),
            None if name == "prompt" && mapped.is_none() => self.chat(),
            None => Ok(None),
        }
    }

    /// Returns the turns in a value if it is a list, or a text with `turn-marks`.
    fn turns_of(&self, value: &Value, name: &str) -> Result<Option<Vec<Message>>, String> {
        match (value, &self.import.turn_marks) {
            (Value::Array(list), _) => turns_of_list(list, name).map(Some),
            (Value::String(text), Some(marks)) => {
                transcript::turns(text, marks).map_err(|reason| format!("`{name}`: {reason}"))
            }
            _ => Ok(None),
        }
    }

    /// Returns the turns in `messages`, or in ShareGPT's `conversations`.
    fn chat(&self) -> Result<Option<Vec<Message>>, String> {
        self.messages()?.map(|list| turns_of_list(&list, "prompt")).transpose()
    }

    /// Returns the list of turns of a chat dataset. Formats whose cells can only be text have the list as JSON.
    fn messages(&self) -> Result<Option<Vec<Value>>, String> {
        for name in ["messages", "conversations"] {
            match self.value(name) {
                None => {}
                Some(Value::Array(list)) => return Ok(Some(list.clone())),
                Some(Value::String(text)) => {
                    return match parse_json(text) {
                        Ok(Value::Array(list)) => Ok(Some(list)),
                        _ => Err(format!("`{name}` is text, expected a list of messages in JSON")),
                    };
                }
                Some(_) => return Err(format!("`{name}` is no list of messages")),
            }
        }
        Ok(None)
    }
}

/// Parses the turns of our field `name`.
fn turns_of_list(list: &[Value], name: &str) -> Result<Vec<Message>, String> {
    turns(list).map_err(|reason| format!("`{name}`: {reason}"))
}
