//! The learning half of a policy: the gradients of the objective on a minibatch of rollouts, and the reference policy.

use lm::{Kind, Model, Tensor, head, no_grad_guard};

use super::Params;
use super::objective::{Given, RatioOf};
use super::rollout::{MicroBatch, Rollout};
use crate::sampling::Agreement;
use crate::training::rows::micro_batches_of_groups;
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
        let reference = (params.objective.kl > 0.0).then(|| model.deep_copy());
        Self { params, model, reference }
    }

    /// Copies the current policy to the reference, before every `reference-refresh`-th update.
    pub(super) fn refresh_reference(&self, step: u64) {
        let every = self.params.objective.reference_refresh;
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
        rollout.finished || !self.params.objective.mask_truncated
    }

    /// Sets the KL estimate of each rollout, summed over its tokens, where it is part of the reward.
    pub(super) fn estimate_kl(&self, rollouts: &mut [Rollout], temperature: f64) {
        let Some(reference) = self.reference.as_ref().filter(|_| self.params.objective.has_kl_in_reward()) else {
            return;
        };
        for indices in self.micro_batches(&rollouts.iter().collect::<Vec<_>>()) {
            let chosen: Vec<&Rollout> = indices.iter().map(|index| &rollouts[*index]).collect();
            let batch = MicroBatch::pack(&chosen, |_| 1.0, self.model.device());
            let kl = self.params.objective.kl_of(&batch.old_logps, &logps_of(reference, &batch, temperature));
            let sums: Vec<f64> = batch.each(&kl).iter().map(|kl| kl.sum(Kind::Double).double_value(&[])).collect();
            for (index, sum) in indices.into_iter().zip(sums) {
                rollouts[index].kl = Some(sum);
            }
        }
    }

    /// Adds the gradients of a minibatch that was sampled after `sampled_at` updates, and returns its measurements.
    pub(super) fn learn(&self, minibatch: &[Rollout], whole: Counts, (sampled_at, is_on_policy): (u64, bool)) -> Tally {
        let (params, objective) = (self.params, &self.params.objective);
        let update = Update { whole, temperature: params.temperature.at(sampled_at), is_on_policy };
        let max_tokens = params.max_tokens.at(sampled_at);
        let weight = |rollout: &Rollout| objective.weight(num_tokens(rollout), whole, max_tokens);
        let groups = minibatch.chunks(params.group_size).filter(|group| objective.learns_from(group));
        let learnt: Vec<&Rollout> = groups.flatten().filter(|rollout| self.is_counted(rollout)).collect();
        let mut sums = Sums::default();
        for indices in self.micro_batches(&learnt) {
            let chosen: Vec<&Rollout> = indices.iter().map(|index| learnt[*index]).collect();
            let batch = MicroBatch::pack(&chosen, weight, self.model.device());
            self.backward(&batch, update, &mut sums);
        }
        let mut tally = sums.into_tally(is_on_policy, objective.has_kl_in_loss());
        if objective.has_kl_in_reward() {
            let kl = minibatch.iter().filter_map(|rollout| rollout.kl).sum();
            tally.mean("kl", kl, minibatch.iter().map(num_tokens).sum());
        }
        tally
    }

    fn backward(&self, batch: &MicroBatch, update: Update, sums: &mut Sums) {
        let (keys, Update { whole, temperature, is_on_policy }) = (&self.params.objective, update);
        let reference = self.reference.as_ref().filter(|_| keys.has_kl_in_loss());
        let reference_logps = reference.map(|reference| logps_of(reference, batch, temperature));
        let pass = self.model.pass(&batch.rows, self.params.optimisation.gradient_checkpointing);
        let hidden_nd = pass.hidden().index_select(0, &batch.positions);
        // On policy, the ratio is 1 by definition; rounding in the sampler must not change that.
        let mean_log_ratio = (keys.ratio == RatioOf::Sequence && !is_on_policy).then(|| {
            let logps = head::logprobs(&self.model, &hidden_nd.detach(), &batch.targets, temperature, head::CHUNK);
            batch.mean_of_each(&(logps - &batch.old_logps))
        });
        let mut of_chunk = |logps: &Tensor, entropies: Option<&Tensor>, chunk: &head::Chunk| {
            let (sampled, detached) = (chunk.of(&batch.old_logps), logps.detach());
            sums.add(&detached, &sampled);
            let found = keys.loss(
                logps,
                &Given {
                    old: if is_on_policy { &detached } else { &sampled },
                    mean_log_ratio: mean_log_ratio.as_ref().map(|mean| chunk.of(mean)).as_ref(),
                    reference: reference_logps.as_ref().map(|logps| chunk.of(logps)).as_ref(),
                    advantages: &chunk.of(&batch.advantages),
                    weights: &chunk.of(&batch.weights),
                    entropies: entropies.map(|entropies| (entropies, 1.0 / whole.tokens)),
                },
            );
            sums.kl += found.kl;
            sums.clipped += found.clipped;
            if let Some(entropies) = entropies {
                sums.entropy += entropies.sum(Kind::Double).double_value(&[]);
            }
            found.loss
        };
        let targets = &batch.targets;
        let loss = if keys.entropy_bonus > 0.0 {
            let chunk = head::DISTRIBUTIONS_CHUNK;
            let mut of_chunk =
                |logps: &Tensor, entropies: &Tensor, chunk: &head::Chunk| of_chunk(logps, Some(entropies), chunk);
            head::backward_with_entropies(&self.model, &hidden_nd, targets, temperature, chunk, &mut of_chunk)
        } else {
            let of_chunk = |logps: &Tensor, chunk: &head::Chunk| of_chunk(logps, None, chunk);
            head::backward(&self.model, &hidden_nd, targets, temperature, head::CHUNK, of_chunk)
        };
        sums.loss += loss;
        pass.backward();
    }

    fn micro_batches(&self, rollouts: &[&Rollout]) -> Vec<Vec<usize>> {
        let lengths: Vec<usize> = rollouts.iter().map(|rollout| rollout.num_tokens()).collect();
        let groups: Vec<usize> = rollouts.iter().map(|rollout| rollout.question).collect();
        micro_batches_of_groups(&lengths, &groups, self.params.micro_batch_tokens)
    }
}

/// Returns the log-probs of a model that is not trained.
fn logps_of(model: &Model, batch: &MicroBatch, temperature: f64) -> Tensor {
    let _guard = no_grad_guard();
    let hidden_nd = model.hidden(&batch.rows).index_select(0, &batch.positions);
    head::logprobs(model, &hidden_nd, &batch.targets, temperature, head::CHUNK)
}

/// What the micro-batches of an update share.
#[derive(Clone, Copy)]
struct Update {
    whole: Counts,
    temperature: f64,
    is_on_policy: bool,
}

/// Sums over the tokens of a minibatch.
#[derive(Default)]
struct Sums {
    loss: f64,
    tokens: f64,
    logps: f64,
    /// Of whole distributions, where they are held.
    entropy: f64,
    kl: f64,
    clipped: f64,
    agreement: Agreement,
}

impl Sums {
    fn add(&mut self, logps: &Tensor, sampled: &Tensor) {
        let _guard = no_grad_guard();
        self.tokens += logps.size()[0] as f64;
        self.logps += logps.sum(Kind::Double).double_value(&[]);
        self.agreement.add(logps, sampled);
    }

    fn into_tally(self, is_on_policy: bool, has_kl: bool) -> Tally {
        let mut tally = Tally::default();
        tally.sum("loss", self.loss);
        // The mean of -log p over sampled tokens is an unbiased estimate of the entropy.
        let entropy = if self.entropy > 0.0 { self.entropy } else { -self.logps };
        tally.mean("entropy", entropy, self.tokens);
        tally.mean("clip_ratio/region_mean", self.clipped, self.tokens);
        if has_kl {
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
