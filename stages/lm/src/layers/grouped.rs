//! Grouped-query attention with rotary positions (Ainslie et al. 2023): several query heads share a key and value head.
//!
//! Shapes: n tokens, h query heads, g key heads, d width of a head, c = (h + 2g) d channels of q, k and v together.

use tch::Tensor;

use super::Attention;
use super::linear::FusedLinear;
use crate::attention::Attend;
use crate::config::Config;
use crate::heads::Heads;
use crate::ops::{linear_add, rms_norm};
use crate::weights::{Spec, Weights};

/// The differences of architectures in grouped-query attention.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Style {
    /// Whether q, k and v have biases.
    pub(crate) qkv_bias: bool,
    /// Whether the output has a bias.
    pub(crate) o_bias: bool,
    /// Whether each query and key head is normed before it is rotated.
    pub(crate) head_norms: bool,
}

/// One layer's attention.
pub(crate) struct GroupedAttention {
    layer: usize,
    heads: Heads,
    qkv: FusedLinear,
    head_norms: Option<HeadNorms>,
    o_weight: Tensor,
    o_bias: Option<Tensor>,
}

struct HeadNorms {
    q_d: Tensor,
    k_d: Tensor,
    eps: f64,
}

impl GroupedAttention {
    /// Lists the parameters below the layer.
    pub(crate) fn parameters(config: &Config, style: Style) -> Vec<Spec> {
        let (d, width) = (config.hidden_size, config.head_dim);
        let (q, kv) = (config.num_attention_heads * width, config.num_key_value_heads * width);
        let mut specs = Vec::new();
        let mut add = |name: &str, shape: &[i64]| specs.push((format!("self_attn.{name}"), shape.to_vec()));
        for (name, rows) in [("q", q), ("k", kv), ("v", kv)] {
            add(&format!("{name}_proj.weight"), &[rows, d]);
            if style.qkv_bias {
                add(&format!("{name}_proj.bias"), &[rows]);
            }
        }
        if style.head_norms {
            add("q_norm.weight", &[width]);
            add("k_norm.weight", &[width]);
        }
        add("o_proj.weight", &[d, q]);
        if style.o_bias {
            add("o_proj.bias", &[d]);
        }
        specs
    }

    pub(crate) fn new(config: &Config, weights: &mut Weights, layer: usize, prefix: &str, style: Style) -> Self {
        let names = ["q", "k", "v"].map(|name| format!("{prefix}.self_attn.{name}_proj"));
        let qkv = FusedLinear::new(weights, &names, style.qkv_bias);
        let mut get = |name: &str| weights.get(&format!("{prefix}.self_attn.{name}"));
        Self {
            layer,
            heads: Heads {
                query: config.num_attention_heads,
                key_value: config.num_key_value_heads,
                dim: config.head_dim,
                window: config.windows[layer],
            },
            qkv,
            head_norms: style.head_norms.then(|| HeadNorms {
                q_d: get("q_norm.weight"),
                k_d: get("k_norm.weight"),
                eps: config.rms_norm_eps,
            }),
            o_weight: get("o_proj.weight"),
            o_bias: style.o_bias.then(|| get("o_proj.bias")),
        }
    }
}

impl Attention for GroupedAttention {
    fn add_to(&self, x_nd: &Tensor, normed_nd: &Tensor, attend: &mut dyn Attend) -> Tensor {
        let mut qkv_nc = self.qkv.forward(normed_nd);
        if let Some(norms) = &self.head_norms {
            qkv_nc = norms.apply(&qkv_nc, self.heads);
        }
        let attention = attend.attend(self.layer, &qkv_nc, self.heads);
        linear_add(x_nd, &attention, &self.o_weight, self.o_bias.as_ref())
    }
}

impl HeadNorms {
    /// Normalises each query and key head over its own channels; values stay the same.
    fn apply(&self, qkv_nc: &Tensor, heads: Heads) -> Tensor {
        let n = qkv_nc.size()[0];
        let widths = [heads.query, heads.key_value, heads.key_value].map(|count| count * heads.dim);
        let parts = qkv_nc.split_with_sizes(widths, 1);
        let normed = |part: usize, weight_d: &Tensor| {
            let x_nhd = parts[part].reshape([n, -1, heads.dim]);
            rms_norm(&x_nhd, weight_d, self.eps).view([n, widths[part]])
        };
        Tensor::cat(&[&normed(0, &self.q_d), &normed(1, &self.k_d), &parts[2]], 1)
    }
}
