//! Next-token prediction on rows: the objective of `pretrain`, `sft` and `distill`.
//!
//! The loss is the mean over all counted tokens of the batch, however it is split into micro-batches: every token has
//! the same weight.

use engine::stage::StageError;
use lm::{Model, Tensor, head};

use super::rows::{Order, micro_batches, pack_rows};
use super::{Counts, Objective, Tally, Workload};
use crate::artifacts::TokenRows;

/// A model that is trained to predict the tokens of rows.
pub(crate) struct Supervised<'a> {
    pub(crate) model: &'a Model,
    pub(crate) rows: &'a TokenRows,
    pub(crate) order: Order,
    pub(crate) micro_batch_tokens: usize,
    /// Whether the backward pass computes activations again.
    pub(crate) recompute: bool,
}

impl Objective for Supervised<'_> {
    /// Indices of rows.
    type Batch = Vec<usize>;

    fn parameters(&self) -> &[(String, Tensor)] {
        self.model.parameters()
    }

    fn workload(&self) -> Workload<'_> {
        let lengths = self.rows.lengths();
        Workload {
            model: self.model,
            tokens: self.order.largest_pass(lengths, self.micro_batch_tokens),
            recompute: self.recompute,
            logits: (head::CHUNK, 2),
            sampling: 0,
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
        let mut loss = 0.0;
        for indices in micro_batches(&lengths, self.micro_batch_tokens) {
            let (rows, starts) = pack_rows(self.rows, &indices.iter().map(|index| batch[*index]).collect::<Vec<_>>())?;
            let predictions = rows.predictions_from(&starts);
            let (positions, targets) = predictions.to_device(self.model.device());
            let pass = self.model.pass(&rows, self.recompute);
            let hidden_nd = pass.hidden().index_select(0, &positions);
            let weight = 1.0 / whole.tokens.max(1.0);
            loss += head::backward(self.model, &hidden_nd, &targets, 1.0, head::CHUNK, |logps, _| {
                -logps.sum(lm::Kind::Float) * weight
            });
            pass.backward();
        }
        let mut tally = Tally::default();
        tally.sum("loss", loss);
        tally.sum("num_tokens", lengths.iter().sum::<usize>() as f64);
        Ok(tally)
    }
}
