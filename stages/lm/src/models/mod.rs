//! The architectures: one file and one row of [`ARCHITECTURES`] each.

mod decoder;
mod deepseek_v3;
mod grouped;
mod head;
mod layers;
mod llama;
mod mistral;
mod qwen2;
mod qwen3;
mod qwen3_moe;
mod read;

use serde_json::{Map, Value};
use tch::Tensor;

use crate::attention::Attend;
use crate::config::{Config, Error, ReadKeys, Shape};
use crate::layers::grouped::Style;
use crate::weights::{Spec, Weights};
pub(crate) use head::{Head, specs};
pub(crate) use layers::fate;

/// Every architecture this crate can build.
pub const ARCHITECTURES: &[Architecture] = &[
    deepseek_v3::ARCHITECTURE,
    llama::ARCHITECTURE,
    mistral::ARCHITECTURE,
    qwen2::ARCHITECTURE,
    qwen3::ARCHITECTURE,
    qwen3_moe::ARCHITECTURE,
];

/// A network from token ids to final hidden states, without the head.
pub(crate) trait CausalLm: Send {
    /// Returns the first state of the residual stream, [n, d].
    fn embed(&self, ids_n: &Tensor) -> Tensor;

    fn num_layers(&self) -> usize;

    /// Returns the residual stream after a layer, [n, d]; `x_nd` may be overwritten.
    fn layer(&self, layer: usize, x_nd: &Tensor, attend: &mut dyn Attend) -> Tensor;

    /// Applies the final norm.
    fn norm(&self, x_nd: &Tensor) -> Tensor;

    /// Returns the hidden state after the final norm of every token, [n, d].
    fn hidden(&self, ids_n: &Tensor, attend: &mut dyn Attend) -> Tensor {
        let last_nd = (0..self.num_layers()).fold(self.embed(ids_n), |x_nd, layer| self.layer(layer, &x_nd, attend));
        self.norm(&last_nd)
    }
}

/// The description of an architecture.
pub struct Architecture {
    /// The value of `model_type` in `config.json`.
    pub model_type: &'static str,
    /// The class that transformers reads a language model with.
    pub causal_lm_class: &'static str,
    /// The class that transformers reads a reward model with.
    pub classifier_class: &'static str,
    /// Reads the keys in which architectures differ, and refuses values that this one does not support.
    pub(crate) read: ReadKeys,
    /// The keys of a new model's `config.json` in addition to those that all architectures share.
    pub(crate) keys_of_new: fn(&Shape) -> Map<String, Value>,
    /// Whether a tensor of a checkpoint is ignored, because the network built here has no part for it.
    pub(crate) ignores: fn(&Config, &str) -> bool,
    /// The style of its grouped-query attention; `None` if it has another kind of attention.
    pub(crate) style: fn(&Config) -> Option<Style>,
    /// Names and shapes of the parameters below the head.
    pub(crate) parameters: fn(&Config) -> Vec<Spec>,
    /// Builds the network; it may make parameters contiguous in memory.
    pub(crate) build: fn(&Config, &mut Weights) -> Box<dyn CausalLm>,
}

/// Finds an architecture by `model_type`.
pub fn architecture(model_type: &str) -> Result<&'static Architecture, Error> {
    ARCHITECTURES.iter().find(|row| row.model_type == model_type).ok_or_else(|| Error::Architecture {
        found: model_type.to_owned(),
        supported: ARCHITECTURES.iter().map(|row| row.model_type).collect::<Vec<_>>().join(", "),
    })
}

/// Returns the architecture of a configuration.
pub(crate) fn of(config: &Config) -> &'static Architecture {
    architecture(&config.model_type).expect("a configuration is checked when it is made")
}
