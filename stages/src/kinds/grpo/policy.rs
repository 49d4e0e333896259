//! The objective of `grpo`: a policy that samples completions and learns from them.

use std::path::Path;

use engine::stage::{Context, StageError};
use lm::checkpoint::{load_tensors, save_tensors};
use lm::{Kind, Model, Tensor, footprint, head, loss, no_grad_guard};
use serde::{Deserialize, Serialize};
use text::Chat;

use super::measure::{Watch, measure};
use super::rollout::{MicroBatch, Rollout, roll_out};
use super::{Aggregate, Inputs, Params};
use crate::artifacts::load_model;
use crate::device::set_up;
use crate::rewards::Scorer;
use crate::sampling::{Agreement, fitting};
use crate::sampling::{Question, questions};
use crate::training::rows::{Order, micro_batches};
use crate::training::{Metrics, Objective, Workload, copy_into};

pub(super) struct Policy<'a> {
    ctx: &'a Context,
    params: &'a Params,
    model: Model,
    chat: Chat,
    /// The frozen policy of the KL term, if there is one.
    reference: Option<Model>,
    scorer: Scorer,
    questions: Vec<Question>,
    /// In tokens.
    longest_prompt: usize,
    order: Order,
    state: State,
    watch: Watch,
}

/// What the next step needs apart from weights; it is part of the checkpoint.
#[derive(Default, Serialize, Deserialize)]
struct State {
    /// The current rollouts, whose updates are not all done.
    rollouts: Vec<Rollout>,
    /// Lines of output `rollouts` so far.
    kept: Vec<KeptRollout>,
}

/// A line of output `rollouts`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct KeptRollout {
    prompt: String,
    completion: String,
    step: u64,
    reward: f64,
    parts: std::collections::BTreeMap<String, f64>,
    advantage: f64,
}

impl<'a> Policy<'a> {
    pub(super) fn load(ctx: &'a Context, inputs: &Inputs, params: &'a Params) -> Result<Self, StageError> {
        let device = set_up(ctx)?;
        let model = load_model(ctx, &inputs.model, device, params.optimisation.kind())?;
        let chat = Chat::load(inputs.model.path())?;
        let positions = model.config.max_position_embeddings;
        let room = format!("the model's {positions} positions");
        let (questions, longest_prompt) = fitting(ctx, questions(&inputs.prompts)?, &chat, positions, &room)?;
        let per_rollout = params.prompts_per_step * params.updates_per_rollout as usize;
        Ok(Self {
            ctx,
            params,
            reference: (params.kl > 0.0).then(|| model.deep_copy()),
            model,
            chat,
            scorer: params.rewards.load(device)?,
            order: Order::new(params.seed, questions.len(), per_rollout),
            questions,
            longest_prompt,
            state: State::default(),
            watch: Watch::default(),
        })
    }

    pub(super) fn model(&self) -> &Model {
        &self.model
    }

    pub(super) fn chat(&self) -> &Chat {
        &self.chat
    }

    pub(super) fn kept_rollouts(&self) -> &[KeptRollout] {
        &self.state.kept
    }

    fn sample(&mut self, step: u64) -> Result<(), StageError> {
        let rollout = step / self.params.updates_per_rollout;
        let chosen = self.order.batch(rollout);
        self.state.rollouts =
            roll_out(&self.model, &self.chat, &self.scorer, &self.questions, &chosen, self.params, rollout, step)?;
        let kept = self.state.rollouts.iter().take(self.params.keep_groups * self.params.group_size);
        self.state.kept.extend(kept.map(|rollout| KeptRollout {
            prompt: self.questions[rollout.question].row.prompt.clone(),
            completion: rollout.completion.clone(),
            step,
            reward: rollout.reward,
            parts: rollout.parts.clone(),
            advantage: rollout.advantage,
        }));
        self.watch.look(self.ctx, self.params, &self.state.rollouts);
        Ok(())
    }

    /// Adds the gradients of a minibatch, and returns metrics.
    fn learn(&self, minibatch: &[Rollout], is_on_policy: bool) -> Result<Metrics, StageError> {
        let params = self.params;
        let counted = |rollout: &Rollout| rollout.finished || !params.mask_truncated;
        let tokens = |rollout: &Rollout| rollout.completion_ids.len() as f64;
        let counts: Vec<&Rollout> = minibatch.iter().filter(|rollout| counted(rollout)).collect();
        let num_tokens: f64 = counts.iter().map(|rollout| tokens(rollout)).sum();
        let num_rows = counts.len() as f64;
        let weight = |rollout: &Rollout| match params.aggregate {
            Aggregate::Token => 1.0 / num_tokens,
            Aggregate::Sequence => 1.0 / (num_rows * tokens(rollout)),
            Aggregate::Constant => 1.0 / (num_rows * params.max_tokens as f64),
        };
        // An advantage is exactly 0 only in groups of equal rewards. They have no gradient, so they are skipped.
        let learnt: Vec<&Rollout> = counts.into_iter().filter(|rollout| rollout.advantage != 0.0).collect();
        let lengths: Vec<usize> =
            learnt.iter().map(|rollout| rollout.prompt_ids.len() + rollout.completion_ids.len()).collect();
        let mut sums = Sums::default();
        for indices in micro_batches(&lengths, params.micro_batch_tokens) {
            let chosen: Vec<&Rollout> = indices.iter().map(|index| learnt[*index]).collect();
            let batch = MicroBatch::pack(&chosen, weight, self.model.device());
            self.backward(&batch, is_on_policy, &mut sums);
        }
        sums.into_metrics(is_on_policy, params)
    }

    fn backward(&self, batch: &MicroBatch, is_on_policy: bool, sums: &mut Sums) {
        let params = self.params;
        let reference_logps = self.reference.as_ref().map(|reference| {
            let _guard = no_grad_guard();
            let hidden_nd = reference.hidden(&batch.rows).index_select(0, &batch.positions);
            head::logprobs(reference, &hidden_nd, &batch.targets, params.temperature, head::CHUNK)
        });
        let pass = self.model.pass(&batch.rows, params.optimisation.gradient_checkpointing);
        let hidden_nd = pass.hidden().index_select(0, &batch.positions);
        sums.loss +=
            head::backward(&self.model, &hidden_nd, &batch.targets, params.temperature, head::CHUNK, |logps, chunk| {
                let (advantages, weights) = (chunk.of(&batch.advantages), chunk.of(&batch.weights));
                let sampled = chunk.of(&batch.old_logps);
                let detached = logps.detach();
                // On policy, the ratio is 1 by definition; rounding in the sampler must not change that.
                let old = if is_on_policy { &detached } else { &sampled };
                sums.add(&detached, &sampled, params);
                let surrogate = loss::clipped_surrogate(logps, old, &advantages, params.clip_low, params.clip_high);
                let objective = match &reference_logps {
                    Some(reference) => {
                        let k3 = loss::k3(logps, &chunk.of(reference));
                        sums.kl += k3.sum(Kind::Float).double_value(&[]);
                        surrogate - k3 * params.kl
                    }
                    None => surrogate,
                };
                -(objective * weights).sum(Kind::Float)
            });
        pass.backward();
    }
}

/// Sums over the tokens of a minibatch.
#[derive(Default)]
struct Sums {
    loss: f64,
    tokens: f64,
    logps: f64,
    kl: f64,
    clipped: f64,
    agreement: Agreement,
}

impl Sums {
    fn add(&mut self, logps: &Tensor, sampled: &Tensor, params: &Params) {
        let _guard = no_grad_guard();
        let log_ratio = logps - sampled;
        let ratio = log_ratio.exp();
        let clipped = ratio.lt(1.0 - params.clip_low).logical_or(&ratio.gt(1.0 + params.clip_high));
        self.tokens += logps.size()[0] as f64;
        self.logps += logps.sum(Kind::Double).double_value(&[]);
        self.agreement.add(logps, sampled);
        self.clipped += clipped.sum(Kind::Double).double_value(&[]);
    }

    fn into_metrics(self, is_on_policy: bool, params: &Params) -> Result<Metrics, StageError> {
        let tokens = self.tokens.max(1.0);
        let mut metrics = Metrics::from([
            ("loss".to_owned(), self.loss),
            // The mean of -log p over sampled tokens is an unbiased estimate of the entropy.
            ("entropy".to_owned(), -self.logps / tokens),
            ("clip_ratio/region_mean".to_owned(), self.clipped / tokens),
        ]);
        if params.kl > 0.0 {
            metrics.insert("kl".to_owned(), self.kl / tokens);
        }
        if is_on_policy {
            self.agreement.measure(&mut metrics, params.max_logp_difference)?;
        }
        Ok(metrics)
    }
}

impl Objective for Policy<'_> {
    fn parameters(&self) -> &[(String, Tensor)] {
        self.model.parameters()
    }

    fn workload(&self) -> Workload<'_> {
        let (params, model) = (self.params, &self.model);
        let row = self.longest_prompt + params.max_tokens;
        let rollouts = params.prompts_per_step * params.group_size;
        let side_by_side = params.sampling_batch.min(rollouts * params.updates_per_rollout as usize);
        Workload {
            model,
            tokens: row.max(params.micro_batch_tokens.min(rollouts * row)),
            recompute: params.optimisation.gradient_checkpointing,
            logits: (head::CHUNK, 2),
            sampling: footprint::cache(model, side_by_side, row),
        }
    }

    fn accumulate(&mut self, step: u64) -> Result<Metrics, StageError> {
        let refresh = self.params.reference_refresh;
        if let Some(reference) = &self.reference
            && refresh > 0
            && step > 0
            && step.is_multiple_of(refresh)
        {
            reference.copy_weights_from(&self.model);
        }
        let position = (step % self.params.updates_per_rollout) as usize;
        if position == 0 {
            self.sample(step)?;
        }
        let size = self.params.prompts_per_step * self.params.group_size;
        let minibatch = &self.state.rollouts[position * size..(position + 1) * size];
        let mut metrics = self.learn(minibatch, position == 0)?;
        metrics.extend(measure(minibatch, self.params.group_size));
        Ok(metrics)
    }

    fn save(&self, dir: &Path) -> Result<(), StageError> {
        fs_err::write(dir.join("rollouts.json"), serde_json::to_vec(&self.state)?)?;
        if let Some(reference) = &self.reference {
            save_tensors(&dir.join("reference.safetensors"), reference.parameters())?;
        }
        Ok(())
    }

    fn restore(&mut self, dir: &Path, _step: u64) -> Result<(), StageError> {
        self.state = serde_json::from_slice(&fs_err::read(dir.join("rollouts.json"))?)?;
        if let Some(reference) = &self.reference {
            let saved = load_tensors(&dir.join("reference.safetensors"))?.into_iter().collect();
            copy_into(reference.parameters(), &saved)?;
        }
        Ok(())
    }
}
