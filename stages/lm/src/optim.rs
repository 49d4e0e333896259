//! AdamW with decoupled weight decay (Loshchilov and Hutter 2019, algorithm 2), gradient clipping, schedules.
//!
//! The state consists of plain tensors, so that a checkpoint restores it bit for bit. Parameters below single precision
//! are updated through a master copy in single precision, which is part of the state.

use std::collections::BTreeMap;

use tch::{Kind, Tensor};

use crate::dropout::Dropout;
use crate::shim::{self, torch};

/// Why the optimiser cannot continue.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The state belongs to other parameters.
    #[error("the optimiser's state does not fit the model: {0}")]
    State(String),
    /// libtorch refused.
    #[error(transparent)]
    Torch(#[from] shim::Error),
}

/// The constants of AdamW.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamWOptions {
    /// Decay of the running mean of gradients.
    pub beta1: f64,
    /// Decay of the running mean of their squares.
    pub beta2: f64,
    /// Added to the root of the mean of squares.
    pub eps: f64,
    /// Each step subtracts this share of a matrix, times the learning rate. Norms and biases do not decay.
    pub weight_decay: f64,
}

impl Default for AdamWOptions {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.0 }
    }
}

/// AdamW over a model's parameters.
pub struct AdamW {
    options: AdamWOptions,
    slots: Vec<Slot>,
    step: Tensor,
}

struct Slot {
    name: String,
    param: Tensor,
    // A copy in single precision, if the parameter has another type.
    master: Option<Tensor>,
    exp_avg: Tensor,
    exp_avg_sq: Tensor,
}

impl Slot {
    /// Returns the gradient in single precision; zeros if the parameter has none.
    fn gradient(&self) -> Tensor {
        let grad = self.param.grad();
        if grad.defined() { grad.to_kind(Kind::Float) } else { self.exp_avg.zeros_like() }
    }

    fn named(&self) -> impl Iterator<Item = (String, &Tensor)> {
        let all = [
            ("exp_avg", Some(&self.exp_avg)),
            ("exp_avg_sq", Some(&self.exp_avg_sq)),
            ("master", self.master.as_ref()),
        ];
        all.into_iter().filter_map(|(kind, tensor)| Some((format!("{kind}.{}", self.name), tensor?)))
    }
}

impl AdamW {
    /// Starts with zero moments for these parameters.
    pub fn new(params: &[(String, Tensor)], options: AdamWOptions) -> Self {
        let slot = |(name, param): &(String, Tensor)| {
            let value = param.detach();
            let zeros = || Tensor::zeros(value.size(), (Kind::Float, value.device()));
            let master = (value.kind() != Kind::Float).then(|| value.to_kind(Kind::Float));
            Slot { name: name.clone(), param: param.shallow_clone(), master, exp_avg: zeros(), exp_avg_sq: zeros() }
        };
        let device = params.first().map_or(tch::Device::Cpu, |(_, param)| param.device());
        Self { options, slots: params.iter().map(slot).collect(), step: Tensor::zeros([], (Kind::Float, device)) }
    }

    /// Takes one step at learning rate `lr` with the parameters' gradients.
    ///
    /// A parameter without a gradient, like an expert that no token chose, has gradient 0 and follows its momentum.
    /// transformers 5 does the same, because there the experts of a layer are one tensor.
    pub fn step(&mut self, lr: f64) -> Result<(), Error> {
        let _guard = tch::no_grad_guard();
        let _ = self.step.g_add_scalar_(1.0);
        for decays in [true, false] {
            let chosen: Vec<(&Slot, Tensor)> = self
                .slots
                .iter()
                .filter(|slot| (slot.param.dim() >= 2) == decays)
                .map(|slot| (slot, slot.gradient()))
                .collect();
            if chosen.is_empty() {
                continue;
            }
            torch::fused_adamw(&torch::AdamWStep {
                params: &chosen.iter().map(|(slot, _)| slot.master.as_ref().unwrap_or(&slot.param)).collect::<Vec<_>>(),
                grads: &chosen.iter().map(|(_, grad)| grad).collect::<Vec<_>>(),
                exp_avgs: &chosen.iter().map(|(slot, _)| &slot.exp_avg).collect::<Vec<_>>(),
                exp_avg_sqs: &chosen.iter().map(|(slot, _)| &slot.exp_avg_sq).collect::<Vec<_>>(),
                step: &self.step,
                lr,
                beta1: self.options.beta1,
                beta2: self.options.beta2,
                weight_decay: if decays { self.options.weight_decay } else { 0.0 },
                eps: self.options.eps,
            })?;
            for (slot, _) in &chosen {
                if let Some(master) = &slot.master {
                    slot.param.shallow_clone().copy_(master);
                }
            }
        }
        Ok(())
    }

    /// Number of steps taken.
    pub fn num_steps(&self) -> u64 {
        self.step.double_value(&[]) as u64
    }

    /// Returns the whole state by name, for [`crate::checkpoint::save_tensors`]. The tensors are not copies.
    pub fn state(&self) -> Vec<(String, Tensor)> {
        let mut state: Vec<(String, Tensor)> = vec![("step".to_owned(), self.step.shallow_clone())];
        let slots = self.slots.iter().flat_map(Slot::named);
        state.extend(slots.map(|(name, tensor)| (name, tensor.shallow_clone())));
        state
    }

    /// Restores a state that [`AdamW::state`] returned for the same parameters.
    pub fn restore(&mut self, state: &[(String, Tensor)]) -> Result<(), Error> {
        let _guard = tch::no_grad_guard();
        let own = self.state();
        let given: BTreeMap<&str, &Tensor> = state.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
        // Everything is checked before anything is overwritten.
        for (name, tensor) in &own {
            let from = given.get(name.as_str()).ok_or_else(|| Error::State(format!("`{name}` is missing")))?;
            if from.size() != tensor.size() {
                let reason = format!("`{name}` has shape {:?}, expected {:?}", from.size(), tensor.size());
                return Err(Error::State(reason));
            }
        }
        if let Some(name) = given.keys().find(|name| own.iter().all(|(own, _)| own != *name)) {
            return Err(Error::State(format!("`{name}` is unknown")));
        }
        for (name, mut tensor) in own {
            tensor.copy_(given[name.as_str()]);
        }
        Ok(())
    }
}

/// Scales all gradients so that their joint Euclidean norm is at most `max`, and returns the norm before.
///
/// If the norm is infinite or NaN, it is returned and the gradients stay unchanged; the caller decides.
pub fn clip_grad_norm(params: &[(String, Tensor)], max: f64) -> Result<f64, Error> {
    let grads: Vec<Tensor> = params.iter().map(|(_, param)| param.grad()).filter(Tensor::defined).collect();
    if grads.is_empty() {
        return Ok(0.0);
    }
    let grads: Vec<&Tensor> = grads.iter().collect();
    let norm = torch::norm(&grads)?;
    if norm.is_finite() && norm > max {
        torch::scale(&grads, max / (norm + 1e-6))?;
    }
    Ok(norm)
}

/// Drops all gradients.
pub fn zero_grad(params: &[(String, Tensor)]) -> Result<(), shim::Error> {
    torch::drop_grads(&params.iter().map(|(_, param)| param).collect::<Vec<_>>())
}

/// Makes `weight`, [o, i], a LoRA-adapted weight W0 + `scale` b a (Hu et al. 2021, section 4.1). From now on its
/// gradient goes to the leaves `a`, [r, i], and `b`, [o, r], in single precision, and `weight` has no gradient itself.
/// With `dropout`, each of our layers with this weight computes W0 x + `scale` b a (m ⊙ x), wherever gradients are on.
pub fn adapt(weight: &Tensor, a: &Tensor, b: &Tensor, scale: f64, dropout: &Dropout) -> Result<(), shim::Error> {
    torch::adapt(weight, a, b, scale, dropout)
}

/// A learning-rate schedule.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    /// The highest learning rate.
    pub peak: f64,
    /// The decay after the warm-up and the stable steps.
    pub decay: Decay,
    /// Steps over which the rate rises linearly to its peak; step 0 has `1 / warmup_steps` of the peak.
    pub warmup_steps: u64,
    /// Steps at the peak between warm-up and decay. With a linear decay, this is the WSD schedule (warm-up, stable,
    /// decay; Hu et al. 2024, MiniCPM, section 4; departure: a linear decay, where the paper has an exponential one).
    pub stable_steps: u64,
    /// The step at which the decay ends.
    pub decay_steps: u64,
    /// The rate from `decay_steps` on, as a share of the peak.
    pub min_ratio: f64,
}

/// The decay of a learning rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decay {
    /// None.
    Constant,
    /// Half a cosine wave.
    Cosine,
    /// A straight line.
    Linear,
}

impl Schedule {
    /// The learning rate of a step, counted from 0.
    pub fn lr(&self, step: u64) -> f64 {
        if step < self.warmup_steps {
            return self.peak * (step + 1) as f64 / self.warmup_steps as f64;
        }
        let start = self.warmup_steps + self.stable_steps;
        let length = self.decay_steps.saturating_sub(start);
        let progress = match step.checked_sub(start) {
            None => 0.0,
            Some(_) if length == 0 => 1.0,
            Some(done) => (done as f64 / length as f64).min(1.0),
        };
        let share = match self.decay {
            Decay::Constant => 1.0,
            Decay::Cosine => {
                self.min_ratio + (1.0 - self.min_ratio) * 0.5 * (1.0 + (std::f64::consts::PI * progress).cos())
            }
            Decay::Linear => self.min_ratio + (1.0 - self.min_ratio) * (1.0 - progress),
        };
        self.peak * share
    }
}
