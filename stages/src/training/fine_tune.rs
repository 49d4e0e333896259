//! Training on rows, with output `model`: shared by `sft` and `distill`, for any loss.

use engine::artifact::{Model as ModelMarker, Prompts, Samples};
use engine::stage::{Context, Input, Look, Outcome, StageError, refusals};
use lm::{Config, Device, Model, NewToken};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, json};
use text::Chat;

use super::examined::Examined;
use super::export::{export_trained, shown};
use super::lora::{Lora, check_keys};
use super::optimisation::Optimisation;
use super::rows::{Learn, Order, PassSize};
use super::supervised::Supervised;
use super::tokenise::{Tokenising, stopped, token_rows};
use super::{
    Asking, CURES, Ended, EvalKeys, HeldOut, HeldOutPrompts, Logits, Objective, Passes, Training, look_at_memory,
    options, train,
};
use crate::artifacts::load_model;
use crate::chat::{Rendering, load_chat};
use crate::device::set_up;
use crate::grading::Form;
use crate::held::JudgePlace;
use crate::limits;
use crate::loading::Loading;
use crate::sampling::questions;

/// Answers to held-out prompts that are sampled in parallel.
const SIDE_BY_SIDE: usize = 256;

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
    /// Which of the assistant's turns in a conversation are learnt. `last`: the last one. `all`: every turn with a
    /// text, each as a row of its own after the turns before it, rendered as the model will see them.
    #[schemars(extend("x-omit-default" = true))]
    pub learn: Learn,
    /// Tokens that the model gets, apart from those that it has: `["<think>", "</think>"]`. The rows of the embedding
    /// and of the head begin as the mean of the rows of the token's pieces.
    #[schemars(extend("x-omit-default" = true))]
    pub new_tokens: Vec<String>,
    /// Longest answer to one of `eval-prompts`, in tokens.
    #[schemars(range(min = 1, max = limits::TOKENS), extend("x-omit-default" = true))]
    pub eval_max_tokens: usize,
    /// The form that an answer to one of `eval-prompts` must have to be right; see `form` of `eval`.
    #[schemars(extend("x-omit-default" = true))]
    pub eval_form: Form,
    /// Trains low-rank adapters instead of all weights. Output `model` is the merged model; its folder `adapter` has
    /// the adapters, for PEFT. Absent: all weights are trained, as in the paper.
    pub lora: Option<Lora>,
    #[serde(flatten)]
    pub eval: EvalKeys,
    // The engine has checked every key against the schema, so `flatten` cannot hide a misspelt one.
    #[serde(flatten)]
    pub rendering: Rendering,
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
            new_tokens: Vec::new(),
            eval_max_tokens: 1_024,
            eval_form: Form::default(),
            lora: None,
            eval: EvalKeys::default(),
            rendering: Rendering::default(),
            optimisation: Optimisation::default(),
        }
    }
}

impl FineTuning {
    /// Refuses keys that contradict each other.
    pub(crate) fn check(&self, eval_data: &[Input<Samples>], eval_prompts: &[Input<Prompts>]) -> Vec<StageError> {
        let held_out = self.eval.check(eval_prompts, !eval_data.is_empty(), "`eval-data` or `eval-prompts`");
        let mut refused = refusals([self.rendering.check(), held_out]);
        if self.new_tokens.iter().any(|token| token.trim().is_empty()) {
            refused.push(StageError::new("`new-tokens` has an empty token").with_help("remove it"));
        }
        let trains_embedding = |lora: &Lora| lora.modules_to_save.iter().any(|module| module == "embed_tokens");
        if !self.new_tokens.is_empty() && self.lora.as_ref().is_some_and(|lora| !trains_embedding(lora)) {
            refused.push(
                StageError::new("`new-tokens` with `lora`: the rows of new tokens would not be trained")
                    .with_help("train them whole: `lora = { modules-to-save = [\"embed_tokens\", \"lm_head\"] }`"),
            );
        }
        let (_, optimisation) = self.optimisation.over(self.steps, u64::MAX);
        refused.extend(check_keys(&optimisation, self.lora.as_ref()));
        refused
    }

    /// Returns how samples under `key` are tokenised.
    pub(crate) fn tokenising(&self, key: &'static str) -> Tokenising {
        Tokenising { key, learn: self.learn, max_tokens: self.max_tokens }
    }

    /// Reads the chat conventions of the model that is trained, and returns the tokens that are new to it.
    pub(crate) fn chat(&self, model: &Input<ModelMarker>) -> Result<(Chat, Vec<NewToken>), StageError> {
        let (chat, new) = load_chat(model, self.rendering.end_token.as_deref())?.with_new_tokens(&self.new_tokens)?;
        let new = new.into_iter().map(|(id, pieces)| NewToken { id, pieces });
        Ok((self.rendering.apply(chat)?, new.collect()))
    }

    /// Tells how much memory training will hold, from the sizes of the first rows and the lengths of held-out prompts.
    pub(crate) fn look_at_memory(&self, look: &mut Look, config: &Config, rows: &[PassSize], prompts: &[usize]) {
        let options = options(look, config, self.optimisation.dtype);
        let longest = prompts.iter().max().map_or(0, |longest| longest + self.eval_max_tokens);
        let order = Order::new(self.seed, rows.len(), self.batch_size);
        let passes = Passes {
            largest: order.largest_passes(rows, self.micro_batch_tokens),
            recompute: self.optimisation.gradient_checkpointing,
            logits: Logits::OfTargets,
            sampling: self.eval.cache((config, options), prompts.len(), longest, SIDE_BY_SIDE),
            is_bound: false,
            cures: CURES,
        };
        look_at_memory(look, (config, options), (&self.optimisation, self.lora.as_ref()), 0, passes);
    }

    /// Reads the prompts that the model answers while it is trained.
    fn held_out(
        &self,
        ctx: &Context,
        prompts: &[Input<Prompts>],
        (model, chat): (&Model, &Chat),
    ) -> Result<HeldOutPrompts, StageError> {
        let loading = Loading::of(ctx, model.device(), JudgePlace::default(), self.seed)?;
        let asking = Asking {
            keys: &self.eval,
            seed: self.seed,
            max_tokens: self.eval_max_tokens,
            form: self.eval_form,
            side_by_side: SIDE_BY_SIDE,
        };
        HeldOutPrompts::new(ctx, questions(prompts)?, (model, chat), asking, &loading)
    }

    /// Loads the model that is trained, with rows for new tokens.
    pub(crate) fn model(
        &self,
        ctx: &Context,
        model: &Input<ModelMarker>,
        device: Device,
        new: &[NewToken],
    ) -> Result<Model, StageError> {
        Ok(load_model(ctx, model, device, self.optimisation.dtype)?.with_new_tokens(new))
    }
}

/// Trains `model` on `data` and writes output `model`; with something held out, also output `best`.
pub(crate) fn fine_tune(
    ctx: &Context,
    model: &Input<ModelMarker>,
    (data, eval_data): (&[Input<Samples>], &[Input<Samples>]),
    eval_prompts: &[Input<Prompts>],
    training: &FineTuning,
) -> Result<Outcome, StageError> {
    let device = set_up(ctx)?;
    let (chat, new) = training.chat(model)?;
    let Some(rows) = token_rows(ctx, &chat, data, &training.tokenising("data"))? else { return Ok(stopped(ctx)) };
    let held_out = if eval_data.is_empty() {
        None
    } else {
        let rows = token_rows(ctx, &chat, eval_data, &training.tokenising("eval-data"))?;
        let Some(rows) = rows else { return Ok(stopped(ctx)) };
        Some(HeldOut { rows, every: training.eval.eval_every })
    };
    let model = training.model(ctx, model, device, &new)?;
    let mut objective = Supervised {
        model: &model,
        rows: &rows,
        order: Order::new(training.seed, rows.len(), training.batch_size),
        micro_batch_tokens: training.micro_batch_tokens,
        recompute: training.optimisation.gradient_checkpointing,
        held_out,
    };
    let shown = ["loss", "mean_token_accuracy", "eval_loss", "eval_mean_token_accuracy"];
    train_rows(ctx, &mut objective, (&model, &chat), training, (rows.len(), eval_prompts), &shown)
}

/// Trains `model` on an objective over `num_rows` rows, and writes output `model`; output `best` if something is held
/// out, and output `answers` if prompts are. The summary shows the metrics `names` of the last step.
pub(crate) fn train_rows(
    ctx: &Context,
    objective: &mut impl Objective,
    (model, chat): (&Model, &Chat),
    training: &FineTuning,
    (num_rows, eval_prompts): (usize, &[Input<Prompts>]),
    names: &[&str],
) -> Result<Outcome, StageError> {
    let counted = steps_of(training.epochs, num_rows, training.batch_size);
    let (steps, optimisation) = training.optimisation.over(training.steps, counted);
    let (lora, seed) = (training.lora.as_ref(), training.seed);
    let how = Training { steps, lr: training.lr, optimisation: &optimisation, lora, seed };
    let ended = if eval_prompts.is_empty() {
        train(ctx, objective, &how)?
    } else {
        let held_out = training.held_out(ctx, eval_prompts, (model, chat))?;
        let mut examined = Examined { inner: objective, ctx, model, chat, held_out };
        let ended = train(ctx, &mut examined, &how)?;
        if matches!(ended, Ended::Done { .. }) {
            examined.held_out.finish()?;
        }
        ended
    };
    match ended {
        Ended::Stopped(step) => Ok(Outcome::Stopped(step)),
        Ended::Done { metrics, adapters, best } => {
            let found = export_trained(ctx, (model, chat), adapters.as_ref(), &best)?;
            let mut summary =
                Map::from_iter([("rows".to_owned(), json!(num_rows)), ("steps".to_owned(), json!(steps))]);
            summary.extend(shown(&metrics, names));
            summary.extend(shown(&metrics, &["eval_accuracy", "eval_sampled_accuracy"]));
            summary.extend(found);
            Ok(Outcome::Done(summary))
        }
    }
}

/// Returns the number of updates in `epochs` passes over the data, at least one.
pub(crate) fn steps_of(epochs: f64, num_rows: usize, batch_size: usize) -> u64 {
    ((epochs * num_rows as f64 / batch_size as f64).ceil() as u64).max(1)
}
