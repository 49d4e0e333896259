//! Prompts: questions, with a gold answer where one is known.

use std::ops::ControlFlow;
use std::path::Path;

use engine::artifact::Prompts;
use engine::stage::Input;
use serde::Serialize;
use text::Prompt;

use super::Error;
use super::code_tests;
use super::import::VerifyBy;
use super::lines::{RawRow, each_row, read_rows, split_gold, write_lines};
use crate::checks::Tests;
use crate::verifiers::{Tolerance, Verify};

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
    /// The tests that a program must pass, or the rules that a completion must follow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tests: Option<Tests>,
    /// How far a number may be from the gold answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tolerance: Option<Tolerance>,
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
    /// Returns whether answers to it are compared with something.
    pub fn is_checked(&self) -> bool {
        self.verify.can_check(self.answer.is_some(), self.tests.as_ref().map(Tests::tested))
    }

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
    answered(row, source, || row.prompt())
}

/// Parses a row whose prompt is `asked`, which need not be in a field of its own.
pub(super) fn answered(
    row: &RawRow<'_>,
    source: &str,
    asked: impl FnOnce() -> Result<Prompt, String>,
) -> Result<PromptRow, String> {
    let (prompt, answer) = match &row.import.options {
        Some(options) => options.asked(row).map(|(prompt, letter)| (prompt, Some(letter)))?,
        None => (asked()?, row.optional_text("answer")?.map(|answer| gold(answer, row)).transpose()?),
    };
    let tests = code_tests::read(row)?;
    let verify = verify(row, answer.is_some(), tests.as_ref())?;
    verify.check_row(answer.is_some(), tests.as_ref().map(Tests::tested))?;
    Ok(PromptRow {
        id: row.optional_text("id")?.unwrap_or_else(|| row.index.to_string()),
        prompt,
        answer,
        verify,
        tests,
        tolerance: tolerance(row, verify)?,
        task: row.optional_text("task")?,
        language: row.import.language.clone().map_or_else(|| row.optional_text("language"), |given| Ok(Some(given)))?,
        source: source.to_owned(),
    })
}

/// Returns how the answers to a row are checked.
fn verify(row: &RawRow<'_>, has_answer: bool, tests: Option<&Tests>) -> Result<Verify, String> {
    match &row.import.verify {
        Some(VerifyBy::Always(verify)) => Ok(*verify),
        Some(VerifyBy::Word(verifiers)) => {
            let word = row.text("verify")?;
            let known = || verifiers.keys().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
            verifiers.get(&word).copied().ok_or_else(|| {
                format!("`verify` is `{word}`, for which the input's `verify` names no verifier; there are {}", known())
            })
        }
        None if row.import.options.is_some() => Ok(Verify::CHOICE),
        None => match row.optional_text("verify")? {
            Some(name) => serde_json::from_value(name.into()).map_err(|error| format!("`verify`: {error}")),
            // Most data with answers are sums and word problems. A gold answer that is not a number is counted and
            // never rewarded.
            None if let Some(tests) = tests => Ok(Verify::of_tests(tests.tested())),
            None if has_answer => Ok(Verify::NUMBER),
            None => Ok(Verify::NONE),
        },
    }
}

/// Returns how far an answer may be from the gold one: what the input says, else what the row says.
fn tolerance(row: &RawRow<'_>, verify: Verify) -> Result<Option<Tolerance>, String> {
    let tolerance = match (row.import.tolerance, row.value("tolerance")) {
        (Some(given), _) => Some(given),
        (None, Some(own)) => {
            Some(serde_json::from_value(own.clone()).map_err(|error| format!("`tolerance`: {error}"))?)
        }
        (None, None) => None,
    };
    if tolerance.is_some() && verify != Verify::NUMBER {
        return Err(format!("`tolerance` is for numbers, and `verify` is `{}`", verify.name()));
    }
    Ok(tolerance)
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
