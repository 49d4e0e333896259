//! Reward `format`: 1 for a finished completion in the wanted form, by default one thought and one answer in well-formed
//! tags, else 0 (R1 v1, section 2.2.2). It applies only to prompts that ask for a thought: numbers and choices.

use engine::stage::StageError;
use schemars::JsonSchema;
use serde::Deserialize;

use super::table::{Keys, RewardKind};
use super::{Reward, per_row};
use crate::loading::Loading;

pub(super) const REWARD: RewardKind = RewardKind::of::<Format>(
    "format",
    "1 for a finished completion in the form that `form` names, else 0; only where a number or a choice is asked for.",
);

/// `format` has no keys of its own.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Format {}

impl Keys for Format {
    const WANTS_FORM: bool = true;

    fn load(self, loading: &Loading<'_>) -> Result<Box<dyn Reward>, StageError> {
        Ok(per_row(loading, |row| {
            let asked = row.scored.prompt.verify.wants_thought();
            asked.then_some(f64::from(u8::from(row.grade.format_ok)))
        }))
    }
}
