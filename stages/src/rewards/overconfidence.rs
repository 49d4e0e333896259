//! Reward `overconfidence`: penalises wrong answers without a hedge. R1 has no such reward; we added it for answers
//! that admit doubt. A hedge costs a little when the answer is right, or the policy would hedge everything.
//!
//! | answer | plain | hedged | that states a confidence c |
//! |---|---|---|---|
//! | right | 0 | `-hedge-cost` | `-hedge-cost` (1 - c) |
//! | wrong | -1 | 0 | -c |
//!
//! An unfinished completion scores 0, and so does one without a readable answer: neither claims anything.

use engine::stage::StageError;
use schemars::JsonSchema;
use serde::Deserialize;
use text::Verdict;

use super::table::{Keys, RewardKind};
use super::{Graded, Reward, per_row};
use crate::loading::Loading;

pub(super) const REWARD: RewardKind = RewardKind::of::<Overconfidence>(
    "overconfidence",
    "-1 for a wrong answer without a hedge (`maybe`), `-hedge-cost` for a right one with it; a stated confidence of 80 % lies between.",
);

/// The keys of `overconfidence`.
#[derive(Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
struct Overconfidence {
    /// Penalty for a hedge in a right answer.
    #[schemars(range(min = 0.0, max = 1.0))]
    hedge_cost: f64,
}

impl Default for Overconfidence {
    fn default() -> Self {
        Self { hedge_cost: 0.5 }
    }
}

impl Keys for Overconfidence {
    fn load(self, loading: &Loading<'_>) -> Result<Box<dyn Reward>, StageError> {
        Ok(per_row(loading, move |row| score(row, self.hedge_cost)))
    }
}

fn score(row: &Graded<'_>, hedge_cost: f64) -> Option<f64> {
    let verdict = row.grade.verdict.filter(|verdict| *verdict != Verdict::GoldUnparsed)?;
    let confidence = row.grade.confidence;
    Some(match verdict {
        Verdict::Wrong if row.scored.finished => -confidence,
        Verdict::Correct if row.scored.finished => hedge_cost * (confidence - 1.0),
        _ => 0.0,
    })
}
