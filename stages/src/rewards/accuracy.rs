//! Reward `accuracy`: 1 for a right answer in the wanted form, else 0 (R1 v2, section 2.2).
//!
//! [`grading`](crate::grading) defines what "right" means.

use engine::stage::StageError;
use schemars::JsonSchema;
use serde::Deserialize;

use super::table::{Keys, RewardKind};
use super::{Reward, per_row};
use crate::loading::Loading;

pub(super) const REWARD: RewardKind = RewardKind::of::<Accuracy>(
    "accuracy",
    "1 for a right answer in the form that `form` names, else 0; for `exact`, the bare answer.",
);

/// `accuracy` has no keys of its own.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Accuracy {}

impl Keys for Accuracy {
    const WANTS_FORM: bool = true;

    fn load(self, loading: &Loading<'_>) -> Result<Box<dyn Reward>, StageError> {
        Ok(per_row(loading, |row| {
            row.scored.prompt.verify.is_checked().then_some(f64::from(u8::from(row.grade.correct)))
        }))
    }
}
