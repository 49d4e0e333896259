//! Kind `reward-model`: learns to score completions from judgements. R1 has two: a helpful one, pairwise and on the
//! final summary alone, and a harmless one, pointwise and on the whole completion (v2, sections 3.1 and B.2).

mod judgements;
mod quality;
#[cfg(test)]
mod tests;

use engine::artifact::{ArtifactType, Model as ModelMarker, Preferences};
use engine::stage::{Context, Input, Look, Outcome, Stage, StageError, refusals};
use lm::RewardModel as ScoredModel;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, json};

use crate::artifacts::load_model;
use crate::chat::Rendering;
use crate::device::set_up;
use crate::opinions::Reads;
use crate::training::rows::Order;
use crate::training::{Ended, Optimisation, Training, check_keys, steps_of, train};
use crate::{limits, looking};
use judgements::{Judgements, read, split};
use quality::Quality;

/// The kind.
pub struct RewardModel;

/// What `reward-model` reads.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Inputs {
    /// The model to start from; its head is replaced by one with a single output.
    pub model: Input<ModelMarker>,
    /// Judgements: pairs for `loss = "pairwise"`, labels for `loss = "pointwise"`.
    pub data: Vec<Input<Preferences>>,
}

/// The loss of a judgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// The chosen completion scores above the rejected one (Bradley-Terry).
    Pairwise,
    /// The score tells label 1 from label 0 (cross-entropy).
    Pointwise,
}

/// How to train.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case")]
pub struct Params {
    /// The loss. `pairwise`: the chosen completion should score above the rejected one (Bradley-Terry). `pointwise`:
    /// the score should tell label 1 from label 0 (cross-entropy).
    pub loss: Loss,
    /// What the model reads of a completion: all of it (`completion`), or the `answer` alone.
    pub reads: Reads,
    /// Number of updates. If you raise it later, training continues. Absent: computed from `epochs`.
    #[schemars(range(max = limits::STEPS), extend("x-role" = "extent"))]
    pub steps: Option<u64>,
    /// Passes over the data, if `steps` is absent. R1: 1.
    #[schemars(range(min = 0.0, max = limits::EPOCHS))]
    pub epochs: f64,
    /// Judgements in an update. R1: 256.
    #[schemars(range(min = 1, max = limits::BATCH))]
    pub batch_size: usize,
    /// Peak learning rate. R1: 6e-6.
    #[schemars(range(min = 0.0))]
    pub lr: f64,
    /// Share of the judgements held out for validation; the summary shows the model's
    /// accuracy on them, its calibration, and whether it goes by length.
    #[schemars(range(min = 0.0, max = 0.5))]
    pub validation_share: f64,
    /// Seed of the order of judgements and of the choice of held-out ones.
    pub seed: u64,
    // The engine has checked every key against the schema.
    #[serde(flatten)]
    pub rendering: Rendering,
    #[serde(flatten)]
    pub optimisation: Optimisation,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            loss: Loss::Pairwise,
            reads: Reads::Completion,
            steps: None,
            epochs: 1.0,
            batch_size: 64,
            lr: 6e-6,
            validation_share: 0.1,
            seed: 0,
            rendering: Rendering::default(),
            optimisation: Optimisation::default(),
        }
    }
}

impl Stage for RewardModel {
    const KIND: &'static str = "reward-model";
    const HISTORY: &'static [&'static str] =
        &["the first", "chats are rendered whole, and every end token ends a completion"];
    const DOC: &'static str = "Trains a model that scores completions, from pairs or labels.";
    const OTHER_NAMES: &'static [(&'static str, &'static str)] = crate::other_names::OTHER_NAMES;
    const OTHER_WAYS: &'static [(&'static str, &'static str)] = crate::other_names::OTHER_WAYS;
    const OUTPUTS: &'static [(&'static str, ArtifactType)] = &[("reward-model", ArtifactType::RewardModel)];
    const OUTPUTS_LIKE: &'static [(&'static str, &'static str)] = &[("reward-model", "model")];
    type Inputs = Inputs;
    type Params = Params;

    fn check(_: &Inputs, params: &Params) -> Vec<StageError> {
        let mut refused = refusals([params.rendering.check()]);
        refused.extend(check_keys(&params.optimisation.over(params.steps, u64::MAX).1, None));
        refused
    }

    fn look(inputs: &Inputs, params: &Params, look: &mut Look) {
        looking::model(look, &inputs.model, Some(&params.rendering));
        looking::preferences(look, &inputs.data);
    }

    fn run(ctx: &Context, inputs: Inputs, params: Params) -> Result<Outcome, StageError> {
        let device = set_up(ctx)?;
        let chat = params.rendering.load(&inputs.model)?;
        let rows = read(&chat, &inputs.data, params.loss, params.reads)?;
        let (train_rows, held_out) = split(rows, params.validation_share, params.seed);
        let base = load_model(ctx, &inputs.model, device, params.optimisation.dtype)?;
        let model = ScoredModel::init_from(&base);
        drop(base);
        let counted = steps_of(params.epochs, train_rows.len(), params.batch_size);
        let (steps, optimisation) = params.optimisation.over(params.steps, counted);
        let mut objective = Judgements {
            model: &model,
            rows: &train_rows,
            order: Order::new(params.seed, train_rows.len(), params.batch_size),
            recompute: params.optimisation.gradient_checkpointing,
        };
        let Params { lr, seed, .. } = params;
        match train(ctx, &mut objective, &Training { steps, lr, optimisation: &optimisation, lora: None, seed })? {
            Ended::Stopped(step) => Ok(Outcome::Stopped(step)),
            Ended::Done { .. } => {
                let dir = ctx.output("reward-model");
                model.save(&dir, chat.pad)?;
                chat.save(&dir)?;
                let mut summary = Map::from_iter([("judgements".to_owned(), json!(train_rows.len()))]);
                if !held_out.is_empty() {
                    summary.insert("held-out".to_owned(), json!(held_out.len()));
                    let quality = Quality::of(&held_out, &judgements::margins(&model, &held_out)?);
                    quality.warning().into_iter().for_each(|warning| ctx.warn(warning));
                    summary.extend(quality.shown());
                }
                Ok(Outcome::Done(summary))
            }
        }
    }
}
