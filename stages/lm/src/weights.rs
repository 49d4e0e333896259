//! A model's parameters by checkpoint name: from a seed, from safetensors files, and back.
//!
//! Parameters that are used together (q, k, v; gate, up) lie one after the other in one buffer, so that one matrix
//! product serves them all; each stays a leaf with its own name and gradient.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tch::{Device, Kind, Tensor};

use crate::checkpoint::Mapped;
use crate::model::Options;
use crate::{checkpoint, shards};

/// Why a folder's weights cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] checkpoint::Error),
    /// The folder holds no weights that can be read.
    #[error("`{dir}` has no `model.safetensors` and no `model.safetensors.index.json`; help: {help}")]
    Absent {
        /// The model's folder.
        dir: PathBuf,
        /// What to do.
        help: String,
    },
    /// The index of a sharded checkpoint is broken.
    #[error("`{path}`: {reason}")]
    Index {
        /// The index file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The tensors are not those the configuration calls for.
    #[error("the weights do not fit `config.json`: {0}")]
    Mismatch(String),
}

/// The end of the names of parameters that half precision would spoil: small steps decide between experts.
const KEPT_IN_SINGLE: &str = ".e_score_correction_bias";

/// A parameter's name in the checkpoint and its shape.
pub(crate) type Spec = (String, Vec<i64>);

/// Named parameters, not yet handed to a network.
///
/// Each is copied once, from where it lies to the place where it stays, when the network asks for it: a model is never in
/// memory twice.
pub(crate) struct Weights {
    sources: BTreeMap<String, Tensor>,
    files: Vec<Mapped>,
    placed: BTreeMap<String, Tensor>,
    options: Options,
}

impl Weights {
    /// Draws new weights.
    ///
    /// Matrices are N(0, 1/hidden), the embedding too: a tied head then gives logits of deviation 1. Those that write into
    /// the residual stream (`o_proj`, `down_proj`) have an eighth of that deviation, so that the layers do not drown the
    /// small embedding at once; on the toy task this learnt faster than a half or the whole. Norms are 1, biases and a
    /// reward head 0.
    pub(crate) fn init(specs: &[Spec], hidden_size: i64, seed: u64, device: Device) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let std = (hidden_size as f64).powf(-0.5);
        let mut sorted: Vec<&Spec> = specs.iter().collect();
        sorted.sort();
        let draw = |(name, shape): &Spec| {
            let tensor = if name.ends_with("bias") || name == "score.weight" {
                Tensor::zeros(shape.as_slice(), (Kind::Float, Device::Cpu))
            } else if shape.len() < 2 {
                Tensor::ones(shape.as_slice(), (Kind::Float, Device::Cpu))
            } else {
                let writes_residual = name.ends_with("o_proj.weight") || name.ends_with("down_proj.weight");
                normal(&mut rng, shape, if writes_residual { 0.125 * std } else { std })
            };
            (name.clone(), tensor)
        };
        Self::copies(sorted.into_iter().map(draw), Options { device, dtype: Kind::Float })
    }

    /// Reads `model.safetensors`, or the shards that `model.safetensors.index.json` names, and checks names and shapes.
    ///
    /// What `sets_aside` takes is left out, and its names are returned.
    pub(crate) fn load(
        dir: &Path,
        specs: &[Spec],
        sets_aside: impl Fn(&str) -> bool,
        options: Options,
    ) -> Result<(Self, Vec<String>), Error> {
        let files = shards::map(dir)?;
        let (mut sources, mut aside) = (BTreeMap::new(), Vec::new());
        for file in &files {
            let (left_out, taken): (Vec<_>, Vec<_>) = file.tensors().iter().partition(|(name, _)| sets_aside(name));
            aside.extend(left_out.into_iter().map(|(name, _)| name.clone()));
            sources.extend(taken.into_iter().map(|(name, tensor)| (name.clone(), tensor.shallow_clone())));
        }
        check(&mut sources, specs)?;
        aside.sort();
        Ok((Self { sources, files, placed: BTreeMap::new(), options }, aside))
    }

    /// Will copy these tensors; the caller vouches for names and shapes.
    pub(crate) fn copies(tensors: impl IntoIterator<Item = (String, Tensor)>, options: Options) -> Self {
        let sources = tensors.into_iter().map(|(name, tensor)| (name, tensor.detach())).collect();
        Self { sources, files: Vec::new(), placed: BTreeMap::new(), options }
    }

    /// Lays the named parameters, which nobody has asked for yet, one after the other in one buffer and returns a view of it
    /// all.
    pub(crate) fn fuse(&mut self, names: &[String]) -> Tensor {
        let parts: Vec<Tensor> = names.iter().map(|name| self.source(name)).collect();
        let mut size = parts[0].size();
        size[0] = parts.iter().map(|part| part.size()[0]).sum();
        let fused = Tensor::empty(size, (self.options.dtype, self.options.device));
        let mut start = 0;
        for (name, part) in names.iter().zip(&parts) {
            let rows = part.size()[0];
            let mut place = fused.narrow(0, start, rows);
            place.copy_(part);
            self.release(part);
            self.placed.insert(name.clone(), leaf(&place));
            start += rows;
        }
        fused
    }

    /// The parameter of this name.
    pub(crate) fn get(&mut self, name: &str) -> Tensor {
        if !self.placed.contains_key(name) {
            let source = self.source(name);
            let kind = kind_of(name, self.options.dtype);
            let copy = source.to_device_(self.options.device, kind, false, true);
            self.release(&source);
            self.placed.insert(name.to_owned(), leaf(&copy));
        }
        self.placed[name].shallow_clone()
    }

    /// All parameters in the order of their names.
    ///
    /// # Panics
    /// When nobody has asked for one of them.
    pub(crate) fn into_sorted(self) -> Vec<(String, Tensor)> {
        assert!(self.sources.is_empty(), "no part of the network uses {:?}", self.sources.keys());
        self.placed.into_iter().collect()
    }

    fn source(&mut self, name: &str) -> Tensor {
        self.sources.remove(name).expect("the architecture lists every parameter it uses, once")
    }

    /// Gives back a file's pages: else one of many gigabytes would be in memory beside what was read of it.
    fn release(&self, source: &Tensor) {
        self.files.iter().for_each(|file| file.release(source));
    }
}

/// The element type of a parameter in a model of type `kind`.
fn kind_of(name: &str, kind: Kind) -> Kind {
    if name.ends_with(KEPT_IN_SINGLE) { Kind::Float } else { kind }
}

/// The tensor as a parameter of its own, which takes gradients.
fn leaf(tensor: &Tensor) -> Tensor {
    tensor.detach().set_requires_grad(true)
}

/// Drops what old checkpoints carry without need, and names every tensor that is missing, extra or misshapen.
fn check(tensors: &mut BTreeMap<String, Tensor>, specs: &[Spec]) -> Result<(), Error> {
    let wanted: BTreeMap<&str, &[i64]> = specs.iter().map(|(name, shape)| (name.as_str(), shape.as_slice())).collect();
    // A tied head may be stored beside the embedding, and rotary tables used to be stored: both are derived.
    tensors.retain(|name, _| {
        wanted.contains_key(name.as_str()) || !(name == "lm_head.weight" || name.ends_with("rotary_emb.inv_freq"))
    });
    let mut faults = Vec::new();
    for (name, shape) in &wanted {
        match tensors.get(*name) {
            None => faults.push(format!("`{name}` is missing")),
            Some(tensor) if tensor.size() != *shape => {
                faults.push(format!("`{name}` has shape {:?}, expected {shape:?}", tensor.size()));
            }
            Some(_) => {}
        }
    }
    faults.extend(
        tensors.keys().filter(|name| !wanted.contains_key(name.as_str())).map(|name| format!("`{name}` is unknown")),
    );
    if faults.is_empty() {
        return Ok(());
    }
    Err(Error::Mismatch(shards::listing(faults)))
}

/// Draws by Box and Muller's method, in double precision.
fn normal(rng: &mut ChaCha8Rng, shape: &[i64], std: f64) -> Tensor {
    let count = shape.iter().product::<i64>() as usize;
    let mut values = Vec::with_capacity(count + 1);
    while values.len() < count {
        let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
        let (sin, cos) = (2.0 * std::f64::consts::PI * rng.random::<f64>()).sin_cos();
        values.push((std * radius * cos) as f32);
        values.push((std * radius * sin) as f32);
    }
    Tensor::from_slice(&values[..count]).view(shape)
}
