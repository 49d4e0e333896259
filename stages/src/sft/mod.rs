//! Kind `sft`: supervised fine-tuning. R1's cold start, and its SFT of the base on 800 thousand samples (v2, B.4.2).

pub(crate) mod supervised;
#[cfg(test)]
mod tests;

use engine::artifact::{ArtifactType, Model as ModelMarker, Samples};
use engine::stage::{Context, Input, Outcome, Stage, StageError};
use lm::Model;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, json};
use text::Chat;

use crate::artifacts::load_model;
use crate::data::{Order, read_all, tokenise};
use crate::limits;
use crate::trainer::{Ended, Lora, Objective, Optimisation, check_keys, train_adapted};
use supervised::Supervised;

/// The kind.
pub struct Sft;

/// What `sft` reads.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Inputs {
    /// The model to start from. R1 restarts from the base model each time.
    pub model: Input<ModelMarker>,
    /// Prompts with completions; all sets together are one.
    pub data: Vec<Input<Samples>>,
}

/// How to train.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case")]
pub struct Params {
    /// Updates. Raise it later and training continues. Absent: what `epochs` come to.
    #[schemars(range(max = limits::STEPS), extend("x-role" = "extent"))]
    pub steps: Option<u64>,
    /// Passes over the data, where `steps` is not given. R1: 2.
    #[schemars(range(min = 0.0, max = limits::EPOCHS))]
    pub epochs: f64,
    /// Rows in an update. R1: 128, distillation 64.
    #[schemars(range(min = 1, max = limits::BATCH))]
    pub batch_size: usize,
    /// Peak learning rate. R1: 5e-5.
    #[schemars(range(min = 0.0))]
    pub lr: f64,
    /// Longest row in tokens, prompt included; longer ones are counted and left out. R1: 32,768.
    #[schemars(range(min = 2, max = limits::TOKENS))]
    pub max_tokens: usize,
    /// Tokens in one forward pass. It bounds memory; sums in another order have other last bits, so it is a result key.
    #[schemars(range(min = 1, max = limits::TOKENS))]
    pub micro_batch_tokens: usize,
    /// Seed of the order of rows, and of adapters.
    pub seed: u64,
    /// Trains adapters of low rank in the place of all weights. Output `model` is the merged model, with the adapters
    /// for PEFT in its folder `adapter`. Absent: full training, as in the paper.
    pub lora: Option<Lora>,
    // The engine has checked every key against the schema, so nothing misspelt can hide behind `flatten`.
    #[serde(flatten)]
    pub optimisation: Optimisation,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            steps: None,
            epochs: 2.0,
            batch_size: 64,
            lr: 5e-5,
            max_tokens: 4_096,
            micro_batch_tokens: 8_192,
            seed: 0,
            lora: None,
            optimisation: Optimisation::default(),
        }
    }
}

impl Params {
    /// Refuses keys that contradict each other.
    pub(crate) fn check(&self) -> Result<(), StageError> {
        let (_, optimisation) = self.optimisation.over(self.steps, u64::MAX);
        check_keys(&optimisation, self.lora.as_ref())
    }
}

impl Stage for Sft {
    const KIND: &'static str = "sft";
    const HISTORY: &'static [&'static str] = &["the first"];
    const DOC: &'static str = "Trains a model on prompts with completions; the loss is on the completions.";
    const OUTPUTS: &'static [(&'static str, ArtifactType)] = &[("model", ArtifactType::Model)];
    type Inputs = Inputs;
    type Params = Params;

    fn check(_: &Inputs, params: &Params) -> Result<(), StageError> {
        params.check()
    }

    fn run(ctx: &Context, inputs: Inputs, params: Params) -> Result<Outcome, StageError> {
        fine_tune(ctx, &inputs.model, &inputs.data, &params)
    }
}

/// Trains `model` on `data` and writes output `model`.
pub(crate) fn fine_tune(
    ctx: &Context,
    model: &Input<ModelMarker>,
    data: &[Input<Samples>],
    params: &Params,
) -> Result<Outcome, StageError> {
    let machine = ctx.machine();
    let device = lm::setup(machine.threads, &machine.device)?;
    let chat = Chat::load(model.path())?;
    let rows = tokenise(ctx, &chat, &read_all(data)?, params.max_tokens)?;
    let model = load_model(ctx, model, device, params.optimisation.kind())?;
    let mut objective = Supervised {
        model: &model,
        rows: &rows,
        order: Order::new(params.seed, rows.len(), params.batch_size),
        micro_batch_tokens: params.micro_batch_tokens,
        recompute: params.optimisation.gradient_checkpointing,
    };
    train_rows(ctx, &mut objective, (&model, &chat), params, rows.len(), &["loss"])
}

/// Trains `model` towards an objective over `num_rows` rows, and writes output `model`; the summary shows these
/// measurements of the last step.
pub(crate) fn train_rows(
    ctx: &Context,
    objective: &mut impl Objective,
    (model, chat): (&Model, &Chat),
    params: &Params,
    num_rows: usize,
    shown: &[&str],
) -> Result<Outcome, StageError> {
    let counted = steps_of(params.epochs, num_rows, params.batch_size);
    let (steps, optimisation) = params.optimisation.over(params.steps, counted);
    let lora = params.lora.as_ref();
    match train_adapted(ctx, objective, lora, params.seed, &optimisation, (params.lr, steps))? {
        (Ended::Stopped(step), _) => Ok(Outcome::Stopped(step)),
        (Ended::Done(metrics), adapters) => {
            export(ctx, model, chat)?;
            adapters.map(|adapters| adapters.save(&ctx.output("model").join("adapter"))).transpose()?;
            let mut summary =
                Map::from_iter([("rows".to_owned(), json!(num_rows)), ("steps".to_owned(), json!(steps))]);
            summary.extend(shown.iter().filter_map(|name| Some(((*name).to_owned(), json!(metrics.get(*name)?)))));
            Ok(Outcome::Done(summary))
        }
    }
}

/// Writes output `model`: weights, configuration, tokenizer.
pub(crate) fn export(ctx: &Context, model: &Model, chat: &Chat) -> Result<(), StageError> {
    let dir = ctx.output("model");
    model.save(&dir)?;
    chat.save(&dir)?;
    Ok(())
}

pub(crate) fn steps_of(epochs: f64, num_rows: usize, batch_size: usize) -> u64 {
    ((epochs * num_rows as f64 / batch_size as f64).ceil() as u64).max(1)
}
