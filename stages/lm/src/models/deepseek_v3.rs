//! DeepSeek-V3, V3.1 and R1: multi-head latent attention, and a mixture of experts from `first_k_dense_replace` on.
//!
//! The layers of multi-token prediction that follow the last one in a checkpoint are ignored: only pretraining and
//! speculative decoding use them, and transformers ignores them too. The released e4m3 weights must be converted first.

use serde_json::{Map, Value, json};

use super::layers::layer_of;
use super::{Architecture, decoder};
use crate::config::keys::key_error;
use crate::config::{Config, Experts, Latent, Shape, windows};
use crate::layers::latent::LatentAttention;

pub(super) const ARCHITECTURE: Architecture = Architecture {
    model_type: "deepseek_v3",
    causal_lm_class: "DeepseekV3ForCausalLM",
    classifier_class: "DeepseekV3ForSequenceClassification",
    read: |keys, config| {
        windows::refuse(keys, config.num_hidden_layers)?;
        if config.attention_bias {
            return Err(key_error("attention_bias", "true is not supported for `deepseek_v3`".to_owned()));
        }
        if config.num_key_value_heads != config.num_attention_heads {
            let (keys, queries) = (config.num_key_value_heads, config.num_attention_heads);
            let reason = format!("{keys} differs from num_attention_heads = {queries}; latent attention has no groups");
            return Err(key_error("num_key_value_heads", reason));
        }
        let latent = Latent::parse(keys)?;
        config.head_dim = latent.qk_rope_head_dim;
        config.latent = Some(latent);
        config.experts = Some(Experts::parse_grouped(keys, config.num_hidden_layers)?);
        Ok(())
    },
    keys_of_new,
    ignores: |config, name| layer_of(name).is_some_and(|(layer, _)| layer as i64 >= config.num_hidden_layers),
    style: |_| None,
    parameters: |config| decoder::parameters(config, |_| LatentAttention::parameters(config, sizes(config))),
    build: |config, weights| {
        decoder::build(config, weights, |weights, layer, prefix| {
            Box::new(LatentAttention::new(config, sizes(config), weights, layer, prefix))
        })
    },
};

fn sizes(config: &Config) -> &Latent {
    config.latent.as_ref().expect("a configuration of this architecture has them")
}

/// Returns the keys of a small model in the proportions of the large one: a token uses a quarter of eight experts and
/// half of their groups, and rotated channels are half as many as the others. Queries are not low-rank, as in
/// DeepSeek-V2-Lite.
fn keys_of_new(shape: &Shape) -> Map<String, Value> {
    let head = shape.head_dim.unwrap_or(shape.hidden_size / shape.num_attention_heads.max(1));
    let rope = (head / 4 * 2).max(2);
    let keys = json!({
        "head_dim": rope,
        "q_lora_rank": null,
        "kv_lora_rank": 2 * head,
        "qk_nope_head_dim": head,
        "qk_rope_head_dim": rope,
        "v_head_dim": head,
        "rope_interleave": true,
        // A multiple of eight, which is sixteen bytes even in bf16: transformers' grouped matmuls refuse other widths.
        "moe_intermediate_size": (shape.intermediate_size / 4 + 7) / 8 * 8,
        "n_routed_experts": 8,
        "n_shared_experts": 1,
        "num_experts_per_tok": 2,
        "n_group": 4,
        "topk_group": 2,
        "norm_topk_prob": true,
        "routed_scaling_factor": 1.0,
        "first_k_dense_replace": i64::from(shape.num_hidden_layers > 1),
    });
    keys.as_object().expect("a table was written").clone()
}
