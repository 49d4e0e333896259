//! Reward `structure`: whether an answer is in pieces that can be read, and its headings, lists and tables mean something
//! ([`text::presentation::structure`]). For the fourth step's helpful answers; it applies where there is nothing to
//! verify.

use engine::stage::StageError;
use schemars::JsonSchema;
use serde::Deserialize;

use super::table::{Keys, RewardKind};
use super::{Reward, per_row};
use crate::loading::Loading;

pub(super) const REWARD: RewardKind = RewardKind::of::<Structure>(
    "structure",
    "Share of an answer's words in pieces that can be read, times the share of its marks that mean something, 0 to 1; not where an answer is verified.",
);

/// `structure` has no keys of its own.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Structure {}

impl Keys for Structure {
    fn load(self, loading: &Loading<'_>) -> Result<Box<dyn Reward>, StageError> {
        Ok(per_row(loading, |row| {
            let applies = !row.scored.prompt.verify.is_checked();
            let score = || if row.scored.finished { text::presentation::structure(&row.grade.answer) } else { 0.0 };
            applies.then(score)
        }))
    }
}
