//! Prompts: questions, with a gold answer where one is known.

use std::ops::ControlFlow;
use std::path::Path;

use engine::artifact::Prompts;
use engine::stage::Input;
use serde::Serialize;
use text::Prompt;

use super::Error;
use super::lines::{RawRow, each_row, read_rows, split_gold, write_lines};
use crate::verifiers::Verify;

const FILE: &str = "prompts.jsonl";

/// A question.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PromptRow {
    /// Its name within its set.
    pub id: String,
    /// The user's text, or a conversation that ends before the assistant's turn.
    pub prompt: Prompt,
    /// The gold answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// How answers are checked.
    pub verify: Verify,
    /// What the prompt is about; for `helpful` and `harmless`, only the reward model of that name judges it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// The language that the thought should be in; `en` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// The reference that the row was read from. It is never written, because names are not part of an action.
    #[serde(skip)]
    pub source: String,
}

impl PromptRow {
    /// Returns the language that the thought should be in.
    pub fn language(&self) -> &str {
        self.language.as_deref().unwrap_or("en")
    }
}

/// Reads the prompts of `input`: a stage's folder, or a user's dataset.
pub fn read_prompts(input: &Input<Prompts>) -> Result<Vec<PromptRow>, Error> {
    read_rows(input, FILE, |row| parse(row, input.name()))
}

/// Reads the prompts of `input` one at a time, and calls `take` with each until it breaks. Returns whether it did.
pub(crate) fn each_prompt(
    input: &Input<Prompts>,
    take: &mut dyn FnMut(PromptRow) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, Error> {
    each_row(input, FILE, |row| parse(row, input.name()), take)
}

fn parse(row: &RawRow<'_>, source: &str) -> Result<PromptRow, String> {
    let answer = row.optional_text("answer")?.map(|answer| gold(answer, row)).transpose()?;
    let verify = match (row.import.verify, row.optional_text("verify")?) {
        (Some(verify), _) => verify,
        (None, Some(name)) => serde_json::from_value(name.into()).map_err(|error| format!("`verify`: {error}"))?,
        // Most data with answers are sums and word problems. A gold answer that is not a number is counted and never
        // rewarded.
        (None, None) if answer.is_some() => Verify::NUMBER,
        (None, None) => Verify::NONE,
    };
    if verify.is_checked() && answer.is_none() {
        return Err(
            "no field `answer`, which `verify` needs: map yours with `fields`, or say `verify = \"none\"`".to_owned()
        );
    }
    Ok(PromptRow {
        id: row.optional_text("id")?.unwrap_or_else(|| row.index.to_string()),
        prompt: row.prompt()?,
        answer,
        verify,
        task: row.optional_text("task")?,
        language: row.import.language.clone().map_or_else(|| row.optional_text("language"), |given| Ok(Some(given)))?,
        source: source.to_owned(),
    })
}

/// Cuts the gold answer out of a worked solution.
fn gold(answer: String, row: &RawRow<'_>) -> Result<String, String> {
    match &row.import.answer_after {
        Some(mark) => split_gold(&answer, mark, "answer").map(|(_, gold)| gold.to_owned()),
        None => Ok(answer),
    }
}

/// Writes prompts into the folder `dir`.
pub fn write_prompts(dir: &Path, rows: &[PromptRow]) -> Result<(), Error> {
    write_lines(dir, FILE, rows)
}
