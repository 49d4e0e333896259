//! Kind `sft`: supervised fine-tuning. R1 uses it for the cold start, and for SFT of the base model on 800 thousand
//! samples (v2, B.4.2).

#[cfg(test)]
mod tests;

use engine::artifact::{ArtifactType, Model as ModelMarker, Prompts, Samples};
use engine::stage::{Context, Input, Look, Outcome, Stage, StageError};
use engine::worker::tokens::ShownRow;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::training::{FineTuning, fine_tune};
use crate::{looking, showing};

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
    /// Held-out samples, which are not trained on: `eval_loss` and `eval_mean_token_accuracy` are measured on them,
    /// over all their learnt tokens. With them, the stage has the output `best`: the model with the lowest `eval_loss`,
    /// unless `eval-prompts` decide it.
    #[serde(default)]
    #[schemars(extend("x-omit-default" = true))]
    pub eval_data: Vec<Input<Samples>>,
    /// Prompts with gold answers that are not trained on, answered greedily after every `eval-every` steps and after the
    /// last one: `eval_accuracy`. With them, the stage has the outputs `answers`, every answer, and `best`, the model with
    /// the highest `eval_accuracy`.
    #[serde(default)]
    #[schemars(extend("x-omit-default" = true))]
    pub eval_prompts: Vec<Input<Prompts>>,
}

impl Stage for Sft {
    const KIND: &'static str = "sft";
    const HISTORY: &'static [&'static str] =
        &["the first", "chats are rendered whole, and every end token ends a completion"];
    const DOC: &'static str = "Trains a model on prompts with completions; the loss is on the completions.";
    const OTHER_NAMES: &'static [(&'static str, &'static str)] = crate::other_names::OTHER_NAMES;
    const OTHER_WAYS: &'static [(&'static str, &'static str)] = crate::other_names::OTHER_WAYS;
    const OUTPUTS: &'static [(&'static str, ArtifactType)] =
        &[("model", ArtifactType::Model), ("best", ArtifactType::Model), ("answers", ArtifactType::Report)];
    const OUTPUTS_LIKE: &'static [(&'static str, &'static str)] = &[("model", "model"), ("best", "model")];
    const OUTPUTS_WITH: &'static [(&'static str, &'static str)] =
        &[("best", "eval-data"), ("best", "eval-prompts"), ("answers", "eval-prompts")];
    const TOKENS: &'static [&'static str] = &["model", "data", "chat-template", "system", "prompt-template"];
    type Inputs = Inputs;
    type Params = FineTuning;

    fn check(inputs: &Inputs, params: &FineTuning) -> Vec<StageError> {
        params.check(&inputs.eval_data, &inputs.eval_prompts)
    }

    fn look(inputs: &Inputs, params: &FineTuning, look: &mut Look) {
        let sets = [("data", &inputs.data[..]), ("eval-data", &inputs.eval_data)];
        looking::fine_tuning(look, &inputs.model, params, &sets, &inputs.eval_prompts);
    }

    fn tokens(inputs: &Inputs, params: &FineTuning, row: usize) -> Result<ShownRow, StageError> {
        showing::sample(&params.chat(&inputs.model)?.0, &inputs.data, &params.tokenising("data"), row)
    }

    fn run(ctx: &Context, inputs: Inputs, params: FineTuning) -> Result<Outcome, StageError> {
        fine_tune(ctx, &inputs.model, (&inputs.data, &inputs.eval_data), &inputs.eval_prompts, &params)
    }
}
