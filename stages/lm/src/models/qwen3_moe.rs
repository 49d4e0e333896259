//! Qwen3-MoE: Qwen3's attention, and a mixture of experts in every `decoder_sparse_step`-th layer that is not one of
//! `mlp_only_layers`.
//!
//! As in transformers, a window is that of all layers. The router's auxiliary loss (`router_aux_loss_coef`) is not part
//! of any training here.

use serde_json::{Map, Value, json};

use super::qwen3::style;
use super::{Architecture, grouped};
use crate::config::keys::{Keys, key_error};
use crate::config::{Error, Experts, Shape, windows};

pub(super) const ARCHITECTURE: Architecture = Architecture {
    model_type: "qwen3_moe",
    causal_lm_class: "Qwen3MoeForCausalLM",
    classifier_class: "Qwen3MoeForSequenceClassification",
    read: |keys, config| {
        config.windows = windows::same(keys, config.num_hidden_layers, window(keys)?)?;
        config.experts = Some(Experts::parse_softmax(keys, config.num_hidden_layers)?);
        Ok(())
    },
    keys_of_new,
    ignores: |_, _| false,
    style: |config| Some(style(config)),
    parameters: |config| grouped::parameters(config, style(config)),
    build: |config, weights| grouped::build(config, weights, style(config)),
};

/// Returns the window of all layers.
fn window(keys: &Keys) -> Result<Option<i64>, Error> {
    if !keys.flag("use_sliding_window")? || keys.get("sliding_window").is_none() {
        return Ok(None);
    }
    // transformers 4 gave a window to the layers from here on, transformers 5 to all.
    if keys.whole_or("max_window_layers", 0)? != 0 {
        let reason = "only 0 is supported for `qwen3_moe` with a window, which is then that of all layers";
        return Err(key_error("max_window_layers", reason.to_owned()));
    }
    keys.count("sliding_window").map(Some)
}

/// Returns the keys of a small model: a token uses a quarter of eight experts, which are narrower than a plain MLP.
fn keys_of_new(shape: &Shape) -> Map<String, Value> {
    let keys = json!({
        // A multiple of eight, which is sixteen bytes even in bf16: transformers' grouped matmuls refuse other widths.
        "moe_intermediate_size": (shape.intermediate_size / 4 + 7) / 8 * 8,
        "num_experts": 8,
        "num_experts_per_tok": 2,
        "norm_topk_prob": true,
        "decoder_sparse_step": 1,
        "mlp_only_layers": [],
    });
    keys.as_object().expect("a table was written").clone()
}
