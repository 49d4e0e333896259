//! The rows of one step as values: how long the completions are, what they earn, and the first of them to read.

use std::fmt::Write;

use serde_json::Value as Json;

use super::histogram::histogram;
use super::message::Value;
use super::rows::Row;

/// The most completions of a step that are written out.
const SHOWN: usize = 4;

/// The most characters of a prompt or a completion that are written out.
const LONGEST: usize = 16_384;

/// Rows of a step, gathered until the step is complete.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    first: Vec<Row>,
    rows: usize,
    tokens: Vec<f64>,
    rewards: Vec<f64>,
    advantages: Vec<f64>,
}

impl Gathered {
    pub(super) fn add(&mut self, row: Row) {
        self.rows += 1;
        self.tokens.extend(row.tokens.map(|tokens| tokens as f64));
        self.rewards.extend(row.reward);
        self.advantages.extend(row.advantage);
        if self.first.len() < SHOWN {
            self.first.push(row);
        }
    }

    /// Returns the values of the step under tags below `output`, the name of the output with the rows.
    pub(super) fn values(&self, output: &str) -> Vec<Value> {
        let numbers = [("tokens", &self.tokens), ("reward", &self.rewards), ("advantage", &self.advantages)];
        let counted = numbers
            .into_iter()
            .filter_map(|(name, numbers)| Some(Value::histogram(format!("{output}/{name}"), histogram(numbers)?)));
        let text = (self.rows > 0).then(|| Value::text(format!("{output}/completion"), self.text()));
        counted.chain(text).collect()
    }

    /// Returns the first completions as Markdown.
    fn text(&self) -> String {
        let mut text = format!("The first {} of {} completions.\n", self.first.len(), self.rows);
        for (index, row) in self.first.iter().enumerate() {
            let _ = write!(text, "\n---\n\n**{}**{}\n\nprompt\n\n", index + 1, told(row));
            push_verbatim(&mut text, &prompt(&row.prompt));
            text.push_str("\ncompletion\n\n");
            push_verbatim(&mut text, &row.completion);
        }
        text
    }
}

/// Returns what is known of a completion, each part after a comma.
fn told(row: &Row) -> String {
    let mut told = String::new();
    for (name, number) in [("reward", row.reward), ("advantage", row.advantage)] {
        if let Some(number) = number {
            let _ = write!(told, ", {name} {number:.4}");
        }
    }
    if let Some(tokens) = row.tokens {
        let unit = if tokens == 1 { "token" } else { "tokens" };
        let _ = write!(told, ", {tokens} {unit}");
    }
    if let Some(correct) = row.correct {
        told.push_str(if correct { ", correct" } else { ", not correct" });
    }
    if row.finished == Some(false) {
        told.push_str(", cut off");
    }
    told
}

/// Returns a prompt as text. Messages follow each other, each below its role.
fn prompt(prompt: &Json) -> String {
    let message = |message: &Json| Some(format!("[{}]\n{}", message["role"].as_str()?, message["content"].as_str()?));
    match prompt {
        Json::String(text) => text.clone(),
        Json::Array(messages) => {
            let messages: Option<Vec<String>> = messages.iter().map(message).collect();
            messages.map_or_else(|| prompt.to_string(), |messages| messages.join("\n"))
        }
        other => other.to_string(),
    }
}

/// Appends text as a block of code, so that nothing in it is taken for Markdown, and not more than [`LONGEST`]
/// characters of it.
fn push_verbatim(markdown: &mut String, text: &str) {
    let (shown, rest) = text.char_indices().nth(LONGEST).map_or((text, ""), |(at, _)| text.split_at(at));
    for line in shown.lines() {
        let _ = writeln!(markdown, "    {line}");
    }
    if !rest.is_empty() {
        let _ = writeln!(markdown, "\n… and {} more characters", rest.chars().count());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensorboard::message::Datum;

    fn row(text: &str) -> Row {
        serde_json::from_str(text).unwrap()
    }

    fn text_of(values: &[Value]) -> String {
        let Some(Datum::Tensor(tensor)) = &values.last().unwrap().datum else { panic!("{values:?}") };
        String::from_utf8(tensor.strings[0].clone()).unwrap()
    }

    #[test]
    fn the_first_completions_are_shown_and_all_are_counted() {
        let mut gathered = Gathered::default();
        assert_eq!(gathered.values("rollouts"), []);
        let first = r#"{"step": 0, "prompt": [{"role": "user", "content": "2+2=?"}], "completion": "<b>4\n**so**",
            "reward": 1.0, "advantage": 0.5, "tokens": 9, "correct": true, "finished": true}"#;
        gathered.add(row(first));
        for _ in 0..5 {
            gathered.add(row(
                r#"{"step": 0, "prompt": "p", "completion": "", "reward": 0, "tokens": 1, "finished": false}"#,
            ));
        }
        let values = gathered.values("rollouts");
        let tags: Vec<&str> = values.iter().map(|value| value.tag.as_str()).collect();
        assert_eq!(tags, ["rollouts/tokens", "rollouts/reward", "rollouts/advantage", "rollouts/completion"]);
        let Some(Datum::Histogram(rewards)) = &values[1].datum else { panic!("{values:?}") };
        assert_eq!((rewards.num, rewards.sum), (6.0, 1.0));
        let text = text_of(&values);
        let expected = "The first 4 of 6 completions.\n\n---\n\n**1**, reward 1.0000, advantage 0.5000, 9 tokens, \
            correct\n\nprompt\n\n    [user]\n    2+2=?\n\ncompletion\n\n    <b>4\n    **so**\n\n---\n\n**2**, reward \
            0.0000, 1 token, cut off\n\nprompt\n\n    p\n\ncompletion\n\n\n---\n";
        assert!(text.starts_with(expected), "{text}");
        assert_eq!(text.matches("\n---\n").count(), SHOWN);
    }

    #[test]
    fn a_long_completion_is_cut_between_characters() {
        let mut gathered = Gathered::default();
        let long = "é".repeat(LONGEST + 3);
        gathered.add(row(&format!(r#"{{"step": 0, "completion": "{long}"}}"#)));
        let text = text_of(&gathered.values("rollouts"));
        assert!(text.ends_with("é\n\n… and 3 more characters\n"), "{}", text.len());
    }
}
