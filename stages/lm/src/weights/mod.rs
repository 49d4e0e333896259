//! A model's parameters by checkpoint name: from a seed, from safetensors files, and back.
//!
//! Parameters that are used together (q, k, v; gate, up) are contiguous in one buffer, so that one matmul uses them
//! all. Each stays a leaf with its own name and gradient.

mod check;
mod init;
mod shards;

use std::collections::BTreeMap;
use std::path::PathBuf;

use tch::{Kind, Tensor};

use crate::checkpoint::{self, TensorFile};
use crate::device::Options;
use check::{check_memory, check_shapes};
pub(crate) use shards::open;

/// Why a folder's weights cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] checkpoint::Error),
    /// The folder contains no weights that can be read.
    #[error("`{dir}` has no `model.safetensors` and no `model.safetensors.index.json`; help: {help}")]
    Absent {
        /// The model's folder.
        dir: PathBuf,
        /// Help for the user.
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
    /// The tensors are not those of the configuration.
    #[error("the weights do not fit `config.json`: {0}")]
    Mismatch(String),
    /// The weights are larger than the machine's memory.
    #[error("the weights take {needs} GiB of memory as `{kind:?}`, and the machine has {has}; help: {CURE}")]
    TooLarge {
        /// The size of the weights, in GiB.
        needs: u64,
        /// The machine's memory, in GiB.
        has: u64,
        /// The element type in which they would be loaded.
        kind: Kind,
    },
}

/// Suffix of parameters that are kept in single precision, because small differences decide between experts.
const KEPT_IN_SINGLE: &str = ".e_score_correction_bias";

const CURE: &str = "take `dtype = \"bfloat16\"`, a smaller model or a larger machine";

/// A parameter's name in the checkpoint and its shape.
pub(crate) type Spec = (String, Vec<i64>);

/// What becomes of a tensor of a folder.
pub(crate) enum Fate {
    /// It is the parameter of this name.
    Parameter(String),
    /// The network has no part for it, and its name is returned.
    Ignored,
    /// It belongs to a layer that is not read.
    Unwanted,
}

/// Named parameters, not yet in a network.
///
/// Each parameter is copied once, to its final memory, when the network requests it: a model is never in memory twice.
///
/// If a file cannot be read to its end, the building of the network continues without further reads, and
/// [`Weights::finish`] returns the error.
pub(crate) struct Weights {
    sources: BTreeMap<String, Source>,
    files: Vec<TensorFile>,
    placed: BTreeMap<String, Tensor>,
    options: Options,
    failed: Option<checkpoint::Error>,
    broken: Vec<(String, u64)>,
}

/// The source of a parameter.
enum Source {
    Memory(Tensor),
    /// Index of a file, and of an entry in it.
    File(usize, usize),
}

/// All parameters sorted by name, and the names of those with elements that are not finite, with the number of such
/// elements.
pub(crate) type Placed = (Vec<(String, Tensor)>, Vec<(String, u64)>);

impl Weights {
    /// Takes the tensors of these files, and checks names and shapes. A tensor is read only when the network requests
    /// it.
    ///
    /// `fate` says what becomes of a tensor by its name in the file. The names of those that are ignored are returned.
    pub(crate) fn load(
        files: Vec<TensorFile>,
        specs: &[Spec],
        fate: impl Fn(&str) -> Fate,
        options: Options,
    ) -> Result<(Self, Vec<String>), Error> {
        let (mut sources, mut ignored) = (BTreeMap::new(), Vec::new());
        let mut sizes = BTreeMap::new();
        for (file, tensors) in files.iter().enumerate() {
            for (entry, tensor) in tensors.entries().iter().enumerate() {
                match fate(&tensor.name) {
                    Fate::Parameter(name) => {
                        sources.insert(name.clone(), Source::File(file, entry));
                        sizes.insert(name, tensor.size.as_slice());
                    }
                    Fate::Ignored => ignored.push(tensor.name.clone()),
                    Fate::Unwanted => {}
                }
            }
        }
        check_shapes(&mut sizes, specs)?;
        sources.retain(|name, _| sizes.contains_key(name));
        check_memory(specs, options)?;
        ignored.sort();
        drop(sizes);
        Ok((Self::of(sources, files, options), ignored))
    }

    /// Takes tensors in memory, to be copied. Names and shapes are not checked.
    pub(crate) fn copies(tensors: impl IntoIterator<Item = (String, Tensor)>, options: Options) -> Self {
        let sources = tensors.into_iter().map(|(name, tensor)| (name, Source::Memory(tensor.detach()))).collect();
        Self::of(sources, Vec::new(), options)
    }

    fn of(sources: BTreeMap<String, Source>, files: Vec<TensorFile>, options: Options) -> Self {
        Self { sources, files, placed: BTreeMap::new(), options, failed: None, broken: Vec::new() }
    }

    /// Copies the named parameters into one buffer, one after the other, and returns the buffer. None of them may have
    /// been taken yet.
    pub(crate) fn fuse(&mut self, names: &[String]) -> Tensor {
        let sizes: Vec<Vec<i64>> = names.iter().map(|name| self.size(name)).collect();
        let mut size = sizes[0].clone();
        size[0] = sizes.iter().map(|size| size[0]).sum();
        let fused = Tensor::empty(size, (self.options.dtype, self.options.device));
        let mut start = 0;
        for (name, size) in names.iter().zip(&sizes) {
            let part = fused.narrow(0, start, size[0]);
            self.fill(name, &part);
            self.placed.insert(name.clone(), leaf(&part));
            start += size[0];
        }
        fused
    }

    /// Returns the parameter of this name.
    pub(crate) fn get(&mut self, name: &str) -> Tensor {
        if !self.placed.contains_key(name) {
            let kind = kind_of(name, self.options.dtype);
            let whole = Tensor::empty(self.size(name), (kind, self.options.device));
            self.fill(name, &whole);
            self.placed.insert(name.to_owned(), leaf(&whole));
        }
        self.placed[name].shallow_clone()
    }

    /// Ends the building of a network.
    ///
    /// # Panics
    /// If the network has not requested one of the parameters.
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

    /// Copies a parameter into its final tensor.
    fn fill(&mut self, name: &str, to: &Tensor) {
        match self.sources.remove(name).expect(ONCE) {
            Source::Memory(tensor) => to.shallow_clone().copy_(&tensor),
            Source::File(..) if self.failed.is_some() => {}
            Source::File(file, entry) => {
                let file = &self.files[file];
                match file.read_into(&file.entries()[entry], to) {
                    Ok(0) => {}
                    Ok(count) => self.broken.push((name.to_owned(), count)),
                    Err(error) => self.failed = Some(error),
                }
            }
        }
    }
}

const ONCE: &str = "the architecture lists every parameter it uses, once";

/// Returns the element type of a parameter in a model of type `kind`.
fn kind_of(name: &str, kind: Kind) -> Kind {
    if name.ends_with(KEPT_IN_SINGLE) { Kind::Float } else { kind }
}

/// Returns the tensor as a leaf that requires gradients.
fn leaf(tensor: &Tensor) -> Tensor {
    tensor.detach().set_requires_grad(true)
}
