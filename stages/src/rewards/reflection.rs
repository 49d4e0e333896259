//! Reward `reflection`: rewards re-evaluations in the thought, which confirm or change a value by new work
//! ([`text::reflection`]); the word "wait" alone earns nothing. R1 has no such reward: there, reflection emerged. The
//! reward is therefore off by default, it saturates (each further one is worth half of the last), and those beyond
//! `cap` count nothing.

use engine::stage::StageError;
use schemars::JsonSchema;
use serde::Deserialize;

use super::table::{Keys, RewardKind};
use super::{Graded, Reward, per_row};
use crate::loading::Loading;

pub(super) const REWARD: RewardKind = RewardKind::of::<Reflection>(
    "reflection",
    "1/2 for the first re-evaluation in the thought that confirms or changes a value by new work, 1/4 for the second, and so on.",
);

/// The keys of `reflection`.
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Reflection {
    /// Most re-evaluations that count.
    #[schemars(range(min = 1, max = 16))]
    cap: u32,
}

impl Default for Reflection {
    fn default() -> Self {
        Self { cap: 3 }
    }
}

impl Keys for Reflection {
    fn load(self, loading: &Loading<'_>) -> Result<Box<dyn Reward>, StageError> {
        Ok(per_row(loading, move |row| score(row, self.cap)))
    }
}

fn score(row: &Graded<'_>, cap: u32) -> Option<f64> {
    if !row.scored.prompt.verify.wants_thought() {
        return None;
    }
    let thought = row.grade.reasoning.as_deref().filter(|_| row.grade.format_ok).unwrap_or_default();
    let question = row.scored.prompt.prompt.last_text();
    let found = text::reflection::reevaluations(&question, thought, cap as usize).len();
    Some(1.0 - 0.5_f64.powi(i32::try_from(found).expect("the cap is small")))
}
