//! The keys of optimisation that all trainers share.

use engine::stage::StageError;
use lm::{AdamWOptions, Decay, Schedule, Tensor};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::artifacts::Dtype;
use crate::limits;

/// The shape of the learning rate over the steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ScheduleShape {
    /// `lr` at every step after the warm-up.
    Constant,
    /// Half a cosine from `lr` to `min-lr-ratio` of it at `decay-steps`, then flat.
    Cosine,
    /// A straight line from `lr` to `min-lr-ratio` of it at `decay-steps`, then flat.
    Linear,
    /// Warm-up, stable, decay: `lr` for `stable-steps` after the warm-up, then a straight line to `min-lr-ratio` × `lr`
    /// at `decay-steps`, then flat.
    Wsd,
}

/// Learning-rate schedule, AdamW, clipping, and options of the model in training.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case")]
pub struct Optimisation {
    /// Steps over which the learning rate rises from 0 to `lr`.
    #[schemars(range(max = limits::STEPS))]
    pub warmup_steps: u64,
    /// Learning rate after the warm-up. `constant`: `lr`. `cosine`, `linear`: decays from `lr` to `min-lr-ratio` × `lr`
    /// at `decay-steps`. `wsd`: `lr` for `stable-steps`, then a linear decay until `decay-steps`. R1's SFT: cosine.
    pub schedule: ScheduleShape,
    /// Step at which the decay ends; needed by `cosine`, `linear` and `wsd`. It is separate from `steps`, because
    /// raising `steps` later must not change the learning rate of finished steps. Absent: the end of `epochs`, if
    /// `steps` is absent too.
    #[schemars(range(max = limits::STEPS))]
    pub decay_steps: Option<u64>,
    /// Steps at the full `lr` between warm-up and decay. The decay begins at `warmup-steps` + `stable-steps`; commonly
    /// it takes the last tenth of the steps.
    #[schemars(range(max = limits::STEPS), extend("x-when" = { "schedule": ["wsd"] }, "x-required" = true))]
    pub stable_steps: Option<u64>,
    /// Learning rate at the schedule's end, as a share of `lr`. R1: 0.1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub min_lr_ratio: f64,
    /// AdamW's decay rates of the first and second moment.
    pub betas: [f64; 2],
    /// AdamW's epsilon.
    pub eps: f64,
    /// Decoupled weight decay, of matrices only.
    #[schemars(range(min = 0.0))]
    pub weight_decay: f64,
    /// Gradients with a greater norm are scaled down to this norm.
    #[schemars(range(min = 0.0))]
    pub max_grad_norm: f64,
    /// Element type of weights and activations, and of the output model. Absent: the one that the model's `config.json`
    /// names; float32 for a new model.
    pub dtype: Option<Dtype>,
    /// Parameters that are not trained, by whole parts at the beginning of their names: `["model.embed_tokens",
    /// "model.layers.0"]`. They need no memory for gradients and moments.
    pub freeze: Vec<String>,
    /// Recomputes activations in the backward pass, layer by layer. It saves memory, keeping one vector for each token
    /// and layer, and costs a third more compute. The result is the same.
    #[schemars(extend("x-role" = "neutral"))]
    pub gradient_checkpointing: bool,
}

impl Default for Optimisation {
    fn default() -> Self {
        Self {
            warmup_steps: 0,
            schedule: ScheduleShape::Constant,
            decay_steps: None,
            stable_steps: None,
            min_lr_ratio: 0.1,
            betas: [0.9, 0.95],
            eps: 1e-8,
            weight_decay: 0.0,
            max_grad_norm: 1.0,
            dtype: None,
            freeze: Vec::new(),
            gradient_checkpointing: false,
        }
    }
}

impl Optimisation {
    /// Returns the schedule with peak `lr`.
    pub fn schedule(&self, lr: f64) -> Result<Schedule, StageError> {
        let decay = match self.schedule {
            ScheduleShape::Constant => Decay::Constant,
            ScheduleShape::Cosine => Decay::Cosine,
            ScheduleShape::Linear | ScheduleShape::Wsd => Decay::Linear,
        };
        if decay != Decay::Constant && self.decay_steps.is_none() {
            return Err(StageError::new("`schedule` ends somewhere, but `decay-steps` does not say where")
                .with_help("set `decay-steps`, usually to the value of `steps`"));
        }
        let stable_steps = self.stable()?;
        Ok(Schedule {
            peak: lr,
            decay,
            warmup_steps: self.warmup_steps,
            stable_steps,
            decay_steps: self.decay_steps.unwrap_or(0),
            min_ratio: self.min_lr_ratio,
        })
    }

    /// Returns the steps between warm-up and decay.
    fn stable(&self) -> Result<u64, StageError> {
        let stable = match (self.schedule, self.stable_steps) {
            (ScheduleShape::Wsd, Some(stable)) => stable,
            (ScheduleShape::Wsd, None) => {
                return Err(StageError::new(
                    "`schedule` is `wsd`, but `stable-steps` does not say when its decay begins",
                )
                .with_help("set `stable-steps`, usually to nine tenths of `decay-steps`"));
            }
            (_, None) => return Ok(0),
            (_, Some(_)) => {
                return Err(StageError::new("`stable-steps` has no use for this `schedule`")
                    .with_help("it is for `schedule = \"wsd\"`"));
            }
        };
        let (start, end) = (self.warmup_steps.saturating_add(stable), self.decay_steps.unwrap_or(0));
        if start > end {
            let message = format!("the decay of `wsd` begins at step {start}, after its end at {end}");
            return Err(StageError::new(message).with_help("lower `stable-steps` or raise `decay-steps`"));
        }
        Ok(stable)
    }

    /// Returns the number of steps, which is `given` or else `counted` (from `epochs`), with the options to train with.
    /// In the latter case `counted` is also the default of `decay-steps`. A given number is not, because it may be
    /// raised later.
    pub fn over(&self, given: Option<u64>, counted: u64) -> (u64, Self) {
        let mut all = self.clone();
        if given.is_none() {
            all.decay_steps.get_or_insert(counted);
        }
        (given.unwrap_or(counted), all)
    }

    /// Freezes the parameters that `freeze` names, and returns the others.
    pub fn trained(&self, parameters: &[(String, Tensor)]) -> Result<Vec<(String, Tensor)>, StageError> {
        let is_below = |name: &str, part: &str| {
            name.strip_prefix(part).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        if let Some(part) = self.freeze.iter().find(|part| !parameters.iter().any(|(name, _)| is_below(name, part))) {
            let known = parameters.first().map_or("nothing", |(name, _)| name);
            return Err(StageError::new(format!("`freeze` names `{part}`, which no parameter begins with"))
                .with_help(format!("it ends where a word of the name ends; the first parameter is `{known}`")));
        }
        let is_frozen = |name: &str| self.freeze.iter().any(|part| is_below(name, part));
        let (frozen, trained): (Vec<_>, Vec<_>) = parameters.iter().partition(|(name, _)| is_frozen(name));
        if trained.is_empty() {
            return Err(StageError::new("`freeze` names every parameter: there is nothing to train"));
        }
        for (_, parameter) in frozen {
            let _ = parameter.set_requires_grad(false);
        }
        Ok(trained.into_iter().map(|(name, parameter)| (name.clone(), parameter.shallow_clone())).collect())
    }

    /// Refuses values that AdamW cannot compute with.
    pub fn check_numbers(&self) -> Result<(), StageError> {
        if let Some(beta) = self.betas.iter().find(|beta| !(0.0..1.0).contains(*beta)) {
            return Err(StageError::new(format!("`betas` has {beta}, expected numbers from 0 up and below 1")));
        }
        if self.eps < 0.0 || !self.eps.is_finite() {
            return Err(StageError::new(format!("`eps` is {}, expected a number from 0 up", self.eps)));
        }
        Ok(())
    }

    /// Returns AdamW's options.
    pub fn adamw(&self) -> AdamWOptions {
        let [beta1, beta2] = self.betas;
        AdamWOptions { beta1, beta2, eps: self.eps, weight_decay: self.weight_decay }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_must_know_its_end() {
        let cosine = Optimisation { schedule: ScheduleShape::Cosine, ..Optimisation::default() };
        assert!(cosine.schedule(1.0).unwrap_err().message.contains("decay-steps"));
        assert_eq!(cosine.over(Some(20), 10).1.decay_steps, None, "20 may become 40, which must not bend the past");
        let (steps, counted) = cosine.over(None, 10);
        assert_eq!(steps, 10);
        let schedule = counted.schedule(1.0).unwrap();
        assert!((schedule.lr(10) - 0.1).abs() < 1e-12);
        let wsd = |stable_steps, decay_steps| Optimisation {
            schedule: ScheduleShape::Wsd,
            warmup_steps: 2,
            stable_steps,
            decay_steps,
            ..Optimisation::default()
        };
        let schedule = wsd(Some(7), Some(10)).schedule(1.0).unwrap();
        assert!((schedule.lr(9) - 1.0).abs() < 1e-12 && (schedule.lr(10) - 0.1).abs() < 1e-12);
        for (optimisation, message) in [
            (wsd(Some(7), None), "`decay-steps` does not say where"),
            (wsd(None, Some(10)), "`stable-steps` does not say when"),
            (wsd(Some(9), Some(10)), "begins at step 11, after its end at 10"),
            (Optimisation { schedule: ScheduleShape::Linear, ..wsd(Some(7), Some(10)) }, "no use"),
        ] {
            assert!(optimisation.schedule(1.0).unwrap_err().message.contains(message), "{message}");
        }
        assert!((Optimisation::default().schedule(0.5).unwrap().lr(1_000) - 0.5).abs() < 1e-12);
    }
}
