//! A model's parameters by checkpoint name: from a seed, from safetensors files, and back.
//!
//! Parameters that are used together (q, k, v; gate, up) lie one after the other in one buffer, so that one matmul
//! serves them all. Each stays a leaf with its own name and gradient.

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
/// Each is copied once, to the memory where it stays, when the network asks for it: a model is never in memory twice.
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
    /// Takes the tensors of these files, and checks names and shapes; nothing is read before the network asks for it.
    ///
    /// Tensors that `ignores` names are left out, and their names are returned.
    pub(crate) fn load(
        files: Vec<TensorFile>,
        specs: &[Spec],
        ignores: impl Fn(&str) -> bool,
        options: Options,
    ) -> Result<(Self, Vec<String>), Error> {
        let (mut sources, mut ignored) = (BTreeMap::new(), Vec::new());
        let mut sizes = BTreeMap::new();
        for (file, tensors) in files.iter().enumerate() {
            for (entry, tensor) in tensors.entries().iter().enumerate() {
                if ignores(&tensor.name) {
                    ignored.push(tensor.name.clone());
                } else {
                    sources.insert(tensor.name.clone(), Source::File(file, entry));
                    sizes.insert(tensor.name.as_str(), tensor.size.as_slice());
                }
            }
        }
        check_shapes(&mut sizes, specs)?;
        sources.retain(|name, _| sizes.contains_key(name.as_str()));
        check_memory(specs, options)?;
        ignored.sort();
        drop(sizes);
        Ok((Self::of(sources, files, options), ignored))
    }

    /// Will copy these tensors; the caller vouches for names and shapes.
    pub(crate) fn copies(tensors: impl IntoIterator<Item = (String, Tensor)>, options: Options) -> Self {
        let sources = tensors.into_iter().map(|(name, tensor)| (name, Source::Memory(tensor.detach()))).collect();
        Self::of(sources, Vec::new(), options)
    }

    fn of(sources: BTreeMap<String, Source>, files: Vec<TensorFile>, options: Options) -> Self {
        Self { sources, files, placed: BTreeMap::new(), options, failed: None, broken: Vec::new() }
    }

    /// Puts the named parameters one after the other in one buffer and returns a view of it all. None of them may have
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

    /// The parameter of this name.
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

    /// Copies a parameter into the tensor where it stays.
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

/// The element type of a parameter in a model of type `kind`.
fn kind_of(name: &str, kind: Kind) -> Kind {
    if name.ends_with(KEPT_IN_SINGLE) { Kind::Float } else { kind }
}

/// The tensor as a parameter of its own, which takes gradients.
fn leaf(tensor: &Tensor) -> Tensor {
    tensor.detach().set_requires_grad(true)
}
