//! The learning half of a policy: the clipped surrogate and the KL term of a minibatch of rollouts.

use lm::{Kind, Model, Tensor, head, loss, no_grad_guard};

use super::rollout::{MicroBatch, Rollout};
use super::{Aggregate, Params};
use crate::sampling::Agreement;
use crate::training::rows::micro_batches;
use crate::training::{Counts, Tally};

/// Learns from rollouts.
pub(super) struct Learner<'a> {
    params: &'a Params,
    pub(super) model: Model,
    /// The frozen policy of the KL term, if there is one.
    pub(super) reference: Option<Model>,
}

impl<'a> Learner<'a> {
    pub(super) fn new(model: Model, params: &'a Params) -> Self {
        let reference = (params.kl > 0.0).then(|| model.deep_copy());
        Self { params, model, reference }
    }

    /// Copies the current policy to the reference, before every `reference-refresh`-th update.
    pub(super) fn refresh_reference(&self, step: u64) {
        let every = self.params.reference_refresh;
        if let Some(reference) = &self.reference
            && every > 0
            && step > 0
            && step.is_multiple_of(every)
        {
            reference.copy_weights_from(&self.model);
        }
    }

    /// Returns the counts of those rollouts of a minibatch that are in the loss.
    pub(super) fn count(&self, minibatch: &[Rollout]) -> Counts {
        let counted = || minibatch.iter().filter(|rollout| self.is_counted(rollout));
        Counts { rows: counted().count() as f64, tokens: counted().map(num_tokens).sum() }
    }

    fn is_counted(&self, rollout: &Rollout) -> bool {
        rollout.finished || !self.params.mask_truncated
    }

    /// Adds the gradients of a minibatch, and returns its measurements.
    pub(super) fn learn(&self, minibatch: &[Rollout], whole: Counts, is_on_policy: bool) -> Tally {
        let params = self.params;
        let weight = |rollout: &Rollout| match params.aggregate {
            Aggregate::Token => 1.0 / whole.tokens,
            Aggregate::Sequence => 1.0 / (whole.rows * num_tokens(rollout)),
            Aggregate::Constant => 1.0 / (whole.rows * params.max_tokens as f64),
        };
        // An advantage is exactly 0 only in groups of equal rewards. They have no gradient, so they are skipped.
        let learnt: Vec<&Rollout> =
            minibatch.iter().filter(|rollout| self.is_counted(rollout) && rollout.advantage != 0.0).collect();
        let lengths: Vec<usize> =
            learnt.iter().map(|rollout| rollout.prompt_ids.len() + rollout.completion_ids.len()).collect();
        let mut sums = Sums::default();
        for indices in micro_batches(&lengths, params.micro_batch_tokens) {
            let chosen: Vec<&Rollout> = indices.iter().map(|index| learnt[*index]).collect();
            let batch = MicroBatch::pack(&chosen, weight, self.model.device());
            self.backward(&batch, is_on_policy, &mut sums);
        }
        sums.into_tally(is_on_policy, params)
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

    fn into_tally(self, is_on_policy: bool, params: &Params) -> Tally {
        let mut tally = Tally::default();
        tally.sum("loss", self.loss);
        // The mean of -log p over sampled tokens is an unbiased estimate of the entropy.
        tally.mean("entropy", -self.logps, self.tokens);
        tally.mean("clip_ratio/region_mean", self.clipped, self.tokens);
        if params.kl > 0.0 {
            tally.mean("kl", self.kl, self.tokens);
        }
        if is_on_policy {
            self.agreement.measure(&mut tally);
        }
        tally
    }
}

fn num_tokens(rollout: &Rollout) -> f64 {
    rollout.completion_ids.len() as f64
}
