//! Reward `reflection`: rewards words of reflection in the thought. R1 has no such reward: there, reflection emerged
//! (the words are from v2, appendix C.2). The reward is therefore off by default, it saturates (each further word is
//! worth half of the last), and words beyond `cap` count nothing.

use engine::stage::StageError;
use schemars::JsonSchema;
use serde::Deserialize;

use super::table::{Keys, RewardKind};
use super::{Graded, Reward, per_row};
use crate::loading::Loading;

pub(super) const REWARD: RewardKind = RewardKind::of::<Reflection>(
    "reflection",
    "1/2 for the first word of reflection in the thought (`wait`, `check`, `verify`, …), 1/4 for the second, and so on.",
);

const WORDS: [&str; 10] =
    ["wait", "mistake", "however", "but", "retry", "error", "verify", "wrong", "evaluate", "check"];

/// The keys of `reflection`.
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Reflection {
    /// Most words of reflection that count.
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
    let lower = thought.to_lowercase();
    let words = lower.split(|char: char| !char.is_alphabetic()).filter(|word| WORDS.contains(word)).count();
    Some(1.0 - 0.5_f64.powi(words.min(cap as usize) as i32))
}
