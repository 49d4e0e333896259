//! Llama 2 and 3: the plain decoder; `attention_bias` puts biases on all four projections.

use serde_json::Map;

use super::{Architecture, grouped};
use crate::config::{Config, windows};
use crate::layers::grouped::Style;

pub(super) const ARCHITECTURE: Architecture = Architecture {
    model_type: "llama",
    causal_lm_class: "LlamaForCausalLM",
    classifier_class: "LlamaForSequenceClassification",
    read: |keys, config| windows::refuse(keys, config.num_hidden_layers),
    keys_of_new: |_| Map::new(),
    ignores: |_, _| false,
    style: |config| Some(style(config)),
    parameters: |config| grouped::parameters(config, style(config)),
    build: |config, weights| grouped::build(config, weights, style(config)),
};

fn style(config: &Config) -> Style {
    Style { qkv_bias: config.attention_bias, o_bias: config.attention_bias, head_norms: false }
}
