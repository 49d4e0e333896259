//! The decoder that Llama and Qwen2 share: pre-norm, rotary grouped-query attention, SwiGLU, no dropout.
//!
//! Shapes: n tokens of all rows, d width of the residual stream, c channels of q, k and v together, f width of the MLP.

use tch::Tensor;

use super::CausalLm;
use crate::attention::{Attend, Heads};
use crate::config::Config;
use crate::norm::{rms_norm, swiglu};
use crate::shim;
use crate::weights::{Spec, Weights};

/// Which of attention's projections have biases.
#[derive(Debug, Clone, Copy)]
pub(super) struct Biases {
    pub(super) qkv: bool,
    pub(super) o: bool,
}

/// Lists names and shapes of all parameters below the head.
pub(super) fn parameters(config: &Config, biases: Biases) -> Vec<Spec> {
    let (d, f) = (config.hidden_size, config.intermediate_size);
    let (q, kv) = (config.num_attention_heads * config.head_dim, config.num_key_value_heads * config.head_dim);
    let mut specs = vec![
        ("model.embed_tokens.weight".to_owned(), vec![config.vocab_size, d]),
        ("model.norm.weight".to_owned(), vec![d]),
    ];
    for layer in 0..config.num_hidden_layers {
        let mut add = |name: &str, shape: &[i64]| specs.push((format!("model.layers.{layer}.{name}"), shape.to_vec()));
        add("input_layernorm.weight", &[d]);
        for (name, rows) in [("q", q), ("k", kv), ("v", kv)] {
            add(&format!("self_attn.{name}_proj.weight"), &[rows, d]);
            if biases.qkv {
                add(&format!("self_attn.{name}_proj.bias"), &[rows]);
            }
        }
        add("self_attn.o_proj.weight", &[d, q]);
        if biases.o {
            add("self_attn.o_proj.bias", &[d]);
        }
        add("post_attention_layernorm.weight", &[d]);
        add("mlp.gate_proj.weight", &[f, d]);
        add("mlp.up_proj.weight", &[f, d]);
        add("mlp.down_proj.weight", &[d, f]);
    }
    specs
}

/// Builds the network, laying q, k, v and gate, up together in memory.
pub(super) fn build(config: &Config, weights: &mut Weights, biases: Biases) -> Box<dyn CausalLm> {
    let prefix = |layer: i64| format!("model.layers.{layer}");
    // Moving parameters must be over before the first one is taken as a leaf.
    let fused: Vec<_> = (0..config.num_hidden_layers).map(|layer| fuse(weights, &prefix(layer), biases)).collect();
    weights.require_grad();
    let layers = fused.into_iter().enumerate().map(|(layer, (qkv, gate_up))| {
        let get = |name: &str| weights.get(&format!("{}.{name}", prefix(layer as i64)));
        Layer {
            input_norm_d: get("input_layernorm.weight"),
            qkv: qkv.linear(weights),
            o_weight: get("self_attn.o_proj.weight"),
            o_bias: biases.o.then(|| get("self_attn.o_proj.bias")),
            post_norm_d: get("post_attention_layernorm.weight"),
            gate_up: gate_up.linear(weights),
            down_weight: get("mlp.down_proj.weight"),
        }
    });
    Box::new(Decoder {
        heads: Heads { query: config.num_attention_heads, key_value: config.num_key_value_heads, dim: config.head_dim },
        eps: config.rms_norm_eps,
        layers: layers.collect(),
        embed_vd: weights.get("model.embed_tokens.weight"),
        norm_d: weights.get("model.norm.weight"),
    })
}

struct Decoder {
    heads: Heads,
    eps: f64,
    embed_vd: Tensor,
    layers: Vec<Layer>,
    norm_d: Tensor,
}

struct Layer {
    input_norm_d: Tensor,
    qkv: FusedLinear,
    o_weight: Tensor,
    o_bias: Option<Tensor>,
    post_norm_d: Tensor,
    gate_up: FusedLinear,
    down_weight: Tensor,
}

impl CausalLm for Decoder {
    fn hidden(&self, ids_n: &Tensor, attend: &mut dyn Attend) -> Tensor {
        let mut x_nd = Tensor::embedding(&self.embed_vd, ids_n, -1, false, false);
        for (index, layer) in self.layers.iter().enumerate() {
            let qkv_nc = layer.qkv.forward(&rms_norm(&x_nd, &layer.input_norm_d, self.eps));
            let qkv_nc = self.heads.rotate(&qkv_nc, attend.rotation());
            let attention = attend.attend(index, &qkv_nc, self.heads);
            x_nd = linear_add(&x_nd, &attention, &layer.o_weight, layer.o_bias.as_ref());
            let gate_up = layer.gate_up.forward(&rms_norm(&x_nd, &layer.post_norm_d, self.eps));
            x_nd = linear_add(&x_nd, &swiglu(&gate_up), &layer.down_weight, None);
        }
        rms_norm(&x_nd, &self.norm_d, self.eps)
    }
}

/// `x + a w^T + bias`; the old stream is used up.
fn linear_add(x_nd: &Tensor, a: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Tensor {
    shim::linear_add(x_nd, a, weight, bias).expect("shapes were checked when the weights were read")
}

/// Linear layers of one input, whose weights lie together.
struct FusedLinear {
    weight: Tensor,
    bias: Option<Tensor>,
    parts: Vec<Tensor>,
    num_weights: usize,
}

impl FusedLinear {
    fn forward(&self, x_nd: &Tensor) -> Tensor {
        let parts: Vec<&Tensor> = self.parts.iter().collect();
        shim::fused_linear(x_nd, &self.weight, self.bias.as_ref(), &parts, self.num_weights)
            .expect("shapes were checked when the weights were read")
    }
}

/// Parameters already moved together, whose leaves are not taken yet.
struct Fused {
    weight: Tensor,
    bias: Option<Tensor>,
    names: Vec<String>,
    num_weights: usize,
}

impl Fused {
    fn linear(self, weights: &Weights) -> FusedLinear {
        let parts = self.names.iter().map(|name| weights.get(name)).collect();
        FusedLinear { weight: self.weight, bias: self.bias, parts, num_weights: self.num_weights }
    }
}

fn fuse(weights: &mut Weights, prefix: &str, biases: Biases) -> (Fused, Fused) {
    let mut together = |names: &[&str], with_bias: bool| {
        let named = |suffix: &str| names.iter().map(|name| format!("{prefix}.{name}.{suffix}")).collect::<Vec<_>>();
        let weight_names = named("weight");
        let weight = weights.fuse(&weight_names);
        let bias_names = if with_bias { named("bias") } else { Vec::new() };
        let bias = with_bias.then(|| weights.fuse(&bias_names));
        Fused { weight, bias, num_weights: weight_names.len(), names: [weight_names, bias_names].concat() }
    };
    let qkv = together(&["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"], biases.qkv);
    let gate_up = together(&["mlp.gate_proj", "mlp.up_proj"], false);
    (qkv, gate_up)
}
