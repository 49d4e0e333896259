//! Decoders with grouped-query attention, among them the Llama family; a [`Style`] describes how they differ.

use super::{CausalLm, decoder};
use crate::config::Config;
use crate::layers::grouped::{GroupedAttention, Style};
use crate::weights::{Spec, Weights};

pub(super) fn parameters(config: &Config, style: Style) -> Vec<Spec> {
    decoder::parameters(config, |_| GroupedAttention::parameters(config, style))
}

pub(super) fn build(config: &Config, weights: &mut Weights, style: Style) -> Box<dyn CausalLm> {
    decoder::build(config, weights, |weights, layer, prefix| {
        Box::new(GroupedAttention::new(config, weights, layer, prefix, style))
    })
}
