//! The common structure of all decoders: an embedding; layers of attention and MLP, each after its own norm and added
//! to the residual stream; and a final norm. No dropout. A layer's MLP is a mixture of experts where the configuration
//! says so.
//!
//! Shapes: n tokens of all rows, d width of the residual stream, v vocabulary.

use tch::Tensor;

use super::CausalLm;
use crate::attention::Attend;
use crate::config::Config;
use crate::layers::experts::Mixture;
use crate::layers::mlp::SwiGlu;
use crate::layers::{Attention, Mlp};
use crate::ops::{rms_norm, rms_norm_residual};
use crate::weights::{Spec, Weights};

const INPUT_NORM: &str = "input_layernorm.weight";
const POST_NORM: &str = "post_attention_layernorm.weight";

/// Lists names and shapes of all parameters below the head; `attention` lists those of one layer's attention.
pub(super) fn parameters(config: &Config, attention: impl Fn(usize) -> Vec<Spec>) -> Vec<Spec> {
    let d = config.hidden_size;
    let mut specs = vec![
        ("model.embed_tokens.weight".to_owned(), vec![config.vocab_size, d]),
        ("model.norm.weight".to_owned(), vec![d]),
    ];
    for layer in 0..config.num_hidden_layers as usize {
        let norms = [INPUT_NORM, POST_NORM].map(|name| (name.to_owned(), vec![d]));
        let named = |(name, shape): Spec| (format!("{}.{name}", prefix(layer)), shape);
        specs.extend(norms.into_iter().chain(attention(layer)).chain(mlp_parameters(config, layer)).map(named));
    }
    specs
}

/// Builds the network; `attention` makes a layer's attention from the weights below a prefix.
pub(super) fn build(
    config: &Config,
    weights: &mut Weights,
    attention: impl Fn(&mut Weights, usize, &str) -> Box<dyn Attention>,
) -> Box<dyn CausalLm> {
    let layers = (0..config.num_hidden_layers as usize).map(|layer| {
        let prefix = prefix(layer);
        Layer {
            attention: attention(weights, layer, &prefix),
            mlp: mlp(config, weights, layer, &format!("{prefix}.mlp")),
            input_norm_d: weights.get(&format!("{prefix}.{INPUT_NORM}")),
            post_norm_d: weights.get(&format!("{prefix}.{POST_NORM}")),
        }
    });
    let layers = layers.collect();
    Box::new(Decoder {
        eps: config.rms_norm_eps,
        embed_vd: weights.get("model.embed_tokens.weight"),
        layers,
        norm_d: weights.get("model.norm.weight"),
    })
}

fn mlp_parameters(config: &Config, layer: usize) -> Vec<Spec> {
    match config.experts.as_ref().filter(|experts| experts.are_in(layer)) {
        Some(experts) => Mixture::parameters("mlp", config.hidden_size, experts),
        None => SwiGlu::parameters("mlp", config.hidden_size, config.intermediate_size),
    }
}

fn mlp(config: &Config, weights: &mut Weights, layer: usize, name: &str) -> Box<dyn Mlp> {
    match config.experts.as_ref().filter(|experts| experts.are_in(layer)) {
        Some(experts) => Box::new(Mixture::new(weights, name, experts)),
        None => Box::new(SwiGlu::new(weights, name)),
    }
}

fn prefix(layer: usize) -> String {
    format!("model.layers.{layer}")
}

struct Decoder {
    eps: f64,
    embed_vd: Tensor,
    layers: Vec<Layer>,
    norm_d: Tensor,
}

struct Layer {
    input_norm_d: Tensor,
    attention: Box<dyn Attention>,
    post_norm_d: Tensor,
    mlp: Box<dyn Mlp>,
}

impl CausalLm for Decoder {
    fn embed(&self, ids_n: &Tensor) -> Tensor {
        Tensor::embedding(&self.embed_vd, ids_n, -1, false, false)
    }

    fn num_layers(&self) -> usize {
        self.layers.len()
    }

    fn layer(&self, layer: usize, x_nd: &Tensor, attend: &mut dyn Attend) -> Tensor {
        let layer = &self.layers[layer];
        let (x_nd, normed_nd) = rms_norm_residual(x_nd, &layer.input_norm_d, self.eps);
        let x_nd = layer.attention.add_to(&x_nd, &normed_nd, attend);
        let (x_nd, normed_nd) = rms_norm_residual(&x_nd, &layer.post_norm_d, self.eps);
        layer.mlp.add_to(&x_nd, &normed_nd)
    }

    fn norm(&self, x_nd: &Tensor) -> Tensor {
        rms_norm(x_nd, &self.norm_d, self.eps)
    }
}
