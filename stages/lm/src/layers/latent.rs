//! Multi-head latent attention (DeepSeek-V2, section 2.1; DeepSeek-V3, section 2.1.1): keys and values of all heads are
//! made from one latent vector a token, and one rotated key is shared by all heads.
//!
//! Two forms give the same numbers. Expanded, every head's keys and values are made and attention is the ordinary one:
//! for training and prompts. Absorbed, the matrix that would make them is applied to the query and to the output instead,
//! so that attention runs over the latents themselves: for decoding, where the cache holds nothing else. Shapes: n
//! tokens, h heads, r rank of the latent, p rotated channels, c = r + p cached channels, t cached places, v width
//! of a value head; e other channels, w the widest of a head.

use tch::Tensor;

use super::Attention;
use super::linear::FusedLinear;
use crate::attention::Attend;
use crate::config::{Config, Latent};
use crate::heads::Heads;
use crate::ops::{Layout, linear, linear_add, packed_attention, rms_norm};
use crate::weights::{Spec, Weights};

/// The norms of the latents do not follow `rms_norm_eps` in transformers, nor in DeepSeek's own code.
const EPS: f64 = 1e-6;

/// One layer's attention.
pub(crate) struct LatentAttention {
    layer: usize,
    num_heads: i64,
    sizes: Latent,
    scale: f64,
    /// Queries, or what they are squeezed to; then the latent and the shared key.
    first: FusedLinear,
    query: Option<SecondQuery>,
    kv_norm_r: Tensor,
    kv_b_weight: Tensor,
    o_weight: Tensor,
}

/// The second half of a squeezed query projection.
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
            attention: self,
        };
        let out = attend.attend_latent(self.layer, &tokens);
        linear_add(x_nd, &out, &self.o_weight, None)
    }
}

/// Tokens on their way through one layer's attention.
pub(crate) struct LatentTokens<'a> {
    q_nope_nhe: Tensor,
    q_rope_nhp: Tensor,
    /// What a cache keeps of each: the normed latent and the rotated key.
    pub(crate) cached_nc: Tensor,
    attention: &'a LatentAttention,
}

impl LatentTokens<'_> {
    /// Attention of packed rows over themselves, [n, h v], with every head's keys and values made.
    ///
    /// Ordinary attention wants queries, keys and values of one width, and divides by its root: the narrower ones are
    /// filled with zeros, and the queries carry what the scale differs by.
    pub(crate) fn attend_expanded(&self, layout: &Layout) -> Tensor {
        let LatentAttention { num_heads, ref sizes, scale, ref kv_b_weight, .. } = *self.attention;
        let (nope, rope, value) = (sizes.qk_nope_head_dim, sizes.qk_rope_head_dim, sizes.v_head_dim);
        let (n, width) = (self.cached_nc.size()[0], value.max(nope + rope));
        let latent_nr = self.cached_nc.narrow(1, 0, sizes.kv_lora_rank);
        let key_nhp =
            self.cached_nc.narrow(1, sizes.kv_lora_rank, rope).unsqueeze(1).expand([n, num_heads, rope], false);
        let made_nhe = linear(&latent_nr, kv_b_weight).view([n, num_heads, nope + value]);
        let fill = |parts: &[&Tensor], missing: i64| {
            let zeros = Tensor::zeros([n, num_heads, missing], (made_nhe.kind(), made_nhe.device()));
            Tensor::cat(&[parts, &[&zeros]].concat(), 2)
        };
        let queries =
            fill(&[&self.q_nope_nhe, &self.q_rope_nhp], width - nope - rope) * (scale * (width as f64).sqrt());
        let keys = fill(&[&made_nhe.narrow(2, 0, nope), &key_nhp], width - nope - rope);
        let values = fill(&[&made_nhe.narrow(2, nope, value)], width - value);
        let qkv_nc = Tensor::cat(&[queries, keys, values], 1).view([n, 3 * num_heads * width]);
        let heads = Heads { query: num_heads, key_value: num_heads, dim: width, window: None };
        let out_nhw = packed_attention(&qkv_nc, layout, heads).view([n, num_heads, width]);
        out_nhw.narrow(2, 0, value).reshape([n, num_heads * value])
    }

    /// Attention of one token a row over cached latents, of which `mask` says what each sees, [n, h v].
    pub(crate) fn attend_absorbed(&self, cached_n1tc: &Tensor, mask_n11t: &Tensor) -> Tensor {
        let LatentAttention { num_heads, ref sizes, scale, ref kv_b_weight, .. } = *self.attention;
        let (rank, nope, value) = (sizes.kv_lora_rank, sizes.qk_nope_head_dim, sizes.v_head_dim);
        let up_her = kv_b_weight.view([num_heads, nope + value, rank]);
        let (key_up, value_up) = (up_her.narrow(1, 0, nope), up_her.narrow(1, nope, value));
        let q_nhr = self.q_nope_nhe.transpose(0, 1).bmm(&key_up).transpose(0, 1);
        // The heads stand where other positions would: all of them read the same latents.
        let q_n1hc = Tensor::cat(&[&q_nhr, &self.q_rope_nhp], 2).unsqueeze(1);
        let (latents, mask) = (cached_n1tc.narrow(3, 0, rank), Some(mask_n11t));
        let mixed_n1hr =
            Tensor::scaled_dot_product_attention(&q_n1hc, cached_n1tc, &latents, mask, 0.0, false, scale, false);
        let out_hnv = mixed_n1hr.squeeze_dim(1).transpose(0, 1).bmm(&value_up.transpose(1, 2));
        out_hnv.transpose(0, 1).reshape([-1, num_heads * value])
    }
}
