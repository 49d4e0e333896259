//! Reward `repetition`: -1 for a completion that loops, by the same test as in the filter `readable` of `generate`.

use engine::stage::StageError;
use schemars::JsonSchema;
use serde::Deserialize;

use super::table::{Keys, RewardKind};
use super::{Reward, per_row};
use crate::loading::Loading;

pub(super) const REWARD: RewardKind =
    RewardKind::of::<Repetition>("repetition", "-1 for a completion that repeats itself over and over, else 0.");

/// `repetition` has no keys of its own.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Repetition {}

impl Keys for Repetition {
    fn load(self, loading: &Loading<'_>) -> Result<Box<dyn Reward>, StageError> {
        Ok(per_row(loading, |row| {
            let repeats = text::readable::has_repetition(row.scored.completion);
            Some(if repeats { -1.0 } else { 0.0 })
        }))
    }
}
