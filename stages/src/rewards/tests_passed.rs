//! Reward `tests`: the share of its tests that a program passes.
//!
//! The paper pays for programs that pass all tests, which is `accuracy`. This one tells a program that is nearly right
//! from one that does nothing, where few completions of a group are right.

use engine::stage::StageError;
use schemars::JsonSchema;
use serde::Deserialize;

use super::table::{Keys, RewardKind};
use super::{Reward, per_row};
use crate::loading::Loading;
use crate::programs::Trial;

pub(super) const REWARD: RewardKind = RewardKind::of::<Tests>(
    "tests",
    "Share of its tests that a finished program passes, 0 to 1; only where programs are asked for.",
);

/// `tests` has no keys of its own.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Tests {}

impl Keys for Tests {
    fn load(self, loading: &Loading<'_>) -> Result<Box<dyn Reward>, StageError> {
        Ok(per_row(loading, |row| {
            let share = row.grade.trial.as_ref().map(Trial::share)?;
            Some(if row.scored.finished { share } else { 0.0 })
        }))
    }
}
