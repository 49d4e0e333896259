//! Attention over latents (DeepSeek-V2, section 2.1), in two forms that give the same numbers.
//!
//! The expanded form computes every head's keys and values from the latents, followed by ordinary attention; training
//! and prompts use it. The absorbed form applies that matrix to the query and to the output instead, so that attention
//! runs over the latents themselves; decoding uses it, because the cache contains only latents. Shapes: n tokens, h
//! heads, r rank of the latent, p rotated channels, c = r + p cached channels, t cache positions, v width of a value
//! head; e other channels, w the widest of a head.

use tch::Tensor;

use crate::config::Latent;
use crate::heads::Heads;
use crate::ops::{Layout, linear, packed_attention};

/// Projected tokens, the input of one layer's attention.
pub(crate) struct LatentTokens<'a> {
    pub(crate) q_nope_nhe: Tensor,
    pub(crate) q_rope_nhp: Tensor,
    /// What the cache stores for each token: the normed latent and the rotated key.
    pub(crate) cached_nc: Tensor,
    pub(crate) num_heads: i64,
    pub(crate) sizes: &'a Latent,
    pub(crate) scale: f64,
    /// The weight that expands a latent to every head's keys and values.
    pub(crate) kv_b_weight: &'a Tensor,
}

impl LatentTokens<'_> {
    /// Returns attention of packed rows over themselves, [n, h v], in the expanded form.
    ///
    /// Ordinary attention needs queries, keys and values of one width, and divides by the root of that width. The
    /// narrower ones are padded with zeros, and the queries are scaled by the ratio of the two scales.
    pub(crate) fn attend_expanded(&self, layout: &Layout) -> Tensor {
        let Self { num_heads, sizes, scale, kv_b_weight, .. } = *self;
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

    /// Returns attention of one token for each row over the cached latents that `mask` lets it see, [n, h v].
    pub(crate) fn attend_absorbed(&self, cached_n1tc: &Tensor, mask_n11t: &Tensor) -> Tensor {
        let Self { num_heads, sizes, scale, kv_b_weight, .. } = *self;
        let (rank, nope, value) = (sizes.kv_lora_rank, sizes.qk_nope_head_dim, sizes.v_head_dim);
        let up_her = kv_b_weight.view([num_heads, nope + value, rank]);
        let (key_up, value_up) = (up_her.narrow(1, 0, nope), up_her.narrow(1, nope, value));
        let q_nhr = self.q_nope_nhe.transpose(0, 1).bmm(&key_up).transpose(0, 1);
        // The heads are in the dimension of query positions, because all of them read the same latents.
        let q_n1hc = Tensor::cat(&[&q_nhr, &self.q_rope_nhp], 2).unsqueeze(1);
        let (latents, mask) = (cached_n1tc.narrow(3, 0, rank), Some(mask_n11t));
        let mixed_n1hr =
            Tensor::scaled_dot_product_attention(&q_n1hc, cached_n1tc, &latents, mask, 0.0, false, scale, false);
        let out_hnv = mixed_n1hr.squeeze_dim(1).transpose(0, 1).bmm(&value_up.transpose(1, 2));
        out_hnv.transpose(0, 1).reshape([-1, num_heads * value])
    }
}
