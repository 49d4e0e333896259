//! A model's parameters by checkpoint name: from a seed, from safetensors files, and back.
//!
//! Parameters that are used together (q, k, v; gate, up) lie one after the other in one buffer, so that one matrix
//! product serves them all; each stays a leaf with its own name and gradient.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tch::{Device, Kind, Tensor};

use crate::checkpoint::TensorFile;
use crate::device::Options;
use crate::{checkpoint, memory, shards};

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
    /// The machine can never hold them.
    #[error("the weights take {needs} GiB of memory as `{kind:?}`, and the machine has {has}; help: {CURE}")]
    TooLarge {
        /// What they take, in GiB.
        needs: u64,
        /// What there is, in GiB.
        has: u64,
        /// The element type that they are to have.
        kind: Kind,
    },
}

/// The end of the names of parameters that half precision would spoil: small steps decide between experts.
const KEPT_IN_SINGLE: &str = ".e_score_correction_bias";

const CURE: &str = "take `dtype = \"bfloat16\"`, a smaller model or a larger machine";

/// A parameter's name in the checkpoint and its shape.
pub(crate) type Spec = (String, Vec<i64>);

/// Named parameters, not yet handed to a network.
///
/// Each is copied once, from where it lies to the place where it stays, when the network asks for it: a model is never in
/// memory twice.
///
/// A file that cannot be read to its end fails [`Weights::finish`], not the network that is being built of it: from
/// then on nothing more is read.
pub(crate) struct Weights {
    sources: BTreeMap<String, Source>,
    files: Vec<TensorFile>,
    placed: BTreeMap<String, Tensor>,
    options: Options,
    failed: Option<checkpoint::Error>,
    broken: Vec<(String, u64)>,
}

/// Where a parameter comes from.
enum Source {
    Memory(Tensor),
    /// A file, and which of its entries.
    File(usize, usize),
}

/// All parameters in the order of their names, and those with elements that are no finite numbers, with how many.
pub(crate) type Placed = (Vec<(String, Tensor)>, Vec<(String, u64)>);

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

    /// Takes the tensors of these files, and checks names and shapes; nothing is read before the network asks for it.
    ///
    /// What `sets_aside` takes is left out, and its names are returned.
    pub(crate) fn load(
        files: Vec<TensorFile>,
        specs: &[Spec],
        sets_aside: impl Fn(&str) -> bool,
        options: Options,
    ) -> Result<(Self, Vec<String>), Error> {
        let (mut sources, mut aside) = (BTreeMap::new(), Vec::new());
        let mut sizes = BTreeMap::new();
        for (file, tensors) in files.iter().enumerate() {
            for (entry, tensor) in tensors.entries().iter().enumerate() {
                if sets_aside(&tensor.name) {
                    aside.push(tensor.name.clone());
                } else {
                    sources.insert(tensor.name.clone(), Source::File(file, entry));
                    sizes.insert(tensor.name.as_str(), tensor.size.as_slice());
                }
            }
        }
        check(&mut sizes, specs)?;
        sources.retain(|name, _| sizes.contains_key(name.as_str()));
        check_memory(specs, options)?;
        aside.sort();
        drop(sizes);
        Ok((Self::of(sources, files, options), aside))
    }

    /// Will copy these tensors; the caller vouches for names and shapes.
    pub(crate) fn copies(tensors: impl IntoIterator<Item = (String, Tensor)>, options: Options) -> Self {
        let sources = tensors.into_iter().map(|(name, tensor)| (name, Source::Memory(tensor.detach()))).collect();
        Self::of(sources, Vec::new(), options)
    }

    fn of(sources: BTreeMap<String, Source>, files: Vec<TensorFile>, options: Options) -> Self {
        Self { sources, files, placed: BTreeMap::new(), options, failed: None, broken: Vec::new() }
    }

    /// Lays the named parameters, for which nothing has asked yet, one after the other in one buffer and returns a view
    /// of it all.
    pub(crate) fn fuse(&mut self, names: &[String]) -> Tensor {
        let sizes: Vec<Vec<i64>> = names.iter().map(|name| self.size(name)).collect();
        let mut size = sizes[0].clone();
        size[0] = sizes.iter().map(|size| size[0]).sum();
        let fused = Tensor::empty(size, (self.options.dtype, self.options.device));
        let mut start = 0;
        for (name, size) in names.iter().zip(&sizes) {
            let place = fused.narrow(0, start, size[0]);
            self.place(name, &place);
            self.placed.insert(name.clone(), leaf(&place));
            start += size[0];
        }
        fused
    }

    /// The parameter of this name.
    pub(crate) fn get(&mut self, name: &str) -> Tensor {
        if !self.placed.contains_key(name) {
            let kind = kind_of(name, self.options.dtype);
            let place = Tensor::empty(self.size(name), (kind, self.options.device));
            self.place(name, &place);
            self.placed.insert(name.to_owned(), leaf(&place));
        }
        self.placed[name].shallow_clone()
    }

    /// Ends the building of a network.
    ///
    /// # Panics
    /// When the network has not asked for one of them.
    pub(crate) fn finish(self) -> Result<Placed, Error> {
        assert!(self.sources.is_empty(), "no part of the network uses {:?}", self.sources.keys());
        match self.failed {
            Some(error) => Err(error.into()),
            None => Ok((self.placed.into_iter().collect(), self.broken)),
        }
    }

    fn size(&self, name: &str) -> Vec<i64> {
        match self.sources.get(name).expect(ONCE) {
            Source::Memory(tensor) => tensor.size(),
            Source::File(file, entry) => self.files[*file].entries()[*entry].size.clone(),
        }
    }

    /// Copies a parameter to its place.
    fn place(&mut self, name: &str, place: &Tensor) {
        match self.sources.remove(name).expect(ONCE) {
            Source::Memory(tensor) => place.shallow_clone().copy_(&tensor),
            Source::File(..) if self.failed.is_some() => {}
            Source::File(file, entry) => {
                let file = &self.files[file];
                match file.read_into(&file.entries()[entry], place) {
                    Ok(0) => {}
                    Ok(count) => self.broken.push((name.to_owned(), count)),
                    Err(error) => self.failed = Some(error),
                }
            }
        }
    }
}

const ONCE: &str = "the architecture lists every parameter it uses, once";

/// Refuses what no order of loading could hold; a GPU refuses by itself.
fn check_memory(specs: &[Spec], options: Options) -> Result<(), Error> {
    if options.device != Device::Cpu {
        return Ok(());
    }
    let numel = |shape: &[i64]| shape.iter().map(|size| size.unsigned_abs()).fold(1, u64::saturating_mul);
    let elements = specs.iter().map(|(_, shape)| numel(shape)).fold(0, u64::saturating_add);
    let needs = elements.saturating_mul(options.dtype.elt_size_in_bytes() as u64);
    let has = memory::total();
    if needs <= has {
        return Ok(());
    }
    Err(Error::TooLarge { needs: needs.div_ceil(1 << 30), has: has >> 30, kind: options.dtype })
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
fn check(sizes: &mut BTreeMap<&str, &[i64]>, specs: &[Spec]) -> Result<(), Error> {
    let wanted: BTreeMap<&str, &[i64]> = specs.iter().map(|(name, shape)| (name.as_str(), shape.as_slice())).collect();
    // A tied head may be stored beside the embedding, and rotary tables used to be stored: both are derived.
    sizes.retain(|name, _| {
        wanted.contains_key(name) || !(*name == "lm_head.weight" || name.ends_with("rotary_emb.inv_freq"))
    });
    let mut faults = Vec::new();
    for (name, shape) in &wanted {
        match sizes.get(name) {
            None => faults.push(format!("`{name}` is missing")),
            Some(size) if size != shape => {
                faults.push(format!("`{name}` has shape {size:?}, expected {shape:?}"));
            }
            Some(_) => {}
        }
    }
    faults.extend(sizes.keys().filter(|name| !wanted.contains_key(**name)).map(|name| format!("`{name}` is unknown")));
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
