//! Reward `language`: the share of words of the thought that are in the prompt's language (R1 v2, equation 7).
//!
//! A completion without tags around its thought is judged as a whole where a thought was asked for, so that leaving the
//! tags out is no way around the reward; elsewhere, where a bare answer may well be in another language (a translation),
//! the reward does not apply.

use engine::stage::StageError;
use schemars::JsonSchema;
use serde::Deserialize;

use super::table::{Keys, RewardKind};
use super::{Graded, Reward, per_row};
use crate::artifacts::PromptRow;
use crate::grading::Grade;
use crate::loading::Loading;

pub(super) const REWARD: RewardKind = RewardKind::of::<Language>(
    "language",
    "Share of words in the thought that are in the prompt's language, 0 to 1; 1 for a thought without words.",
);

/// `language` has no keys of its own.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Language {}

impl Keys for Language {
    fn load(self, _: &Loading<'_>) -> Result<Box<dyn Reward>, StageError> {
        Ok(per_row(score))
    }
}

fn score(row: &Graded<'_>) -> Option<f64> {
    thought_consistency(row.scored.prompt, &row.grade, row.scored.completion)
}

/// Returns the share of words of the thought that are in the prompt's language, `None` where no thought is to be judged.
pub(crate) fn thought_consistency(prompt: &PromptRow, grade: &Grade, completion: &str) -> Option<f64> {
    let whole = prompt.verify.wants_thought().then_some(completion);
    let judged = grade.reasoning.as_deref().or(whole)?;
    Some(text::language::consistency(judged, prompt.language()))
}
