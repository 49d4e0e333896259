//! Training on rows, with output `model`: shared by `sft` and `distill`, for any loss.

use engine::artifact::{Model as ModelMarker, Samples};
use engine::stage::{Context, Input, Outcome, StageError};
use lm::Model;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, json};
use text::Chat;

use super::export::{export, shown};
use super::lora::{Lora, check_keys};
use super::optimisation::Optimisation;
use super::rows::{Learn, Order, read_all, tokenise};
use super::supervised::Supervised;
use super::{Ended, Objective, Training, train};
use crate::artifacts::load_model;
use crate::chat::{TemplateArgs, load_chat};
use crate::device::set_up;
use crate::limits;

/// How to train on rows: the keys that `sft` and `distill` share.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case")]
pub struct FineTuning {
    /// Number of updates. If you raise it later, training continues. Absent: computed from `epochs`.
    #[schemars(range(max = limits::STEPS), extend("x-role" = "extent"))]
    pub steps: Option<u64>,
    /// Passes over the data, if `steps` is absent. R1: 2.
    #[schemars(range(min = 0.0, max = limits::EPOCHS))]
    pub epochs: f64,
    /// Rows in an update. R1: 128, distillation 64.
    #[schemars(range(min = 1, max = limits::BATCH))]
    pub batch_size: usize,
    /// Peak learning rate. R1: 5e-5.
    #[schemars(range(min = 0.0))]
    pub lr: f64,
    /// Longest row in tokens, prompt included; longer rows are counted and dropped. R1: 32,768.
    #[schemars(range(min = 2, max = limits::TOKENS))]
    pub max_tokens: usize,
    /// Most tokens in one forward pass, which bounds memory. It is a result key, because it changes the order of sums
    /// and thus their last bits.
    #[schemars(range(min = 1, max = limits::TOKENS))]
    pub micro_batch_tokens: usize,
    /// Seed of the order of rows, of the adapters' initial weights and of their dropout.
    pub seed: u64,
    /// Which of the assistant's turns in a conversation are learnt. `last`: the last one. `all`: every turn with a text,
    /// each as a row of its own after the turns before it, rendered as the model will see them.
    #[schemars(extend("x-omit-default" = true))]
    pub learn: Learn,
    /// Values for the chat template's own variables, for example `{ enable_thinking = false }`; `today` is the day that
    /// `strftime_now` writes.
    #[schemars(extend("x-omit-default" = true))]
    pub template_args: TemplateArgs,
    /// Trains low-rank adapters instead of all weights. Output `model` is the merged model; its folder `adapter` has
    /// the adapters, for PEFT. Absent: all weights are trained, as in the paper.
    pub lora: Option<Lora>,
    // The engine has checked every key against the schema, so `flatten` cannot hide a misspelt one.
    #[serde(flatten)]
    pub optimisation: Optimisation,
}

impl Default for FineTuning {
    fn default() -> Self {
        Self {
            steps: None,
            epochs: 2.0,
            batch_size: 64,
            lr: 5e-5,
            max_tokens: 4_096,
            micro_batch_tokens: 8_192,
            seed: 0,
            learn: Learn::Last,
            template_args: TemplateArgs::default(),
            lora: None,
            optimisation: Optimisation::default(),
        }
    }
}

impl FineTuning {
    /// Refuses keys that contradict each other.
    pub(crate) fn check(&self) -> Result<(), StageError> {
        let (_, optimisation) = self.optimisation.over(self.steps, u64::MAX);
        check_keys(&optimisation, self.lora.as_ref())
    }
}

/// Trains `model` on `data` and writes output `model`.
pub(crate) fn fine_tune(
    ctx: &Context,
    model: &Input<ModelMarker>,
    data: &[Input<Samples>],
    training: &FineTuning,
) -> Result<Outcome, StageError> {
    let device = set_up(ctx)?;
    let chat = load_chat(model, &training.template_args)?;
    let rows = tokenise(ctx, &chat, &read_all(data)?, (training.learn, training.max_tokens))?;
    let model = load_model(ctx, model, device, training.optimisation.kind())?;
    let mut objective = Supervised {
        model: &model,
        rows: &rows,
        order: Order::new(training.seed, rows.len(), training.batch_size),
        micro_batch_tokens: training.micro_batch_tokens,
        recompute: training.optimisation.gradient_checkpointing,
    };
    train_rows(ctx, &mut objective, (&model, &chat), training, rows.len(), &["loss"])
}

/// Trains `model` on an objective over `num_rows` rows, and writes output `model`. The summary shows the metrics
/// `names` of the last step.
pub(crate) fn train_rows(
    ctx: &Context,
    objective: &mut impl Objective,
    (model, chat): (&Model, &Chat),
    training: &FineTuning,
    num_rows: usize,
    names: &[&str],
) -> Result<Outcome, StageError> {
    let counted = steps_of(training.epochs, num_rows, training.batch_size);
    let (steps, optimisation) = training.optimisation.over(training.steps, counted);
    let (lora, seed) = (training.lora.as_ref(), training.seed);
    match train(ctx, objective, &Training { steps, lr: training.lr, optimisation: &optimisation, lora, seed })? {
        Ended::Stopped(step) => Ok(Outcome::Stopped(step)),
        Ended::Done { metrics, adapters } => {
            export(ctx, model, chat, adapters.as_ref())?;
            let mut summary =
                Map::from_iter([("rows".to_owned(), json!(num_rows)), ("steps".to_owned(), json!(steps))]);
            summary.extend(shown(&metrics, names));
            Ok(Outcome::Done(summary))
        }
    }
}

/// Returns the number of updates in `epochs` passes over the data, at least one.
pub(crate) fn steps_of(epochs: f64, num_rows: usize, batch_size: usize) -> u64 {
    ((epochs * num_rows as f64 / batch_size as f64).ceil() as u64).max(1)
}
