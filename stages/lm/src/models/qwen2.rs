//! Qwen2 and Qwen2.5: the plain decoder with biases on q, k and v.

use super::Architecture;
use super::decoder::{self, Biases};

const BIASES: Biases = Biases { qkv: true, o: false };

pub(super) const ARCHITECTURE: Architecture = Architecture {
    model_type: "qwen2",
    causal_lm_class: "Qwen2ForCausalLM",
    classifier_class: "Qwen2ForSequenceClassification",
    parameters: |config| decoder::parameters(config, BIASES),
    build: |config, weights| decoder::build(config, weights, BIASES),
};
