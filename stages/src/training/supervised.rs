//! Next-token prediction on rows: the objective of `pretrain`, `sft` and `distill`.
//!
//! The loss is the mean over all counted tokens of the batch, however it is split into micro-batches: every token has
//! the same weight.

use engine::stage::StageError;
use lm::{Model, Tensor, head};

use super::rows::{Order, micro_batches, pack_rows, sizes};
use super::{Counts, HeldOut, Logits, Metrics, Objective, Passes, Tally, Workload};
use crate::artifacts::TokenRows;

/// A model that is trained to predict the tokens of rows.
pub(crate) struct Supervised<'a> {
    pub(crate) model: &'a Model,
    pub(crate) rows: &'a TokenRows,
    pub(crate) order: Order,
    pub(crate) micro_batch_tokens: usize,
    /// Whether the backward pass computes activations again.
    pub(crate) recompute: bool,
    /// Rows to measure now and then.
    pub(crate) held_out: Option<HeldOut>,
}

impl Objective for Supervised<'_> {
    /// Indices of rows.
    type Batch = Vec<usize>;

    fn parameters(&self) -> &[(String, Tensor)] {
        self.model.parameters()
    }

    fn workload(&self) -> Workload<'_> {
        let rows = sizes(self.rows);
        Workload {
            model: self.model,
            passes: Passes {
                largest: self.order.largest_passes(&rows, self.micro_batch_tokens),
                recompute: self.recompute,
                logits: Logits::OfTargets,
                sampling: 0,
                is_bound: false,
                cures: super::CURES,
            },
        }
    }

    fn batch(&mut self, step: u64) -> Result<(Vec<usize>, Counts), StageError> {
        let batch = self.order.batch(step);
        let tokens = batch.iter().map(|index| self.rows.num_targets(*index)).sum::<usize>() as f64;
        let counts = Counts { rows: batch.len() as f64, tokens };
        Ok((batch, counts))
    }

    fn accumulate(&self, batch: &Vec<usize>, whole: Counts) -> Result<Tally, StageError> {
        let lengths: Vec<usize> = batch.iter().map(|index| self.rows.length(*index)).collect();
        let (mut loss, mut hits, mut tokens) = (0.0, 0.0, 0);
        for indices in micro_batches(&lengths, self.micro_batch_tokens) {
            let (rows, starts) = pack_rows(self.rows, &indices.iter().map(|index| batch[*index]).collect::<Vec<_>>())?;
            let predictions = rows.predictions_from(&starts);
            let (positions, targets) = predictions.to_device(self.model.device());
            let pass = self.model.pass(&rows, self.recompute);
            let hidden_nd = pass.hidden().index_select(0, &positions);
            let weight = 1.0 / whole.tokens.max(1.0);
            let (of_pass, right) =
                head::backward_with_hits(self.model, &hidden_nd, &targets, head::CHUNK, |logps, _| {
                    -logps.sum(lm::Kind::Float) * weight
                });
            loss += of_pass;
            hits += right;
            tokens += predictions.targets.len();
            pass.backward();
        }
        let mut tally = Tally::default();
        tally.sum("loss", loss);
        tally.mean("mean_token_accuracy", hits, tokens as f64);
        tally.sum("num_tokens", lengths.iter().sum::<usize>() as f64);
        Ok(tally)
    }

    fn has_held_out(&self) -> bool {
        self.held_out.is_some()
    }

    fn is_measured_after(&self, step: u64) -> bool {
        self.held_out.as_ref().is_some_and(|held_out| held_out.is_due_after(step))
    }

    fn measure(&mut self, _step: u64) -> Result<Option<Metrics>, StageError> {
        self.held_out.as_ref().map(|held_out| held_out.measure(self.model, self.micro_batch_tokens)).transpose()
    }
}
