//! A second implementation of the decoder, from the papers, in plain loops in double precision: no tensor library, no
//! packing, no cache. It is slow and simple.

use std::collections::BTreeMap;

use lm::{Config, Kind, Model};

pub(crate) struct Reference {
    config: Config,
    weights: BTreeMap<String, Vec<f64>>,
}

impl Reference {
    pub(crate) fn of(model: &Model) -> Self {
        let weights = model.parameters().iter().map(|(name, tensor)| {
            let mut values = vec![0f64; tensor.numel()];
            tensor.detach().to_kind(Kind::Double).contiguous().copy_data(&mut values, tensor.numel());
            (name.clone(), values)
        });
        Self { config: model.config.clone(), weights: weights.collect() }
    }

    /// The logits after each token of one row.
    pub(crate) fn logits(&self, row: &[i64]) -> Vec<Vec<f64>> {
        let config = &self.config;
        let width = config.hidden_size as usize;
        let embed = self.get("model.embed_tokens.weight");
        let mut stream: Vec<Vec<f64>> =
            row.iter().map(|id| embed[*id as usize * width..(*id as usize + 1) * width].to_vec()).collect();
        for layer in 0..config.num_hidden_layers {
            let name = |part: &str| format!("model.layers.{layer}.{part}");
            let normed = self.norm(&stream, &name("input_layernorm.weight"));
            let attention = self.attention(&normed, &name("self_attn"), config.windows[layer as usize]);
            add(&mut stream, &self.linear(&attention, &name("self_attn.o_proj")));
            let normed = self.norm(&stream, &name("post_attention_layernorm.weight"));
            let gate = self.linear(&normed, &name("mlp.gate_proj"));
            let up = self.linear(&normed, &name("mlp.up_proj"));
            let silu = |x: f64| x / (1.0 + (-x).exp());
            let gated = |(g, u): (&Vec<f64>, &Vec<f64>)| g.iter().zip(u).map(|(g, u)| silu(*g) * u).collect();
            let inner: Vec<Vec<f64>> = gate.iter().zip(&up).map(gated).collect();
            add(&mut stream, &self.linear(&inner, &name("mlp.down_proj")));
        }
        let head = if config.tie_word_embeddings { "model.embed_tokens" } else { "lm_head" };
        self.linear(&self.norm(&stream, "model.norm.weight"), head)
    }

    fn get(&self, name: &str) -> &[f64] {
        self.weights.get(name).unwrap_or_else(|| panic!("no parameter `{name}`"))
    }

    fn norm(&self, x: &[Vec<f64>], name: &str) -> Vec<Vec<f64>> {
        let weight = self.get(name);
        let one = |token: &Vec<f64>| {
            let mean = token.iter().map(|x| x * x).sum::<f64>() / token.len() as f64;
            let root = (mean + self.config.rms_norm_eps).sqrt();
            token.iter().zip(weight).map(|(x, w)| x / root * w).collect()
        };
        x.iter().map(one).collect()
    }

    fn linear(&self, x: &[Vec<f64>], name: &str) -> Vec<Vec<f64>> {
        let weight = self.get(&format!("{name}.weight"));
        let bias = self.weights.get(&format!("{name}.bias"));
        let one = |token: &Vec<f64>| {
            let rows = weight.chunks_exact(token.len()).map(|row| dot(row, token));
            rows.enumerate().map(|(i, y)| y + bias.map_or(0.0, |bias| bias[i])).collect()
        };
        x.iter().map(one).collect()
    }

    fn attention(&self, x: &[Vec<f64>], name: &str, window: Option<i64>) -> Vec<Vec<f64>> {
        let config = &self.config;
        let (heads, groups, d) = (config.num_attention_heads, config.num_key_value_heads, config.head_dim as usize);
        let mut queries = self.linear(x, &format!("{name}.q_proj"));
        let mut keys = self.linear(x, &format!("{name}.k_proj"));
        let values = self.linear(x, &format!("{name}.v_proj"));
        for (x, norm) in [(&mut queries, "q_norm"), (&mut keys, "k_norm")] {
            let norm = format!("{name}.{norm}.weight");
            if self.weights.contains_key(&norm) {
                for token in x.iter_mut() {
                    let heads: Vec<Vec<f64>> = token.chunks_exact(d).map(<[f64]>::to_vec).collect();
                    *token = self.norm(&heads, &norm).concat();
                }
            }
            self.rotate(x);
        }
        let mut out = vec![Vec::new(); x.len()];
        for head in 0..heads as usize {
            let own = head * d..(head + 1) * d;
            let group = head / (heads / groups) as usize;
            let shared = group * d..(group + 1) * d;
            for i in 0..x.len() {
                let seen = window.map_or(0, |window| (i + 1).saturating_sub(window as usize))..=i;
                let scores: Vec<f64> = seen
                    .clone()
                    .map(|j| dot(&queries[i][own.clone()], &keys[j][shared.clone()]) / (d as f64).sqrt())
                    .collect();
                let total: f64 = scores.iter().map(|s| s.exp()).sum();
                for c in shared.clone() {
                    out[i].push(seen.clone().zip(&scores).map(|(j, score)| score.exp() / total * values[j][c]).sum());
                }
            }
        }
        out
    }

    /// Rotates channel pairs (c, c + d/2) of each head by position times frequency.
    fn rotate(&self, x: &mut [Vec<f64>]) {
        let d = self.config.head_dim as usize;
        let frequencies = self.config.rope.frequencies(d as i64);
        for (position, token) in x.iter_mut().enumerate() {
            for head in token.chunks_exact_mut(d) {
                for (c, frequency) in frequencies.iter().enumerate() {
                    let (sin, cos) = (position as f64 * frequency).sin_cos();
                    let (a, b) = (head[c], head[c + d / 2]);
                    (head[c], head[c + d / 2]) = (a * cos - b * sin, b * cos + a * sin);
                }
            }
        }
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn add(to: &mut [Vec<f64>], what: &[Vec<f64>]) {
    for (to, what) in to.iter_mut().flatten().zip(what.iter().flatten()) {
        *to += what;
    }
}
