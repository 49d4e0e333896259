//! Answered rows: prompts with a completion of any origin, to be graded. A completion has to be there, if only as an
//! empty text; a prompt does not.
//!
//! ```text
//! prompt, answer, verify, …      as in a set of prompts
//! completion, thought            as in samples; or `messages` that end with the assistant's turn
//! finished                       false for a completion that was cut off; absent: it ended
//! tokens, or grade.tokens        its length in tokens, if known
//! ```

use std::borrow::Cow;
use std::ops::ControlFlow;

use engine::artifact::Samples;
use engine::stage::Input;
use serde_json::Value;
use text::conversation::{THOUGHT, answer};
use text::{Message, Prompt};

use super::Error;
use super::lines::{RawRow, each_row};
use super::prompts::{PromptRow, answered};

const FILE: &str = "samples.jsonl";

/// A prompt with a completion to be graded.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct AnsweredRow {
    /// Number of rows before it.
    pub(crate) index: usize,
    /// The prompt, which may be empty.
    pub(crate) prompt: PromptRow,
    /// The text, tags included.
    pub(crate) completion: String,
    /// Whether it ended by itself rather than at a limit.
    pub(crate) finished: bool,
    /// Its length in tokens.
    pub(crate) num_tokens: Option<usize>,
    /// What the row says about whether it is right, if it says something; an error if it has no such field.
    pub(crate) label: Result<Option<bool>, String>,
}

/// Reads the answered rows of `input` one at a time, and calls `take` with each until it breaks. Returns whether it did.
/// `label` is the field that says whether a completion is right.
pub(crate) fn each_answered(
    input: &Input<Samples>,
    label: Option<&str>,
    take: &mut dyn FnMut(AnsweredRow) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, Error> {
    each_row(input, FILE, |row| parse(row, input.name(), label), take)
}

fn parse(row: &RawRow<'_>, source: &str, label: Option<&str>) -> Result<AnsweredRow, String> {
    let (asked, completion) = exchange(row)?;
    let is_mapped = |field: &str| row.import.fields.has(field);
    let value = label.map_or(Ok(None), |field| if is_mapped(field) { row.mapped(field) } else { row.field(field) });
    let label = match value {
        Ok(value) => Ok(value.map(|value| claim(&value, label.unwrap_or_default())).transpose()?),
        Err(reason) => Err(reason),
    };
    let finished = row.value("finished").map(|value| claim(value, "finished")).transpose()?;
    Ok(AnsweredRow {
        index: row.index,
        prompt: answered(row, source, || Ok(asked))?,
        completion,
        finished: finished.unwrap_or(true),
        num_tokens: num_tokens(row)?,
        label,
    })
}

/// Returns the prompt, empty if there is none, and the completion, of two fields or of a conversation.
fn exchange(row: &RawRow<'_>) -> Result<(Prompt, String), String> {
    let is_mapped = row.import.fields.has("completion");
    let is_chat = ["messages", "conversations"].iter().any(|field| row.value(field).is_some())
        || row.value("prompt").is_some_and(|prompt| !prompt.is_string());
    if !is_mapped && is_chat && row.value("completion").is_none() {
        return row.exchange();
    }
    let value = if is_mapped { row.mapped("completion")? } else { row.field("completion")? };
    let completion = match value.as_deref() {
        None => String::new(),
        Some(Value::String(text)) if text.trim().is_empty() => text.clone(),
        Some(_) => row.completion("completion")?,
    };
    let Some(thought) = row.thought()? else { return Ok((prompt(row)?, completion)) };
    let mut turn = Message::new("assistant", completion);
    turn.more.insert(THOUGHT.to_owned(), thought.into());
    Ok((prompt(row)?, answer(&[turn])?))
}

fn prompt(row: &RawRow<'_>) -> Result<Prompt, String> {
    let is_there = |field: &&str| match row.value(field) {
        Some(Value::String(text)) => !text.trim().is_empty(),
        value => value.is_some(),
    };
    let has_one = ["prompt", "messages", "conversations"].iter().any(is_there);
    if has_one || row.import.fields.has("prompt") { row.prompt() } else { Ok(Prompt::from("")) }
}

fn num_tokens(row: &RawRow<'_>) -> Result<Option<usize>, String> {
    let of_grade = || row.value("grade").and_then(|grade| grade.get("tokens"));
    let Some(value) = row.value("tokens").or_else(of_grade) else { return Ok(None) };
    let count = match value {
        Value::String(text) => text.trim().parse().ok(),
        value => value.as_u64(),
    };
    // Other programs have lists of ids under this name.
    if count.is_none() && value.is_array() {
        return Ok(None);
    }
    let count = count.ok_or_else(|| format!("`tokens` is `{value}`, expected how many tokens the completion has"))?;
    Ok(Some(usize::try_from(count).unwrap_or(usize::MAX)))
}

/// Words for yes and no, in any case.
const YES: [&str; 6] = ["true", "1", "yes", "correct", "right", "1.0"];
const NO: [&str; 6] = ["false", "0", "no", "incorrect", "wrong", "0.0"];

/// Returns what a field claims.
fn claim(value: &Value, field: &str) -> Result<bool, String> {
    let said = match value {
        Value::String(text) => Cow::Owned(text.trim().to_lowercase()),
        Value::Bool(_) | Value::Number(_) => Cow::Owned(value.to_string()),
        _ => Cow::Borrowed(""),
    };
    if YES.contains(&said.as_ref()) {
        return Ok(true);
    }
    if NO.contains(&said.as_ref()) {
        return Ok(false);
    }
    let shown: String = value.to_string().chars().take(40).collect();
    Err(format!("`{field}` is `{shown}`, expected true or false, 1 or 0, yes or no, correct or incorrect"))
}

#[cfg(test)]
mod tests {
    use engine::artifact::ArtifactType;
    use engine::worker::protocol::InputArtifact;
    use serde_json::{Map, json};

    use super::*;

    fn rows(text: &str, import: Value, label: Option<&str>) -> Result<Vec<AnsweredRow>, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("answers.jsonl");
        fs_err::write(&path, text).unwrap();
        let import: Map<String, Value> = import.as_object().unwrap().clone();
        let artifact = InputArtifact {
            name: "answers.jsonl".to_owned(),
            artifact: ArtifactType::Samples,
            digest: String::new(),
            path,
            import,
        };
        let mut rows = Vec::new();
        let read = each_answered(&Input::new(artifact), label, &mut |row| {
            rows.push(row);
            ControlFlow::Continue(())
        });
        let reason = |error: Error| match error {
            Error::Rows { reason, .. } => reason,
            other => other.to_string(),
        };
        read.map(|_| rows).map_err(reason)
    }

    #[test]
    fn a_row_needs_a_completion_and_nothing_else() {
        let text = r#"{"completion": "4", "answer": 4}
{"prompt": " ", "completion": ""}
{"prompt": "2+2?", "completion": null, "finished": false, "tokens": 7}
{"messages": [{"role": "user", "content": "2+2?"}, {"role": "assistant", "content": "4"}], "grade": {"tokens": 2}}
{"completion": [{"role": "assistant", "content": "4"}], "thought": "two and two", "tokens": [1, 2]}
"#;
        let rows = rows(text, json!({}), None).unwrap();
        let seen: Vec<_> = rows
            .iter()
            .map(|row| {
                (row.prompt.prompt.last_text().into_owned(), row.completion.as_str(), row.finished, row.num_tokens)
            })
            .collect();
        let with = |prompt: &str, completion, finished, tokens| (prompt.to_owned(), completion, finished, tokens);
        assert_eq!(
            seen,
            [
                with("", "4", true, None),
                with("", "", true, None),
                with("2+2?", "", false, Some(7)),
                with("2+2?", "4", true, Some(2)),
                with("", "<think>\ntwo and two\n</think>\n\n4", true, None),
            ]
        );
        assert_eq!((rows[0].prompt.verify.name(), rows[1].prompt.verify.name()), ("number", "none"));
    }

    #[test]
    fn what_is_missing_is_named_with_what_is_there() {
        assert_eq!(
            rows(r#"{"prompt": "2+2?", "output": "4"}"#, json!({}), None).unwrap_err(),
            "no field `completion`; there are `prompt`, `output`: map yours onto ours with `fields`"
        );
        let mapped = json!({ "fields": { "completion": "output" } });
        assert_eq!(rows(r#"{"output": "4"}"#, mapped, None).unwrap()[0].completion, "4");
        let unlabelled = rows(r#"{"completion": "4"}"#, json!({}), Some("human")).unwrap();
        let reason = unlabelled[0].label.as_ref().unwrap_err();
        assert!(reason.starts_with("no field `human`; there are `completion`"), "{reason}");
    }

    #[test]
    fn labels_are_words_or_numbers() {
        for (written, label) in [
            (json!(true), Some(true)),
            (json!(0), Some(false)),
            (json!("Correct"), Some(true)),
            (json!("incorrect"), Some(false)),
            (json!(" no "), Some(false)),
            (json!(null), None),
        ] {
            let row = json!({ "completion": "4", "human": written }).to_string();
            assert_eq!(rows(&row, json!({}), Some("human")).unwrap()[0].label, Ok(label), "{row}");
            let mapped = rows(&row, json!({ "fields": { "label": "human" } }), Some("label")).unwrap();
            assert_eq!(mapped[0].label, Ok(label), "{row}");
        }
        assert_eq!(
            rows(r#"{"completion": "4", "human": "perhaps"}"#, json!({}), Some("human")).unwrap_err(),
            "`human` is `\"perhaps\"`, expected true or false, 1 or 0, yes or no, correct or incorrect"
        );
    }
}
