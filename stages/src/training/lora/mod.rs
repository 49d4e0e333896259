//! LoRA (Hu et al. 2021, section 4.1): W = W0 + s B A, where only A and B are trained. s is alpha / rank, or alpha /
//! √rank (Kalajdzievski 2023, rsLoRA).
//!
//! The model always holds the merged W, so the forward pass, sampling and the loss do not depend on adapters, and
//! sampling is as fast as without them. The backward pass computes the adapters' gradients by the chain rule: dB = s dW
//! Aᵀ and dA = s Bᵀ dW. dW = dYᵀ X is never formed, because dYᵀ (X Aᵀ) is a cheaper, low-rank matmul. All other
//! parameters get no gradient, apart from those of `modules-to-save`.
//!
//! `adapters.rs` has the adapters of a model, `peft.rs` the folder that PEFT reads.

mod adapters;
mod peft;

use std::path::Path;

use engine::stage::{StageError, refusals};
use lm::Tensor;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Counts, Metrics, Objective, Optimisation, Tally, Workload};
use crate::limits;
pub use adapters::Adapters;

/// LoRA adapters, trained instead of all weights.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case")]
pub struct Lora {
    /// Rank of the adapters.
    #[schemars(range(min = 1, max = limits::RANK))]
    pub rank: i64,
    /// Strength of the adapters: what they add to the weights is multiplied by `alpha` / `rank`.
    #[schemars(range(min = 0.0))]
    pub alpha: f64,
    /// Matrices to adapt, by the last part of their names, for example `["q_proj", "v_proj"]`; `embed_tokens` and
    /// `lm_head` are possible, too. Absent: all projections of attention and MLP.
    pub targets: Option<Vec<String>>,
    /// Modules that are trained whole beside the adapters, by the last part of their names, for example
    /// `["embed_tokens", "lm_head"]` or `["norm"]`.
    #[schemars(extend("x-omit-default" = true))]
    pub modules_to_save: Vec<String>,
    /// Share of an adapter's inputs that are dropped, anew in each pass. It is drawn from `seed` and the number of the
    /// update.
    #[schemars(range(min = 0.0, max = 0.99), extend("x-omit-default" = true))]
    pub dropout: f64,
    /// Multiplies by `alpha` / √`rank` instead (rsLoRA), so that a higher rank does not weaken the adapters.
    #[schemars(extend("x-omit-default" = true))]
    pub rslora: bool,
}

impl Default for Lora {
    fn default() -> Self {
        Self { rank: 8, alpha: 16.0, targets: None, modules_to_save: Vec::new(), dropout: 0.0, rslora: false }
    }
}

impl Lora {
    /// Returns the factor of what adapters add to the weights.
    fn scale(&self) -> f64 {
        let rank = self.rank as f64;
        self.alpha / if self.rslora { rank.sqrt() } else { rank }
    }
}

/// Returns what is wrong with keys: numbers that AdamW cannot compute with, keys that contradict each other.
pub fn check_keys(optimisation: &Optimisation, lora: Option<&Lora>) -> Vec<StageError> {
    let lora = lora.map_or(Ok(()), |lora| check_lora(optimisation, lora));
    refusals([optimisation.schedule(0.0).map(|_| ()), optimisation.check_numbers(), lora])
}

fn check_lora(optimisation: &Optimisation, lora: &Lora) -> Result<(), StageError> {
    if !optimisation.freeze.is_empty() {
        return Err(StageError::new("`freeze` beside `lora`: all weights that are not adapted are frozen anyway")
            .with_help("`lora.targets` says which matrices are adapted"));
    }
    let targets = lora.targets.as_deref();
    if targets.is_some_and(<[String]>::is_empty) && lora.modules_to_save.is_empty() {
        return Err(StageError::new("`lora.targets` is empty: there is nothing to train"));
    }
    if let Some(both) = targets.unwrap_or_default().iter().find(|name| lora.modules_to_save.contains(name)) {
        let message = format!("`lora.targets` and `lora.modules-to-save` both name `{both}`");
        return Err(StageError::new(message).with_help("a module is adapted, or trained whole"));
    }
    Ok(())
}

/// An objective whose trained parameters are the adapters.
pub(super) struct Adapted<'a, O> {
    pub(super) inner: &'a mut O,
    pub(super) adapters: Adapters,
    /// Seed of dropout.
    pub(super) seed: u64,
}

impl<O: Objective> Objective for Adapted<'_, O> {
    type Batch = O::Batch;

    fn parameters(&self) -> &[(String, Tensor)] {
        self.adapters.parameters()
    }

    fn leaves(&self) -> Vec<&Tensor> {
        // A gradient that reaches the model's own weights is passed on to the adapters at once.
        self.parameters().iter().map(|(_, parameter)| parameter).collect()
    }

    fn workload(&self) -> Workload<'_> {
        self.inner.workload()
    }

    fn batch(&mut self, step: u64) -> Result<(O::Batch, Counts), StageError> {
        self.adapters.merge();
        self.inner.workload().model.passes().set(first_pass(self.seed, step));
        self.inner.batch(step)
    }

    fn accumulate(&self, batch: &O::Batch, whole: Counts) -> Result<Tally, StageError> {
        self.inner.accumulate(batch, whole)
    }

    fn check(&mut self, metrics: &Metrics) -> Result<(), StageError> {
        self.inner.check(metrics)
    }

    fn has_held_out(&self) -> bool {
        self.inner.has_held_out()
    }

    fn is_measured_after(&self, step: u64) -> bool {
        self.inner.is_measured_after(step)
    }

    fn measure(&mut self, step: u64) -> Result<Option<Metrics>, StageError> {
        self.adapters.merge();
        self.inner.measure(step)
    }

    fn keep_measured(&mut self) -> Result<(), StageError> {
        self.inner.keep_measured()
    }

    fn save(&mut self, dir: &Path) -> Result<(), StageError> {
        self.inner.save(dir)
    }

    fn restore(&mut self, dir: &Path, step: u64) -> Result<(), StageError> {
        self.inner.restore(dir, step)
    }
}

/// Returns the number before the first pass of an update, from which dropout is drawn: far from those of other updates.
fn first_pass(seed: u64, step: u64) -> i64 {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(step);
    rng.next_u64().cast_signed()
}

#[cfg(test)]
mod tests;
