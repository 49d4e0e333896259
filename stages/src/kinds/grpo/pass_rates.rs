//! Pass rates of prompts, from the answers of earlier evaluations: which prompts are within reach, and in what order they
//! come.

use std::collections::HashMap;

use engine::artifact::Report;
use engine::diagnostic::count;
use engine::stage::{Context, Input, StageError};
use serde::Deserialize;
use text::Prompt;

use crate::artifacts::read_own_lines;
use crate::sampling::Question;

/// The file of an evaluation's output `answers`.
const FILE: &str = "answers.jsonl";

/// What of an answer counts here.
#[derive(Deserialize)]
struct AnswerRow {
    prompt: Prompt,
    correct: Option<bool>,
    greedy: bool,
}

/// The share of right answers to each prompt, by the prompt's key.
pub(super) struct PassRates(HashMap<String, Rate>);

#[derive(Default)]
struct Rate {
    right: usize,
    of: usize,
}

impl PassRates {
    /// Reads the sampled answers of evaluations. The greedy answer counts only where no answer was sampled.
    pub(super) fn read(answers: &[Input<Report>]) -> Result<Self, StageError> {
        let (mut sampled, mut greedy): (HashMap<String, Rate>, HashMap<String, Rate>) = Default::default();
        for input in answers {
            let file = input.path().join(FILE);
            if !file.exists() {
                let message = format!("`{}` has no answers", input.name());
                return Err(StageError::new(message).with_help(
                    "`pass-rates` reads the output `answers` of `eval` stages: `pass-rates = [\"scores.answers\"]`",
                ));
            }
            for row in read_own_lines::<AnswerRow>(&file)? {
                let Some(correct) = row.correct else { continue };
                let rates = if row.greedy { &mut greedy } else { &mut sampled };
                let rate = rates.entry(row.prompt.key().into_owned()).or_default();
                rate.right += usize::from(correct);
                rate.of += 1;
            }
        }
        for (prompt, rate) in greedy {
            sampled.entry(prompt).or_insert(rate);
        }
        Ok(Self(sampled))
    }

    /// Returns the share of right answers to a question, if it was asked.
    pub(super) fn of(&self, question: &Question) -> Option<f64> {
        let rate = self.0.get(question.row.prompt.key().as_ref())?;
        Some(rate.right as f64 / rate.of as f64)
    }

    /// Drops questions, with the lengths of their prompts, whose pass rate is outside `band`. A question that was not
    /// asked stays.
    pub(super) fn within(
        &self,
        ctx: &Context,
        (questions, lengths): (Vec<Question>, Vec<usize>),
        band: Option<[f64; 2]>,
    ) -> Result<(Vec<Question>, Vec<usize>), StageError> {
        let unknown = questions.iter().filter(|question| self.of(question).is_none()).count();
        if unknown > 0 {
            let of = count(questions.len(), "prompt");
            ctx.warn(format!("{unknown} of {of} have no answer in `pass-rates`: they are drawn from all the same"));
        }
        let Some([low, high]) = band else { return Ok((questions, lengths)) };
        let of = count(questions.len(), "prompt");
        let is_within = |question: &Question| self.of(question).is_none_or(|rate| (low..=high).contains(&rate));
        let kept: (Vec<Question>, Vec<usize>) =
            questions.into_iter().zip(lengths).filter(|(question, _)| is_within(question)).unzip();
        if kept.0.is_empty() {
            return Err(StageError::new(format!("no prompt has a pass rate from {low} to {high}"))
                .with_help("widen `pass-rate`; `r1flow scores` shows how the evaluated model does"));
        }
        ctx.note(format!("{} of {of} have a pass rate from {low} to {high}", kept.0.len()));
        Ok(kept)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::source::tests::questions;
    use super::*;
    use crate::kinds::sft::Sft;
    use crate::testing::{Attempt, input, message, well};

    fn answers(dir: &tempfile::TempDir) -> Input<Report> {
        // Prompt 0 is never right, 1 in half of the answers, 2 always; of 3 there is a greedy answer only.
        let row = |prompt: &str, correct: bool, greedy: bool| json!({ "prompt": prompt, "correct": correct, "greedy": greedy });
        let rows = [
            row("0", false, false),
            row("0", true, true),
            row("1", true, false),
            row("1", false, false),
            row("2", true, false),
            row("3", true, true),
            json!({ "prompt": "4", "greedy": false }),
        ];
        fs_err::write(dir.path().join(FILE), rows.map(|row| row.to_string() + "\n").concat()).unwrap();
        input("scores.answers", dir.path(), json!({}))
    }

    #[test]
    fn prompts_beyond_the_band_are_left_out_and_those_that_were_not_asked_stay() {
        let dir = tempfile::tempdir().unwrap();
        let rates = well(PassRates::read(&[answers(&dir)]));
        let asked = questions(&[5]);
        let found: Vec<Option<f64>> = asked.iter().map(|question| rates.of(question)).collect();
        assert_eq!(found, [Some(0.0), Some(0.5), Some(1.0), Some(1.0), None]);
        let attempt = Attempt::new::<Sft>(&dir.path().join("attempt"), &json!({}), None);
        let within = |band| rates.within(&attempt.ctx, (asked.clone(), vec![10, 11, 12, 13, 14]), band);
        let (kept, lengths) = well(within(Some([0.1, 0.9])));
        assert_eq!(kept.iter().map(|question| question.row.id.as_str()).collect::<Vec<_>>(), ["1", "4"]);
        assert_eq!(lengths, [11, 14]);
        assert!(attempt.warnings()[0].starts_with("1 of 5 prompts have no answer"), "{:?}", attempt.warnings());
        let first: Vec<Question> = asked[..1].to_vec();
        let none = rates.within(&attempt.ctx, (first, vec![10]), Some([0.1, 0.9]));
        assert!(message(none).contains("no prompt has a pass rate from 0.1 to 0.9"));
    }

    #[test]
    fn another_output_than_answers_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let report: Input<Report> = input("scores.report", dir.path(), json!({}));
        assert!(message(PassRates::read(&[report])).contains("`scores.report` has no answers"));
    }
}
