//! Qwen2 and Qwen2.5: the plain decoder with biases on q, k and v; the later layers may have windows.

use serde_json::Map;

use super::{Architecture, grouped};
use crate::config::windows;
use crate::layers::grouped::Style;

const STYLE: Style = Style { qkv_bias: true, o_bias: false, head_norms: false };

pub(super) const ARCHITECTURE: Architecture = Architecture {
    model_type: "qwen2",
    causal_lm_class: "Qwen2ForCausalLM",
    classifier_class: "Qwen2ForSequenceClassification",
    read: |keys, config| {
        config.windows = windows::windows(keys, config.num_hidden_layers)?;
        Ok(())
    },
    keys_of_new: |_| Map::new(),
    ignores: |_, _| false,
    style: |_| Some(STYLE),
    parameters: |config| grouped::parameters(config, STYLE),
    build: |config, weights| grouped::build(config, weights, STYLE),
};
