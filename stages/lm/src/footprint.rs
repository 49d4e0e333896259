//! The memory of a pass, in closed form: from sizes in the configuration to bytes.
//!
//! It counts what our kernels keep for the backward pass, and one layer's gradients. libtorch's own operations, used
//! where our kernels do not apply, keep somewhat more where they round in several steps. Sizes are named as in the
//! configuration.

use tch::Kind;

use crate::config::Config;
use crate::device::Options;
use crate::{models, ops};

/// Returns the peak memory of a training pass over `tokens` tokens in bytes, without the head. With `recompute`, the
/// pass keeps only the input of each layer and one layer's activations.
pub fn activations(config: &Config, dtype: Kind, tokens: usize, recompute: bool) -> u64 {
    let layers: Vec<i64> =
        (0..config.num_hidden_layers as usize).map(|layer| attention(config) + mlp(config, layer)).collect();
    let widest = layers.iter().max().copied().unwrap_or(0);
    let kept = if recompute { config.hidden_size * config.num_hidden_layers + widest } else { layers.iter().sum() };
    // Adds the last norm's input and output, and the gradients of a layer, which are as many as its activations.
    let elements = kept + widest + 2 * config.hidden_size;
    bytes(elements, dtype).saturating_mul(tokens as u64)
}

/// Returns the bytes of `copies` sets of logits for a chunk of tokens.
pub fn logits(config: &Config, dtype: Kind, chunk: usize, copies: usize) -> u64 {
    bytes(config.vocab_size, dtype).saturating_mul(chunk.saturating_mul(copies) as u64)
}

/// Returns the bytes of the KV cache for `rows` rows of `length` tokens.
pub fn cache(config: &Config, options: Options, rows: usize, length: usize) -> u64 {
    ops::cache_bytes(config, options, rows.saturating_mul(length))
}

/// Returns the shapes of a language model's parameters, by name.
pub fn parameters(config: &Config) -> Vec<(String, Vec<i64>)> {
    models::specs(config, models::Head::Vocabulary)
}

fn bytes(elements: i64, dtype: Kind) -> u64 {
    elements.unsigned_abs() * dtype.elt_size_in_bytes() as u64
}

/// Elements that attention keeps for each token: the residual stream and its norm, the heads' input and their output.
fn attention(config: &Config) -> i64 {
    let (heads, groups, width) = (config.num_attention_heads, config.num_key_value_heads, config.head_dim);
    // Queries, keys and values, and the output; with head norms, also queries and keys before their norms.
    let has_head_norms = (models::of(config).style)(config).is_some_and(|style| style.head_norms);
    let sets = if has_head_norms { 3 } else { 2 };
    let inner = match &config.latent {
        Some(latent) => {
            let (query, value) = (latent.qk_nope_head_dim + latent.qk_rope_head_dim, latent.v_head_dim);
            // Low-rank vectors before and after their norms; queries and keys before and after rotation; values, and
            // the result.
            2 * (latent.q_lora_rank.unwrap_or(0) + latent.kv_lora_rank) + heads * (4 * query + 3 * value)
        }
        None => sets * (heads + groups) * width,
    };
    2 * config.hidden_size + inner
}

/// Elements that an MLP keeps for each token: the residual stream and its norm, gate and up, and their product.
fn mlp(config: &Config, layer: usize) -> i64 {
    let inner = match config.experts.as_ref().filter(|experts| experts.are_in(layer)) {
        Some(experts) => {
            let (chosen, shared) = (experts.num_experts_per_tok, experts.n_shared_experts);
            3 * (chosen + shared) * experts.moe_intermediate_size
                + 2 * chosen * config.hidden_size
                + 2 * experts.n_routed_experts
        }
        None => 3 * config.intermediate_size,
    };
    2 * config.hidden_size + inner
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;
    use crate::config::Shape;

    fn config() -> Config {
        let shape = Shape {
            vocab_size: 100,
            hidden_size: 16,
            intermediate_size: 40,
            num_hidden_layers: 3,
            num_attention_heads: 4,
            num_key_value_heads: 2,
            head_dim: Some(8),
            rope_theta: 1e4,
            max_position_embeddings: 64,
            tie_word_embeddings: true,
        };
        Config::new("qwen2", &shape).expect("a small model")
    }

    #[test]
    fn a_pass_keeps_what_can_be_counted_by_hand() {
        // Attention: 2 x 16 and 2 x (4 + 2) x 8. MLP: 2 x 16 and 3 x 40.
        let layer = 128 + 152;
        let whole = 4 * (3 * layer + layer + 32);
        assert_eq!(activations(&config(), Kind::Float, 1, false), whole);
        assert_eq!(activations(&config(), Kind::BFloat16, 10, false), 5 * whole);
        assert_eq!(activations(&config(), Kind::Float, 1, true), 4 * (3 * 16 + 2 * layer + 32));
        assert_eq!(logits(&config(), Kind::Float, 7, 2), 4 * 7 * 2 * 100);
    }

    #[test]
    fn a_cache_has_keys_and_values_of_each_layer() {
        let of = |device, dtype| cache(&config(), Options { device, dtype }, 5, 11);
        assert_eq!(of(Device::Cuda(0), Kind::BFloat16), 2 * 2 * 2 * 8 * 3 * 55);
        assert_eq!(of(Device::Cpu, Kind::Float), 4 * 2 * 2 * 8 * 3 * 55);
        assert_eq!(of(Device::Cpu, Kind::BFloat16), 4 * 2 * 2 * 8 * 3 * 55, "in single precision");
    }
}
