//! An objective whose model answers held-out prompts now and then.

use std::path::Path;

use engine::stage::{Context, StageError};
use lm::{Model, Tensor};
use text::Chat;

use super::{Counts, HeldOutPrompts, Metrics, Objective, Passes, Tally, Workload};

/// Wraps an objective that knows nothing of prompts.
pub(super) struct Examined<'a, O> {
    pub(super) inner: &'a mut O,
    pub(super) ctx: &'a Context,
    /// The model that the objective trains.
    pub(super) model: &'a Model,
    pub(super) chat: &'a Chat,
    pub(super) held_out: HeldOutPrompts,
}

impl<O: Objective> Objective for Examined<'_, O> {
    type Batch = O::Batch;

    fn parameters(&self) -> &[(String, Tensor)] {
        self.inner.parameters()
    }

    fn workload(&self) -> Workload<'_> {
        let Workload { model, passes } = self.inner.workload();
        let sampling = passes.sampling.max(self.held_out.cache(model));
        Workload { model, passes: Passes { sampling, ..passes } }
    }

    fn batch(&mut self, step: u64) -> Result<(O::Batch, Counts), StageError> {
        self.inner.batch(step)
    }

    fn accumulate(&self, batch: &O::Batch, whole: Counts) -> Result<Tally, StageError> {
        self.inner.accumulate(batch, whole)
    }

    fn check(&mut self, metrics: &Metrics) -> Result<(), StageError> {
        self.inner.check(metrics)
    }

    fn has_held_out(&self) -> bool {
        true
    }

    fn is_measured_after(&self, step: u64) -> bool {
        self.held_out.is_due_after(step)
    }

    fn measure(&mut self, step: u64) -> Result<Option<Metrics>, StageError> {
        let mut metrics = self.inner.measure(step)?.unwrap_or_default();
        metrics.extend(self.held_out.measure(self.ctx, (self.model, self.chat), step)?);
        Ok(Some(metrics))
    }

    fn keep_measured(&mut self) -> Result<(), StageError> {
        self.held_out.keep()
    }

    fn save(&mut self, dir: &Path) -> Result<(), StageError> {
        self.held_out.save(dir)?;
        self.inner.save(dir)
    }

    fn restore(&mut self, dir: &Path, step: u64) -> Result<(), StageError> {
        self.held_out.restore(dir)?;
        self.inner.restore(dir, step)
    }
}
