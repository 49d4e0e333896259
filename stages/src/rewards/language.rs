//! Reward `language`: the share of words of the thought that are in the prompt's language (R1 v2, equation 7).
//!
//! Where a thought was asked for, a completion without tags is judged as a whole, so that leaving the tags out does not
//! avoid the reward. Where a bare answer was asked for, the reward does not apply: the answer may rightly be in another
//! language (a translation).

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
    fn load(self, loading: &Loading<'_>) -> Result<Box<dyn Reward>, StageError> {
        Ok(per_row(loading, score))
    }
}

fn score(row: &Graded<'_>) -> Option<f64> {
    thought_consistency(row.scored.prompt, &row.grade, row.scored.completion)
}

/// Returns the share of words of the thought that are in the prompt's language, `None` where there is no thought to
/// judge.
pub(crate) fn thought_consistency(prompt: &PromptRow, grade: &Grade, completion: &str) -> Option<f64> {
    let whole = prompt.verify.wants_thought().then_some(completion);
    let judged = grade.reasoning.as_deref().or(whole)?;
    Some(text::language::consistency(judged, prompt.language()))
}
