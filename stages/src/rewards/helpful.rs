//! Reward `helpful`: the score of an answer from a reward model trained on pairs (R1 v2, section 3.1). The raw score
//! has no scale, so a sigmoid maps it to 0…1. The model reads only the answer, unless `reads` is `completion`.

use engine::artifact::RewardModel;
use engine::stage::{Input, StageError};
use schemars::JsonSchema;
use serde::Deserialize;

use super::Reward;
use super::preference::{LoadedRewardModel, Preference};
use super::table::{Keys, RewardKind};
use crate::loading::Loading;
use crate::opinions::Reads;

pub(super) const REWARD: RewardKind = RewardKind::of::<Helpful>(
    "helpful",
    "What a reward model gives for helpfulness, 0 to 1; not on prompts whose `task` is `harmless`.",
);

/// The keys of `helpful`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Helpful {
    /// The reward model.
    model: Input<RewardModel>,
    /// What it reads: the `answer` alone, as R1 does, or the whole `completion`.
    #[serde(default = "answer")]
    reads: Reads,
}

fn answer() -> Reads {
    Reads::Answer
}

impl Keys for Helpful {
    const READS_MODEL: bool = true;

    fn reward_model(self) -> Option<Input<RewardModel>> {
        Some(self.model)
    }

    fn load(self, loading: &Loading<'_>) -> Result<Box<dyn Reward>, StageError> {
        let model = LoadedRewardModel::load(&self.model, self.reads, loading)?;
        Ok(Box::new(Preference { model, not_for: "harmless" }))
    }
}
