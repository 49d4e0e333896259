//! Llama 2 and 3: the plain decoder; `attention_bias` puts biases on all four projections.

use super::Architecture;
use super::decoder::{self, Biases};
use crate::config::Config;

pub(super) const ARCHITECTURE: Architecture = Architecture {
    model_type: "llama",
    causal_lm_class: "LlamaForCausalLM",
    classifier_class: "LlamaForSequenceClassification",
    parameters: |config| decoder::parameters(config, biases(config)),
    build: |config, weights| decoder::build(config, weights, biases(config)),
};

fn biases(config: &Config) -> Biases {
    Biases { qkv: config.attention_bias, o: config.attention_bias }
}
