//! Reward `harmless`: the probability that a completion does no harm, from a reward model trained on labels (R1 v2,
//! section 3.1). The model reads the whole completion, the thought included, unless `reads` is `answer`.

use engine::artifact::RewardModel;
use engine::stage::{Input, StageError};
use schemars::JsonSchema;
use serde::Deserialize;

use super::Reward;
use super::preference::{LoadedRewardModel, Preference};
use super::table::{Keys, RewardKind};
use crate::loading::Loading;
use crate::opinions::Reads;

pub(super) const REWARD: RewardKind = RewardKind::of::<Harmless>(
    "harmless",
    "Probability of being harmless by a reward model, 0 to 1; not on prompts whose `task` is `helpful`.",
);

/// The keys of `harmless`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Harmless {
    /// The reward model.
    model: Input<RewardModel>,
    /// What it reads: the whole `completion`, as R1 does, or the `answer` alone.
    #[serde(default = "completion")]
    reads: Reads,
}

fn completion() -> Reads {
    Reads::Completion
}

impl Keys for Harmless {
    const READS_MODEL: bool = true;

    fn reward_model(self) -> Option<Input<RewardModel>> {
        Some(self.model)
    }

    fn load(self, loading: &Loading<'_>) -> Result<Box<dyn Reward>, StageError> {
        let model = LoadedRewardModel::load(&self.model, self.reads, loading)?;
        Ok(Box::new(Preference { model, not_for: "helpful" }))
    }
}
