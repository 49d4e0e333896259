//! Next-token prediction on rows: the objective of `pretrain`, `sft` and `distill`.
//!
//! The loss is the mean over all counted tokens of the batch, however it is split into micro-batches: every token has
//! the same weight.

use engine::stage::StageError;
use lm::{Model, Tensor, head};

use super::rows::{Order, micro_batches, pack};
use super::{Metrics, Objective, Workload};
use crate::artifacts::TokenRow;

/// A model that is trained to predict the tokens of rows.
pub(crate) struct Supervised<'a> {
    pub(crate) model: &'a Model,
    pub(crate) rows: &'a [TokenRow],
    pub(crate) order: Order,
    pub(crate) micro_batch_tokens: usize,
    /// Whether the backward pass computes activations again.
    pub(crate) recompute: bool,
}

impl Objective for Supervised<'_> {
    fn parameters(&self) -> &[(String, Tensor)] {
        self.model.parameters()
    }

    fn workload(&self) -> Workload<'_> {
        let lengths = self.rows.iter().map(|row| row.ids.len());
        Workload {
            model: self.model,
            tokens: self.order.largest_pass(lengths, self.micro_batch_tokens),
            recompute: self.recompute,
            logits: (head::CHUNK, 2),
            sampling: 0,
        }
    }

    fn accumulate(&mut self, step: u64) -> Result<Metrics, StageError> {
        let batch: Vec<&TokenRow> = self.order.batch(step).into_iter().map(|index| &self.rows[index]).collect();
        let num_targets: usize = batch.iter().map(|row| row.num_targets()).sum();
        let lengths: Vec<usize> = batch.iter().map(|row| row.ids.len()).collect();
        let mut loss = 0.0;
        for indices in micro_batches(&lengths, self.micro_batch_tokens) {
            let (rows, starts) = pack(indices.iter().map(|index| batch[*index]));
            let predictions = rows.predictions_from(&starts);
            let (positions, targets) = predictions.to_device(self.model.device());
            let pass = self.model.pass(&rows, self.recompute);
            let hidden_nd = pass.hidden().index_select(0, &positions);
            let weight = 1.0 / num_targets.max(1) as f64;
            loss += head::backward(self.model, &hidden_nd, &targets, 1.0, head::CHUNK, |logps, _| {
                -logps.sum(lm::Kind::Float) * weight
            });
            pass.backward();
        }
        let num_tokens: usize = lengths.iter().sum();
        Ok(Metrics::from([("loss".to_owned(), loss), ("num_tokens".to_owned(), num_tokens as f64)]))
    }
}
