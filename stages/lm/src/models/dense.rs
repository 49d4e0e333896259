//! The Llama family: every layer has grouped-query attention and one SwiGLU MLP; a [`Style`] describes how its members
//! differ.

use super::{CausalLm, decoder};
use crate::config::Config;
use crate::layers::grouped::{GroupedAttention, Style};
use crate::layers::mlp::SwiGlu;
use crate::weights::{Spec, Weights};

pub(super) fn parameters(config: &Config, style: Style) -> Vec<Spec> {
    decoder::parameters(config, |_| {
        let mlp = SwiGlu::parameters("mlp", config.hidden_size, config.intermediate_size);
        [GroupedAttention::parameters(config, style), mlp].concat()
    })
}

pub(super) fn build(config: &Config, weights: &mut Weights, style: Style) -> Box<dyn CausalLm> {
    decoder::build(config, weights, |weights, layer, prefix| {
        let attention = GroupedAttention::new(config, weights, layer, prefix, style);
        (Box::new(attention), Box::new(SwiGlu::new(weights, &format!("{prefix}.mlp"))))
    })
}
