//! Kind `sft`: supervised fine-tuning. R1 uses it for the cold start, and for SFT of the base model on 800 thousand
//! samples (v2, B.4.2).

#[cfg(test)]
mod tests;

use engine::artifact::{ArtifactType, Model as ModelMarker, Samples};
use engine::stage::{Context, Input, Outcome, Stage, StageError};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::training::{FineTuning, fine_tune};

/// The kind.
pub struct Sft;

/// What `sft` reads.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Inputs {
    /// The model to start from. R1 restarts from the base model each time.
    pub model: Input<ModelMarker>,
    /// Prompts with completions; all sets are concatenated.
    pub data: Vec<Input<Samples>>,
}

impl Stage for Sft {
    const KIND: &'static str = "sft";
    const HISTORY: &'static [&'static str] =
        &["the first", "chats are rendered whole, and every end token ends a completion"];
    const DOC: &'static str = "Trains a model on prompts with completions; the loss is on the completions.";
    const OUTPUTS: &'static [(&'static str, ArtifactType)] = &[("model", ArtifactType::Model)];
    type Inputs = Inputs;
    type Params = FineTuning;

    fn check(_: &Inputs, params: &FineTuning) -> Result<(), StageError> {
        params.check()
    }

    fn run(ctx: &Context, inputs: Inputs, params: FineTuning) -> Result<Outcome, StageError> {
        fine_tune(ctx, &inputs.model, &inputs.data, &params)
    }
}
