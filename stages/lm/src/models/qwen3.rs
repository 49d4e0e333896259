//! Qwen3: the plain decoder with a norm on each query and key head; heads may be wider than `hidden_size` divided by
//! their number, `attention_bias` puts biases on all four projections, and the later layers may have windows.

use serde_json::Map;

use super::{Architecture, grouped};
use crate::config::{Config, windows};
use crate::layers::grouped::Style;

/// The width of a head where `config.json` has none, as in transformers.
const HEAD_DIM: i64 = 128;

pub(super) const ARCHITECTURE: Architecture = Architecture {
    model_type: "qwen3",
    causal_lm_class: "Qwen3ForCausalLM",
    classifier_class: "Qwen3ForSequenceClassification",
    read: |keys, config| {
        config.head_dim = keys.count_or("head_dim", HEAD_DIM)?;
        config.windows = windows::windows(keys, config.num_hidden_layers)?;
        Ok(())
    },
    keys_of_new: |_| Map::new(),
    ignores: |_, _| false,
    style: |config| Some(style(config)),
    parameters: |config| grouped::parameters(config, style(config)),
    build: |config, weights| grouped::build(config, weights, style(config)),
};

pub(super) fn style(config: &Config) -> Style {
    Style { qkv_bias: config.attention_bias, o_bias: config.attention_bias, head_norms: true }
}
