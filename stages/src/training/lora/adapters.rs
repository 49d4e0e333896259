//! The adapters of a model: which matrices have them, how they begin, and what they make of the weights.
//!
//! A row of an embedding is a lookup, so PEFT has the embedding's adapters the other way round: `lora_embedding_A` is
//! Bᵀ, with a column for each token, and `lora_embedding_B` is Aᵀ. A head that is tied to the embedding has the same
//! adapters.

use std::collections::BTreeSet;
use std::f64::consts::TAU;

use engine::stage::StageError;
use lm::{Dropout, Kind, Passes, Tensor, adapt, no_grad_guard};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::Lora;

const EMBEDDING: &str = "embed_tokens";
const HEAD: &str = "lm_head";

/// The adapters of a model.
pub struct Adapters {
    pub(super) lora: Lora,
    scale: f64,
    parts: Vec<Part>,
    /// All A and B, and the parameters that are trained whole, by PEFT's names, sorted.
    parameters: Vec<(String, Tensor)>,
    /// The full names of the modules that are trained whole.
    pub(super) saved: BTreeSet<String>,
    /// Whether the head is the embedding itself, and that is trained.
    pub(super) ties_head: bool,
}

/// What adapters take of a model, in elements.
pub(in crate::training) struct Outline {
    /// Of all adapters, and of the modules that are trained whole.
    pub(in crate::training) trained: u64,
    /// Of the largest parameter that gets a gradient.
    pub(in crate::training) largest: u64,
    /// Of the matrices that are adapted, which are held twice.
    pub(in crate::training) adapted: u64,
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
    /// Draws A as PEFT does: from U(-1/√in, 1/√in) (Kaiming's initialisation with a = √5), or N(0, 1) for an embedding.
    /// B is 0.
    pub(in crate::training) fn draw(
        parameters: &[(String, Tensor)],
        passes: &Passes,
        lora: &Lora,
        seed: u64,
    ) -> Result<Self, StageError> {
        let (chosen, saved) = choose(parameters, lora)?;
        let adapted: BTreeSet<&str> = chosen.iter().map(|matrix| matrix.module).collect();
        for (name, parameter) in parameters {
            let _ = parameter.set_requires_grad(
                saved.contains(module_of(name)) || (adapted.contains(module_of(name)) && parameter.dim() == 2),
            );
        }
        let mut trained: Vec<(String, Tensor)> = parameters
            .iter()
            .filter(|(name, _)| saved.contains(module_of(name)))
            .map(|(name, parameter)| (format!("base_model.model.{name}"), parameter.shallow_clone()))
            .collect();
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut parts = Vec::new();
        for (stream, Matrix { module, target, weight }) in chosen.into_iter().enumerate() {
            let part = Part::draw(weight, target, lora.rank, &mut rng);
            let dropout = Dropout { share: lora.dropout, stream: stream as u64, passes: passes.share() };
            adapt(weight, &part.a_ri, &part.b_or, lora.scale(), &dropout)?;
            let names = part.names();
            for (name, tensor) in names.into_iter().zip([&part.a_ri, &part.b_or]) {
                trained.push((format!("base_model.model.{module}.{name}"), tensor.shallow_clone()));
            }
            parts.push(part);
        }
        trained.sort_by(|(left, _), (right, _)| left.cmp(right));
        let trains_embedding = adapted.iter().copied().chain(saved.iter().map(String::as_str)).any(is_embedding);
        Ok(Self {
            scale: lora.scale(),
            lora: lora.clone(),
            parts,
            parameters: trained,
            saved,
            ties_head: trains_embedding && is_tied(parameters),
        })
    }

    /// Returns what adapters would take of a model with parameters of these shapes.
    pub(in crate::training) fn outline(parameters: &[(String, Tensor)], lora: &Lora) -> Result<Outline, StageError> {
        let (chosen, saved) = choose(parameters, lora)?;
        let numel = |tensor: &Tensor| tensor.numel() as u64;
        let of_adapters = chosen
            .iter()
            .map(|matrix| lora.rank.unsigned_abs() * matrix.weight.size().iter().sum::<i64>().unsigned_abs());
        let whole: Vec<u64> = parameters
            .iter()
            .filter(|(name, _)| saved.contains(module_of(name)))
            .map(|(_, tensor)| numel(tensor))
            .collect();
        let adapted: Vec<u64> = chosen.iter().map(|matrix| numel(matrix.weight)).collect();
        Ok(Outline {
            trained: of_adapters.sum::<u64>() + whole.iter().sum::<u64>(),
            largest: adapted.iter().chain(&whole).max().copied().unwrap_or(0),
            adapted: adapted.iter().sum(),
        })
    }

    /// Sets the model's weights to the sum of base and adapters.
    pub(in crate::training) fn merge(&self) {
        let _guard = no_grad_guard();
        for part in &self.parts {
            let merged_oi = part.b_or.matmul(&part.a_ri) * self.scale + part.base_oi.to_kind(Kind::Float);
            part.weight_oi.shallow_clone().copy_(&merged_oi);
        }
    }

    /// All trained parameters by PEFT's names, sorted. An embedding's are not transposed yet.
    pub(in crate::training) fn parameters(&self) -> &[(String, Tensor)] {
        &self.parameters
    }

    /// The last parts of the names of all adapted matrices.
    pub(super) fn targets(&self) -> BTreeSet<&str> {
        self.parts.iter().map(|part| part.target.as_str()).collect()
    }
}

impl Part {
    fn draw(weight_oi: &Tensor, target: &str, rank: i64, rng: &mut ChaCha8Rng) -> Self {
        let (size, device) = (weight_oi.size(), weight_oi.device());
        let count = rank * size[1];
        let draws: Vec<f32> = if target == EMBEDDING {
            (0..count).map(|_| normal(rng) as f32).collect()
        } else {
            let bound = (size[1] as f64).powf(-0.5);
            (0..count).map(|_| rng.random_range(-bound..bound) as f32).collect()
        };
        Self {
            target: target.to_owned(),
            weight_oi: weight_oi.shallow_clone(),
            base_oi: weight_oi.detach().copy(),
            a_ri: Tensor::from_slice(&draws).view([rank, size[1]]).to_device(device).set_requires_grad(true),
            b_or: Tensor::zeros([size[0], rank], (Kind::Float, device)).set_requires_grad(true),
        }
    }

    /// PEFT's names of A and B, below the module.
    fn names(&self) -> [&'static str; 2] {
        if self.target == EMBEDDING {
            ["lora_embedding_B", "lora_embedding_A"]
        } else {
            ["lora_A.weight", "lora_B.weight"]
        }
    }
}

/// A normal number by Box and Muller's method.
fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
    radius * (TAU * rng.random::<f64>()).cos()
}

/// A matrix that is to be adapted.
struct Matrix<'a> {
    module: &'a str,
    target: &'a str,
    weight: &'a Tensor,
}

/// Chooses the matrices to adapt, and the modules to train whole by their full names.
fn choose<'a>(
    parameters: &'a [(String, Tensor)],
    lora: &Lora,
) -> Result<(Vec<Matrix<'a>>, BTreeSet<String>), StageError> {
    let names: Vec<&str> = parameters.iter().map(|(name, _)| name.as_str()).collect();
    let all: BTreeSet<&str> = names.iter().map(|name| last(module_of(name))).collect();
    refuse_unknown("modules-to-save", &lora.modules_to_save, &all, parameters)?;
    let is_saved = |module: &str| lora.modules_to_save.iter().any(|named| named == last(module));
    let saved = names.iter().map(|name| module_of(name)).filter(|module| is_saved(module)).map(str::to_owned).collect();
    let matrices = parameters.iter().filter_map(|(name, weight)| {
        let (module, target) = adaptable(name).filter(|_| weight.dim() == 2)?;
        Some(Matrix { module, target, weight })
    });
    let matrices: Vec<Matrix> = matrices.collect();
    let known: BTreeSet<&str> = matrices.iter().map(|matrix| matrix.target).collect();
    refuse_unknown("targets", lora.targets.as_deref().unwrap_or_default(), &known, parameters)?;
    let is_chosen = |matrix: &Matrix| match &lora.targets {
        Some(targets) => targets.iter().any(|named| named == matrix.target),
        None => matrix.target.contains("_proj") && !is_saved(matrix.module),
    };
    let chosen: Vec<Matrix> = matrices.into_iter().filter(is_chosen).collect();
    if chosen.is_empty() && lora.targets.is_none() {
        return Err(StageError::new("the model has no matrix that `lora` could adapt"));
    }
    Ok((chosen, saved))
}

/// Refuses names that no module has.
fn refuse_unknown(
    key: &str,
    named: &[String],
    known: &BTreeSet<&str>,
    parameters: &[(String, Tensor)],
) -> Result<(), StageError> {
    let Some(missing) = named.iter().find(|name| !known.contains(name.as_str())) else { return Ok(()) };
    if missing == HEAD && is_tied(parameters) {
        return Err(StageError::new(format!(
            "`lora.{key}` names `{HEAD}`, which is the embedding itself in this model"
        ))
        .with_help(format!("name `{EMBEDDING}`, which changes both")));
    }
    let all = known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    Err(StageError::new(format!("`lora.{key}` names `{missing}`, which the model does not have"))
        .with_help(format!("it has {all}")))
}

fn is_tied(parameters: &[(String, Tensor)]) -> bool {
    parameters.iter().all(|(name, _)| module_of(name) != HEAD)
        && parameters.iter().any(|(name, _)| is_embedding(module_of(name)))
}

fn is_embedding(module: &str) -> bool {
    last(module) == EMBEDDING
}

/// Returns the module and the last part of its name if `lora` can adapt its weight: a projection inside a layer, such
/// as `model.layers.0.self_attn.q_proj` and `q_proj`, the embedding, or the head.
fn adaptable(name: &str) -> Option<(&str, &str)> {
    let module = name.strip_suffix(".weight")?;
    let target = last(module);
    let is_projection = module.contains(".layers.") && target.contains("_proj");
    (is_projection || [EMBEDDING, HEAD].contains(&target)).then_some((module, target))
}

/// Returns the module of a parameter.
fn module_of(parameter: &str) -> &str {
    parameter.rsplit_once('.').map_or(parameter, |(module, _)| module)
}

/// Returns the last part of a module's name.
fn last(module: &str) -> &str {
    module.rsplit('.').next().unwrap_or(module)
}
