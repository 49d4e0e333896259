//! LoRA (Hu et al. 2021, section 4.1): W = W0 + (alpha / rank) B A, where only A and B are trained.
//!
//! The model always holds the merged W, so the forward pass, sampling and the loss do not depend on adapters, and
//! sampling is as fast as without them. The backward pass computes the adapters' gradients by the chain rule, with s =
//! alpha / rank: dB = s dW Aᵀ and dA = s Bᵀ dW. dW = dYᵀ X is never formed, because dYᵀ (X Aᵀ) is a cheaper, low-rank
//! matmul. All other parameters get no gradient.
//!
//! Departures: no dropout.

use std::collections::BTreeSet;
use std::path::Path;

use engine::stage::StageError;
use lm::checkpoint::save_tensors;
use lm::{Kind, Tensor, adapt, no_grad_guard};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::{Counts, Metrics, Objective, Optimisation, Tally, Workload};
use crate::limits;

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
    /// Matrices to adapt, by the last part of their names, for example `["q_proj", "v_proj"]`. Absent: all projections
    /// of attention and MLP.
    pub targets: Option<Vec<String>>,
}

impl Default for Lora {
    fn default() -> Self {
        Self { rank: 8, alpha: 16.0, targets: None }
    }
}

/// Refuses keys that contradict each other.
pub fn check_keys(optimisation: &Optimisation, lora: Option<&Lora>) -> Result<(), StageError> {
    optimisation.schedule(0.0)?;
    optimisation.check_numbers()?;
    let Some(lora) = lora else { return Ok(()) };
    if !optimisation.freeze.is_empty() {
        return Err(StageError::new("`freeze` beside `lora`: all weights that are not adapted are frozen anyway")
            .with_help("`lora.targets` says which matrices are adapted"));
    }
    if lora.targets.as_ref().is_some_and(Vec::is_empty) {
        return Err(StageError::new("`lora.targets` is empty: there is nothing to train"));
    }
    Ok(())
}

/// An objective whose trained parameters are the adapters.
pub(super) struct Adapted<'a, O> {
    pub(super) inner: &'a mut O,
    pub(super) adapters: Adapters,
}

impl<O: Objective> Objective for Adapted<'_, O> {
    type Batch = O::Batch;

    fn parameters(&self) -> &[(String, Tensor)] {
        &self.adapters.parameters
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
        self.inner.batch(step)
    }

    fn accumulate(&self, batch: &O::Batch, whole: Counts) -> Result<Tally, StageError> {
        self.inner.accumulate(batch, whole)
    }

    fn check(&self, metrics: &Metrics) -> Result<(), StageError> {
        self.inner.check(metrics)
    }

    fn is_measured_after(&self, step: u64) -> bool {
        self.inner.is_measured_after(step)
    }

    fn measure(&mut self) -> Result<Option<Metrics>, StageError> {
        self.adapters.merge();
        self.inner.measure()
    }

    fn save(&self, dir: &Path) -> Result<(), StageError> {
        self.inner.save(dir)
    }

    fn restore(&mut self, dir: &Path, step: u64) -> Result<(), StageError> {
        self.inner.restore(dir, step)
    }
}

/// The adapters of a model.
pub struct Adapters {
    lora: Lora,
    /// `alpha` / `rank`.
    scale: f64,
    parts: Vec<Part>,
    /// All A and B by PEFT's names, sorted.
    parameters: Vec<(String, Tensor)>,
}

/// One adapted matrix.
struct Part {
    /// The last part of the matrix's name.
    target: String,
    /// The model's weight, W.
    weight_oi: Tensor,
    /// W0.
    base_oi: Tensor,
    a_ri: Tensor,
    b_or: Tensor,
}

impl Adapters {
    /// Draws A from U(-1/√in, 1/√in), PEFT's initialisation (Kaiming's with a = √5); B is 0.
    pub(super) fn draw(parameters: &[(String, Tensor)], lora: &Lora, seed: u64) -> Result<Self, StageError> {
        let chosen: Vec<(&str, &str, &Tensor)> = parameters
            .iter()
            .filter_map(|(name, weight)| {
                let (module, target) = projection(name).filter(|_| weight.dim() == 2)?;
                let is_chosen = lora.targets.as_ref().is_none_or(|targets| targets.iter().any(|named| named == target));
                is_chosen.then_some((module, target, weight))
            })
            .collect();
        let found: BTreeSet<&str> = chosen.iter().map(|(_, target, _)| *target).collect();
        let named: BTreeSet<&str> = lora.targets.iter().flatten().map(String::as_str).collect();
        if let Some(missing) = named.difference(&found).next() {
            let all: BTreeSet<&str> = parameters.iter().filter_map(|(name, _)| Some(projection(name)?.1)).collect();
            let all = all.into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            return Err(StageError::new(format!("`lora.targets` names `{missing}`, which the model does not have"))
                .with_help(format!("it has {all}")));
        }
        if chosen.is_empty() {
            return Err(StageError::new("the model has no matrix that `lora` could adapt"));
        }
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let scale = lora.alpha / lora.rank as f64;
        let adapted: BTreeSet<&str> = chosen.iter().map(|(module, _, _)| *module).collect();
        for (name, parameter) in parameters {
            let trains = projection(name).is_some_and(|(module, _)| adapted.contains(module)) && parameter.dim() == 2;
            let _ = parameter.set_requires_grad(trains);
        }
        let (mut parts, mut parameters) = (Vec::new(), Vec::new());
        for (module, target, weight) in chosen {
            let part = Part::draw(weight, target, lora.rank, &mut rng);
            adapt(weight, &part.a_ri, &part.b_or, scale)?;
            for (letter, tensor) in [("A", &part.a_ri), ("B", &part.b_or)] {
                parameters.push((format!("base_model.model.{module}.lora_{letter}.weight"), tensor.shallow_clone()));
            }
            parts.push(part);
        }
        parameters.sort_by(|(left, _), (right, _)| left.cmp(right));
        Ok(Self { lora: lora.clone(), scale, parts, parameters })
    }

    /// Sets the model's weights to the sum of base and adapters.
    pub(super) fn merge(&self) {
        let _guard = no_grad_guard();
        for part in &self.parts {
            let merged_oi = part.b_or.matmul(&part.a_ri) * self.scale + part.base_oi.to_kind(Kind::Float);
            part.weight_oi.shallow_clone().copy_(&merged_oi);
        }
    }

    /// Returns A and B of all adapted matrices, by PEFT's names.
    pub(super) fn parameters(&self) -> &[(String, Tensor)] {
        &self.parameters
    }

    /// Writes a folder that PEFT loads on top of the model that training started from.
    pub fn save(&self, dir: &Path) -> Result<(), StageError> {
        fs_err::create_dir_all(dir)?;
        save_tensors(&dir.join("adapter_model.safetensors"), &self.parameters)?;
        let targets: BTreeSet<&str> = self.parts.iter().map(|part| part.target.as_str()).collect();
        let config = json!({
            "peft_type": "LORA",
            "task_type": "CAUSAL_LM",
            "base_model_name_or_path": null,
            "r": self.lora.rank,
            "lora_alpha": self.lora.alpha,
            "lora_dropout": 0.0,
            "target_modules": targets,
            "bias": "none",
            "fan_in_fan_out": false,
            "inference_mode": true,
        });
        fs_err::write(dir.join("adapter_config.json"), serde_json::to_string_pretty(&config)? + "\n")?;
        Ok(())
    }
}

impl Part {
    pub(super) fn draw(weight_oi: &Tensor, target: &str, rank: i64, rng: &mut ChaCha8Rng) -> Self {
        let (size, device) = (weight_oi.size(), weight_oi.device());
        let bound = (size[1] as f64).powf(-0.5);
        let draws: Vec<f32> = (0..rank * size[1]).map(|_| rng.random_range(-bound..bound) as f32).collect();
        Self {
            target: target.to_owned(),
            weight_oi: weight_oi.shallow_clone(),
            base_oi: weight_oi.detach().copy(),
            a_ri: Tensor::from_slice(&draws).view([rank, size[1]]).to_device(device).set_requires_grad(true),
            b_or: Tensor::zeros([size[0], rank], (Kind::Float, device)).set_requires_grad(true),
        }
    }
}

/// Returns the module and the last part of the name of a projection inside a layer, `model.layers.0.self_attn.q_proj`
/// and `q_proj`.
fn projection(name: &str) -> Option<(&str, &str)> {
    let module = name.strip_suffix(".weight").filter(|module| module.contains(".layers."))?;
    let (_, target) = module.rsplit_once('.')?;
    target.contains("_proj").then_some((module, target))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wave(rows: i64, columns: i64, pitch: f64) -> Tensor {
        (Tensor::arange(rows * columns, (Kind::Float, lm::Device::Cpu)) * pitch).sin().view([rows, columns])
    }

    fn adapters(weight: &Tensor, lora: &Lora) -> Result<Adapters, StageError> {
        let name = "model.layers.0.mlp.up_proj.weight".to_owned();
        let norm = ("model.norm.weight".to_owned(), Tensor::from_slice(&[1f32]).set_requires_grad(true));
        let drawn = Adapters::draw(&[(name, weight.shallow_clone()), (norm.0, norm.1.shallow_clone())], lora, 3);
        assert!(drawn.is_err() || !norm.1.requires_grad(), "what is not adapted takes no gradient");
        drawn
    }

    #[test]
    fn merged_weights_and_gradients_are_those_of_adapters_beside_the_base() {
        let weight = wave(5, 7, 0.9).set_requires_grad(true);
        let base = weight.detach().copy();
        let adapters = adapters(&weight, &Lora { rank: 2, alpha: 6.0, targets: None }).unwrap();
        adapters.merge();
        assert_eq!(weight.detach(), base, "B is 0");
        let part = &adapters.parts[0];
        {
            let _guard = no_grad_guard();
            part.b_or.shallow_clone().copy_(&wave(5, 2, 1.7));
        }
        adapters.merge();
        let (x, y) = (wave(4, 7, 0.3), wave(4, 5, 0.6));
        let merged = x.matmul(&weight.tr());
        // Two backward passes, as for two micro-batches.
        (&merged - &y).square().sum(Kind::Float).backward();
        assert!(!weight.grad().defined(), "it has been passed on");
        (x.matmul(&weight.tr()) - &y).square().sum(Kind::Float).backward();

        let leaf = |tensor: &Tensor| tensor.detach().copy().set_requires_grad(true);
        let (a, b) = (leaf(&part.a_ri), leaf(&part.b_or));
        let beside = x.matmul(&base.tr()) + x.matmul(&a.tr()).matmul(&b.tr()) * 3.0;
        ((&beside - y).square().sum(Kind::Float) * 2.0).backward();
        let differs = |one: &Tensor, two: &Tensor| (one - two).abs().max().double_value(&[]);
        assert!(differs(&merged, &beside) < 2e-6, "{}", differs(&merged, &beside));
        let scale = a.grad().abs().max().double_value(&[]).max(b.grad().abs().max().double_value(&[]));
        assert!(differs(&part.a_ri.grad(), &a.grad()) < 1e-6 * scale.max(1.0));
        assert!(differs(&part.b_or.grad(), &b.grad()) < 1e-6 * scale.max(1.0));
    }

    #[test]
    fn a_target_that_is_not_there_is_named() {
        let lora = Lora { targets: Some(vec!["query".to_owned()]), ..Lora::default() };
        let error = adapters(&wave(2, 2, 1.0), &lora).err().unwrap();
        assert_eq!(error.message, "`lora.targets` names `query`, which the model does not have");
        assert_eq!(error.help.as_deref(), Some("it has `up_proj`"));
        let refusal = |keys: &Optimisation, lora| check_keys(keys, Some(lora)).unwrap_err().message;
        let none = Lora { targets: Some(Vec::new()), ..Lora::default() };
        assert!(refusal(&Optimisation::default(), &none).contains("nothing to train"));
        let frozen = Optimisation { freeze: vec!["lm_head".to_owned()], ..Optimisation::default() };
        assert!(refusal(&frozen, &Lora::default()).contains("`freeze` beside `lora`"));
    }
}
