//! Reward `length`: DAPO's soft punishment of overlong completions (arXiv 2503.14476, equation 13). It is 0 up to a
//! length, and from there falls linearly to -1 at `max-tokens`.

use engine::stage::StageError;
use schemars::JsonSchema;
use serde::Deserialize;

use super::table::{Keys, RewardKind};
use super::{Reward, per_row};
use crate::loading::Loading;

pub(super) const REWARD: RewardKind = RewardKind::of::<Length>(
    "length",
    "0 for a completion of ordinary length, falling to -1 over the last part before `max-tokens` (DAPO's soft overlong).",
);

/// The keys of `length`.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Length {
    /// Length, in tokens, at which the reward is -1; usually the stage's own `max-tokens`.
    #[schemars(range(min = 1, max = crate::limits::TOKENS))]
    max_tokens: usize,
    /// Share of `max-tokens` over which the reward falls. DAPO: 4,096 of 20,480.
    #[serde(default = "default_buffer")]
    #[schemars(range(min = 0.0, max = 1.0))]
    buffer: f64,
}

fn default_buffer() -> f64 {
    0.2
}

impl Keys for Length {
    const COUNTS_TOKENS: bool = true;

    fn load(self, loading: &Loading<'_>) -> Result<Box<dyn Reward>, StageError> {
        let max = self.max_tokens as f64;
        let buffer = max * self.buffer;
        Ok(per_row(loading, move |row| Some(soft_overlong(row.scored.num_tokens as f64, max, buffer))))
    }
}

fn soft_overlong(tokens: f64, max: f64, buffer: f64) -> f64 {
    let over = tokens - (max - buffer);
    if tokens >= max {
        -1.0
    } else if over <= 0.0 {
        0.0
    } else {
        -over / buffer
    }
}
