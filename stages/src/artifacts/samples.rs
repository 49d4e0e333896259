//! Samples: prompts with a completion kept for training.

use std::ops::ControlFlow;
use std::path::Path;

use engine::artifact::Samples;
use engine::stage::Input;
use serde::{Deserialize, Serialize};
use text::Prompt;

use super::Error;
use super::lines::{RawRow, each_row, read_rows, split_gold, write_lines};
use crate::verifiers::Verify;

const FILE: &str = "samples.jsonl";

/// A prompt and its completion.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SampleRow {
    /// The user's text, or a conversation that ends before the assistant's turn.
    pub prompt: Prompt,
    /// The assistant's text, tags included, without the end-of-sequence token.
    pub completion: String,
    /// The gold answer of the prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// How the answer is checked; absent for numbers, and without a gold answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify: Option<Verify>,
    /// Short digest of the prompt set that the sample comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// How the completion was judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grade: Option<SampleGrade>,
}

/// How a sampled completion was judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SampleGrade {
    /// Whether the answer is right by its prompt's `verify`; absent without a gold answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correct: Option<bool>,
    /// Whether there is one thought and one answer in well-formed tags.
    pub format: bool,
    /// Share of the thought's words that are in the prompt's language; absent without a thought.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<f64>,
    /// What the judge gave it, from 0 to 1; absent if none was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judged: Option<f64>,
    /// Length of the completion in tokens.
    pub tokens: usize,
}

impl SampleRow {
    /// Makes a sample without a grade.
    pub fn new(prompt: impl Into<Prompt>, completion: impl Into<String>) -> Self {
        Self {
            prompt: prompt.into(),
            completion: completion.into(),
            answer: None,
            verify: None,
            source: None,
            grade: None,
        }
    }
}

/// Reads the samples of `input`: a stage's folder, or a user's dataset.
pub fn read_samples(input: &Input<Samples>) -> Result<Vec<SampleRow>, Error> {
    read_rows(input, FILE, parse)
}

/// Reads the samples of `input` one at a time, and calls `take` with each until it breaks. Returns whether it did.
pub(crate) fn each_sample(
    input: &Input<Samples>,
    take: &mut dyn FnMut(SampleRow) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, Error> {
    each_row(input, FILE, parse, take)
}

fn parse(row: &RawRow<'_>) -> Result<SampleRow, String> {
    let grade = row.value("grade").map(SampleGrade::deserialize).transpose();
    let (prompt, mut completion) = row.exchange()?;
    let mut answer = row.optional_text("answer")?;
    let verify =
        row.value("verify").map(Verify::deserialize).transpose().map_err(|error| format!("`verify`: {error}"))?;
    if let Some(mark) = &row.import.answer_after {
        let (solution, gold) = split_gold(&completion, mark, "completion")?;
        (completion, answer) = (in_tags(solution, gold), Some(gold.to_owned()));
    }
    Ok(SampleRow {
        prompt,
        completion,
        answer,
        verify,
        source: row.optional_text("source")?,
        grade: grade.map_err(|error| format!("`grade`: {error}"))?,
    })
}

/// Formats a worked solution as R1-Zero's template asks: the working becomes the thought.
fn in_tags(solution: &str, answer: &str) -> String {
    format!("<think>{solution}</think><answer>{answer}</answer>")
}

/// Writes samples into the folder `dir`.
pub fn write_samples(dir: &Path, rows: &[SampleRow]) -> Result<(), Error> {
    write_lines(dir, FILE, rows)
}
