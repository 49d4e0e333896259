//! A language model: a network, its head and its named parameters.
//!
//! Parameters are leaves named as in the checkpoint. Gradients are computed unless they are off: hold a
//! [`tch::no_grad_guard`] around a pass that needs none.

use std::cell::RefCell;
use std::path::Path;

use serde_json::json;
use tch::{Device, Kind, Tensor};

use crate::attention::{Attend, PackedRows};
use crate::config::{self, Config};
use crate::device::Options;
use crate::dropout::Passes;
use crate::models::{self, CausalLm, Head, specs};
use crate::ops::{self, Layout};
use crate::pass::Pass;
use crate::rope::{RopeTable, Rotation};
use crate::rows::Rows;
use crate::weights::{self, Weights};
use crate::{checkpoint, shim};

/// Why a model cannot be made, read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its configuration is wrong.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// Its weights are wrong.
    #[error(transparent)]
    Weights(#[from] weights::Error),
    /// A file cannot be written.
    #[error(transparent)]
    File(#[from] checkpoint::Error),
    /// A folder cannot be made.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// A causal language model.
pub struct Model {
    /// The configuration.
    pub config: Config,
    network: Box<dyn CausalLm>,
    head: Head,
    head_vd: Tensor,
    parameters: Vec<(String, Tensor)>,
    ignored: Vec<String>,
    non_finite: Vec<(String, u64)>,
    options: Options,
    // Grows to the longest row seen, so that a model for long contexts does not pay for positions that are not used.
    rope: RefCell<RopeTable>,
    passes: Passes,
}

impl Model {
    /// Makes a new model in single precision, its weights drawn from `seed` (see `weights.rs` for the scales).
    pub fn init(config: Config, seed: u64, device: Device) -> Self {
        let specs = specs(&config, Head::Vocabulary);
        let weights = Weights::init(&specs, config.hidden_size, seed, device);
        Self::built(config, weights, Head::Vocabulary, Options { device, dtype: Kind::Float })
    }

    /// Reads a Hugging Face folder: `config.json` and safetensors weights.
    pub fn load(dir: &Path, options: &Options) -> Result<Self, Error> {
        Self::load_layers(dir, options, None)
    }

    /// Does the same as [`load`](Self::load), with only these layers of the folder's, numbered anew in this order; no
    /// weight of another layer is read. `None` reads all.
    pub fn load_layers(dir: &Path, options: &Options, layers: Option<&[usize]>) -> Result<Self, Error> {
        checkpoint::refuse_pickle(dir)?;
        Self::load_with_head(dir, options, Head::Vocabulary, layers)
    }

    /// Checks a folder as [`load_layers`](Self::load_layers) does, without reading a weight: the configuration, the names
    /// and shapes of the tensors, their size beside the machine's memory.
    pub fn inspect_layers(dir: &Path, options: &Options, layers: Option<&[usize]>) -> Result<Config, Error> {
        checkpoint::refuse_pickle(dir)?;
        Self::inspect_with_head(dir, options, Head::Vocabulary, layers)
    }

    pub(crate) fn inspect_with_head(
        dir: &Path,
        options: &Options,
        head: Head,
        layers: Option<&[usize]>,
    ) -> Result<Config, Error> {
        Ok(Self::open(dir, options, head, layers)?.0)
    }

    pub(crate) fn load_with_head(
        dir: &Path,
        options: &Options,
        head: Head,
        layers: Option<&[usize]>,
    ) -> Result<Self, Error> {
        let (config, weights, ignored) = Self::open(dir, options, head, layers)?;
        Ok(Self { ignored, ..Self::build(config, weights, head, *options)? })
    }

    /// Returns the configuration, the weights, which are not read yet, and the names of tensors that are ignored.
    fn open(
        dir: &Path,
        options: &Options,
        head: Head,
        layers: Option<&[usize]>,
    ) -> Result<(Config, Weights, Vec<String>), Error> {
        let whole = Config::load(dir)?;
        let config = layers.map_or_else(|| Ok(whole.clone()), |layers| whole.with_layers(layers))?;
        let files = weights::open(dir)?;
        // Checked before a list of that many names is made.
        whole.check_count(files.iter().map(|file| file.entries().len()).sum()).map_err(weights::Error::Mismatch)?;
        let fate = |name: &str| models::fate(&whole, layers, name);
        let (weights, ignored) = Weights::load(files, &specs(&config, head), fate, *options)?;
        Ok((config, weights, ignored))
    }

    /// Builds a model from weights in memory.
    pub(crate) fn built(config: Config, weights: Weights, head: Head, options: Options) -> Self {
        Self::build(config, weights, head, options).expect("no file is read")
    }

    fn build(config: Config, mut weights: Weights, head: Head, options: Options) -> Result<Self, weights::Error> {
        let network = (models::of(&config).build)(&config, &mut weights);
        let head_vd = weights.get(head.weight_name(&config));
        let rope = RopeTable::new(&config.rope, config.head_dim, 64, options.device, options.dtype);
        let (parameters, non_finite) = weights.finish()?;
        if options.dtype != Kind::Double {
            let leaves: Vec<&Tensor> = parameters.iter().map(|(_, parameter)| parameter).collect();
            shim::torch::grads_in_single(&leaves).expect("parameters are leaves");
        }
        let (ignored, rope) = (Vec::new(), RefCell::new(rope));
        let passes = Passes::default();
        Ok(Self { config, network, head, head_vd, parameters, ignored, non_finite, options, rope, passes })
    }

    /// Writes `config.json`, `generation_config.json` and `model.safetensors`; equal models give equal bytes.
    pub fn save(&self, dir: &Path) -> Result<(), Error> {
        self.save_with(dir, self.config.clone())
    }

    /// Does the same as [`save`](Self::save), with `eos` first among the tokens that end a completion. Readers of the
    /// folder then stop at the token that the model has learnt.
    pub fn save_ending(&self, dir: &Path, eos: i64) -> Result<(), Error> {
        let mut config = self.config.clone();
        if !config.eos_token_ids.contains(&eos) {
            let ends: Vec<i64> = std::iter::once(eos).chain(config.eos_token_ids.iter().copied()).collect();
            config.set_ends(&ends);
        }
        self.save_with(dir, config)
    }

    pub(crate) fn save_with(&self, dir: &Path, mut config: Config) -> Result<(), Error> {
        fs_err::create_dir_all(dir)?;
        // transformers 5 calls this key `dtype`; a document has one of the two.
        let key = if config.has("dtype") { "dtype" } else { "torch_dtype" };
        config.set(key, json!(dtype_name(self.options.dtype)));
        config.save(dir)?;
        Ok(checkpoint::save_tensors(&dir.join("model.safetensors"), &self.parameters)?)
    }

    /// Copies the model and its weights; gradients are not copied.
    #[must_use]
    pub fn deep_copy(&self) -> Self {
        let parameters = self.parameters.iter().map(|(name, tensor)| (name.clone(), tensor.shallow_clone()));
        Self::built(self.config.clone(), Weights::copies(parameters, self.options), self.head, self.options)
    }

    /// Converts the weights to another element type.
    #[must_use]
    pub fn in_dtype(self, dtype: Kind) -> Self {
        if dtype == self.options.dtype {
            return self;
        }
        let options = Options { dtype, ..self.options };
        Self::built(self.config, Weights::copies(self.parameters, options), self.head, options)
    }

    /// Overwrites the weights with those of a model of the same shape, in place.
    ///
    /// # Panics
    /// When names or shapes differ.
    pub fn copy_weights_from(&self, other: &Self) {
        let _guard = tch::no_grad_guard();
        assert_eq!(self.parameters.len(), other.parameters.len(), "models of different shape");
        for ((name, to), (other_name, from)) in self.parameters.iter().zip(&other.parameters) {
            assert_eq!(name, other_name, "models of different shape");
            to.shallow_clone().copy_(from);
        }
    }

    /// All parameters, sorted by name.
    pub fn parameters(&self) -> &[(String, Tensor)] {
        &self.parameters
    }

    /// Names of the folder's tensors that were ignored, because this network has no part for them: DeepSeek's layers of
    /// multi-token prediction. They are not saved again.
    pub fn ignored(&self) -> &[String] {
        &self.ignored
    }

    /// Names of the folder's tensors that contain infinities or NaN, with their number. They are reported, not refused.
    pub fn non_finite(&self) -> &[(String, u64)] {
        &self.non_finite
    }

    /// Number of weights.
    pub fn num_parameters(&self) -> usize {
        self.parameters.iter().map(|(_, tensor)| tensor.numel()).sum()
    }

    /// The parameters' device.
    pub fn device(&self) -> Device {
        self.options.device
    }

    /// The parameters' element type.
    pub fn dtype(&self) -> Kind {
        self.options.dtype
    }

    /// The parameters' device and element type.
    pub fn options(&self) -> Options {
        self.options
    }

    /// Returns the hidden state after the final norm of every token, [n, d], in packed order. Rows do not see each
    /// other.
    ///
    /// # Panics
    /// On a token outside the vocabulary.
    pub fn hidden(&self, rows: &Rows) -> Tensor {
        let (ids_n, mut attend) = self.packed(rows);
        self.forward(&ids_n, &mut attend)
    }

    /// Runs the forward pass of a training pass over the rows, with the same hidden states as [`Model::hidden`]. With
    /// `recompute`, it keeps only each layer's input (gradient checkpointing). Call [`Pass::backward`] after the head's
    /// backward pass.
    ///
    /// # Panics
    /// On a token outside the vocabulary.
    pub fn pass(&self, rows: &Rows, recompute: bool) -> Pass<'_> {
        let (ids_n, attend) = self.packed(rows);
        self.passes.set(self.passes.number().wrapping_add(1));
        if recompute {
            Pass::recomputing(self.network.as_ref(), ids_n, attend, self.passes.share())
        } else {
            Pass::whole(self.network.as_ref(), &ids_n, attend)
        }
    }

    /// The number of the current training pass, from which dropout is drawn.
    pub fn passes(&self) -> &Passes {
        &self.passes
    }

    fn packed(&self, rows: &Rows) -> (Tensor, PackedRows) {
        let layout = Layout::new(rows, self.options.device);
        let rotation = self.rotation(&layout.positions_n, rows.max_length());
        (Tensor::from_slice(rows.ids()).to_device(self.options.device), PackedRows { layout, rotation })
    }

    /// Returns the logits of hidden states, [n, v].
    pub fn logits(&self, hidden_nd: &Tensor) -> Tensor {
        ops::linear(hidden_nd, &self.head_vd)
    }

    pub(crate) fn forward(&self, ids_n: &Tensor, attend: &mut dyn Attend) -> Tensor {
        self.network.hidden(ids_n, attend)
    }

    /// Returns the rotary angles of tokens at these positions, all below `length`.
    pub(crate) fn rotation(&self, positions_n: &Tensor, length: i64) -> Rotation {
        let mut rope = self.rope.borrow_mut();
        if length > rope.length() {
            let length = length.max(2 * rope.length());
            *rope = RopeTable::new(
                &self.config.rope,
                self.config.head_dim,
                length,
                self.options.device,
                self.options.dtype,
            );
        }
        rope.at(positions_n)
    }

    /// Drops all gradients.
    pub fn zero_grad(&self) -> Result<(), shim::Error> {
        crate::optim::zero_grad(&self.parameters)
    }
}

fn dtype_name(kind: Kind) -> &'static str {
    match kind {
        Kind::BFloat16 => "bfloat16",
        Kind::Half => "float16",
        Kind::Double => "float64",
        _ => "float32",
    }
}
