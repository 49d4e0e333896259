//! Reward `conciseness`: the share of an answer's words that say something, within a budget
//! ([`text::presentation::conciseness`]). For the fourth step's helpful answers; it applies where there is nothing to
//! verify.

use engine::stage::StageError;
use schemars::JsonSchema;
use serde::Deserialize;

use super::table::{Keys, RewardKind};
use super::{Graded, Reward, per_row};
use crate::limits;
use crate::loading::Loading;

pub(super) const REWARD: RewardKind = RewardKind::of::<Conciseness>(
    "conciseness",
    "Share of an answer's words that say something: no politeness, padding or repetition, 0 to 1; not where an answer is verified.",
);

/// The keys of `conciseness`.
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Conciseness {
    /// Words of an answer beyond which the score falls, to 0 at twice as many; 0 for none.
    #[schemars(range(max = limits::TOKENS))]
    words: usize,
}

impl Default for Conciseness {
    fn default() -> Self {
        Self { words: 400 }
    }
}

impl Keys for Conciseness {
    fn load(self, loading: &Loading<'_>) -> Result<Box<dyn Reward>, StageError> {
        Ok(per_row(loading, move |row| score(row, self.words)))
    }
}

fn score(row: &Graded<'_>, words: usize) -> Option<f64> {
    if row.scored.prompt.verify.is_checked() {
        return None;
    }
    let question = row.scored.prompt.prompt.last_text();
    let score = || text::presentation::conciseness(&row.grade.answer, &question, words);
    Some(if row.scored.finished { score() } else { 0.0 })
}
