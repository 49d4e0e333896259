//! Multi-head latent attention (DeepSeek-V2, section 2.1; DeepSeek-V3, section 2.1.1): keys and values of all heads are
//! computed from one latent vector for each token, and all heads share one rotated key.
//!
//! The layer projects its tokens; `attention/latent.rs` attends. Shapes: n tokens, d width of the residual stream, h
//! heads, r rank of the latent, p rotated channels, e other channels, c = r + p cached channels.

use tch::Tensor;

use super::Attention;
use super::linear::FusedLinear;
use crate::attention::{Attend, LatentTokens};
use crate::config::{Config, Latent};
use crate::ops::{linear, linear_add, rms_norm};
use crate::weights::{Spec, Weights};

/// The norms of the latents ignore `rms_norm_eps` in transformers and in DeepSeek's own code.
const EPS: f64 = 1e-6;

/// One layer's attention.
pub(crate) struct LatentAttention {
    layer: usize,
    num_heads: i64,
    sizes: Latent,
    scale: f64,
    /// Projects to queries, or to their low-rank vector; then to the latent and the shared key.
    first: FusedLinear,
    query: Option<SecondQuery>,
    kv_norm_r: Tensor,
    kv_b_weight: Tensor,
    o_weight: Tensor,
}

/// The second half of a low-rank query projection.
struct SecondQuery {
    norm_q: Tensor,
    weight: Tensor,
}

impl LatentAttention {
    /// Lists the parameters below the layer.
    pub(crate) fn parameters(config: &Config, sizes: &Latent) -> Vec<Spec> {
        let (d, h, rank) = (config.hidden_size, config.num_attention_heads, sizes.kv_lora_rank);
        let mut specs = Vec::new();
        let mut add = |name: &str, shape: &[i64]| specs.push((format!("self_attn.{name}.weight"), shape.to_vec()));
        match sizes.q_lora_rank {
            None => add("q_proj", &[h * sizes.qk_head_dim(), d]),
            Some(q_rank) => {
                add("q_a_proj", &[q_rank, d]);
                add("q_a_layernorm", &[q_rank]);
                add("q_b_proj", &[h * sizes.qk_head_dim(), q_rank]);
            }
        }
        add("kv_a_proj_with_mqa", &[sizes.cached_width(), d]);
        add("kv_a_layernorm", &[rank]);
        add("kv_b_proj", &[h * (sizes.qk_nope_head_dim + sizes.v_head_dim), rank]);
        add("o_proj", &[d, h * sizes.v_head_dim]);
        specs
    }

    pub(crate) fn new(config: &Config, sizes: &Latent, weights: &mut Weights, layer: usize, prefix: &str) -> Self {
        let name = |part: &str| format!("{prefix}.self_attn.{part}");
        let query = if sizes.q_lora_rank.is_some() { "q_a_proj" } else { "q_proj" };
        let first = FusedLinear::new(weights, &[name(query), name("kv_a_proj_with_mqa")], false);
        let mut get = |part: &str| weights.get(&format!("{}.weight", name(part)));
        Self {
            layer,
            num_heads: config.num_attention_heads,
            scale: (sizes.qk_head_dim() as f64).powf(-0.5) * config.rope.softmax_factor(),
            first,
            query: sizes.q_lora_rank.map(|_| SecondQuery { norm_q: get("q_a_layernorm"), weight: get("q_b_proj") }),
            kv_norm_r: get("kv_a_layernorm"),
            kv_b_weight: get("kv_b_proj"),
            o_weight: get("o_proj"),
            sizes: sizes.clone(),
        }
    }
}

impl Attention for LatentAttention {
    fn add_to(&self, x_nd: &Tensor, normed_nd: &Tensor, attend: &mut dyn Attend) -> Tensor {
        let Latent { kv_lora_rank: rank, qk_nope_head_dim: nope, qk_rope_head_dim: rope, .. } = self.sizes;
        let first = self.first.forward(normed_nd);
        let q_width = first.size()[1] - self.sizes.cached_width();
        let part = |start: i64, width: i64| first.narrow(1, start, width);
        let q = match &self.query {
            None => part(0, q_width),
            Some(second) => linear(&rms_norm(&part(0, q_width), &second.norm_q, EPS), &second.weight),
        };
        let q_nhe = q.reshape([-1, self.num_heads, nope + rope]);
        let rotate = |x_nhp: &Tensor| {
            let rotation = attend.rotation();
            if self.sizes.rope_interleave { rotation.apply_interleaved(x_nhp) } else { rotation.apply(x_nhp) }
        };
        let latent_nr = rms_norm(&part(q_width, rank), &self.kv_norm_r, EPS);
        let key_np = rotate(&part(q_width + rank, rope).unsqueeze(1)).squeeze_dim(1);
        let tokens = LatentTokens {
            q_nope_nhe: q_nhe.narrow(2, 0, nope),
            q_rope_nhp: rotate(&q_nhe.narrow(2, nope, rope)),
            cached_nc: Tensor::cat(&[latent_nr, key_np], 1),
            sizes: &self.sizes,
            num_heads: self.num_heads,
            scale: self.scale,
            kv_b_weight: &self.kv_b_weight,
        };
        let out = attend.attend_latent(self.layer, &tokens);
        linear_add(x_nd, &out, &self.o_weight, None)
    }
}
