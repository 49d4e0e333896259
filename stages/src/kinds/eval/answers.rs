//! Output `answers`: every completion with its verdict, for people who ask why a figure is what it is.
//!
//! ```text
//! answers.jsonl   { suite, prompt, completion, gold, answer, correct, why, … }   suite by suite, the greedy one last
//! ```

use engine::stage::{Context, StageError};
use serde::Serialize;
use text::Prompt;
use text::Verdict;

use super::Question;
use super::marks::{Mark, Marks};
use crate::grading::Form;
use crate::growing::GrowingRows;

const FILE: &str = "answers.jsonl";

/// A line of the file.
#[derive(Serialize)]
struct AnswerRow<'a> {
    suite: &'a str,
    prompt: &'a Prompt,
    completion: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    gold: Option<&'a str>,
    /// What was compared with the gold answer.
    answer: &'a str,
    /// Right, and in the wanted form; absent without a gold answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    correct: Option<bool>,
    why: String,
    format: bool,
    finished: bool,
    tokens: usize,
    /// Whether the likeliest tokens were taken.
    greedy: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    helpful: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    harmless: Option<f64>,
}

/// Writes answers as they are measured.
pub(super) struct AnswerWriter(GrowingRows);

impl AnswerWriter {
    /// Begins the output, without answers.
    pub(super) fn create(ctx: &Context) -> Result<Self, StageError> {
        Ok(Self(GrowingRows::create(ctx, "answers")?))
    }

    /// Appends the answers to some prompts.
    pub(super) fn write(
        &mut self,
        asked: &[(String, Question)],
        marks: &[Marks],
        form: Form,
    ) -> Result<(), StageError> {
        let mut rows = Vec::new();
        for ((suite, question), marks) in asked.iter().zip(marks) {
            let sampled = marks.sampled.iter().map(|mark| (mark, false));
            for (mark, greedy) in sampled.chain(marks.greedy.iter().map(|mark| (mark, true))) {
                let row = AnswerRow {
                    suite,
                    prompt: &question.row.prompt,
                    completion: &mark.completion,
                    gold: question.row.answer.as_deref(),
                    answer: &mark.answer,
                    correct: mark.verdict.map(|_| mark.correct),
                    why: why(mark, form),
                    format: mark.format,
                    finished: mark.finished,
                    tokens: mark.tokens,
                    greedy,
                    helpful: mark.helpful,
                    harmless: mark.harmless,
                };
                rows.push(row);
            }
        }
        self.0.append(&rows)
    }

    pub(super) fn finish(self) -> Result<(), StageError> {
        self.0.finish(FILE)
    }
}

/// Returns why a completion counts as right or not.
fn why(mark: &Mark, form: Form) -> String {
    match mark.verdict {
        _ if mark.tokens == 0 => "the prompt leaves no room for an answer".to_owned(),
        None => "there is no gold answer".to_owned(),
        Some(Verdict::GoldUnparsed) => "the gold answer does not parse".to_owned(),
        _ if mark.correct => "right".to_owned(),
        _ if !mark.finished => "cut off at `max-tokens`".to_owned(),
        Some(Verdict::Correct) => format!("right, but not in the form {}", form.description()),
        Some(Verdict::Wrong | Verdict::AnswerUnparsed) if let Some(trial) = &mark.trial => trial.to_string(),
        Some(Verdict::Wrong) if let Some(reasons) = &mark.reasons => format!("the judge: {reasons}"),
        Some(Verdict::Wrong) => "wrong".to_owned(),
        Some(Verdict::AnswerUnparsed) => "the answer does not parse".to_owned(),
    }
}
