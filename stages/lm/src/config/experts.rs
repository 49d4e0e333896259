//! The sizes of a mixture of experts and how tokens are routed: DeepSeek-V3's and Qwen3-MoE's keys of `config.json`.

use serde_json::Value;

use super::Error;
use super::keys::{Keys, key_error};
use crate::limits;

/// A mixture of experts. Names are DeepSeek-V3's keys of `config.json`.
#[derive(Debug, Clone, PartialEq)]
pub struct Experts {
    /// Width of an expert's MLP.
    pub moe_intermediate_size: i64,
    /// Number of experts that a router chooses from; `num_experts` of Qwen3-MoE.
    pub n_routed_experts: i64,
    /// Width of the shared MLP that every token uses, as a multiple of an expert's width; 0 for none.
    pub n_shared_experts: i64,
    /// Number of routed experts that a token uses.
    pub num_experts_per_tok: i64,
    /// Whether the weights of a token's experts are normalised to sum to 1.
    pub norm_topk_prob: bool,
    /// How a router makes scores and chooses by them.
    pub router: Router,
    /// For each layer whether it has experts; the others have one MLP of `intermediate_size`.
    pub layers: Vec<bool>,
}

/// How a router makes scores and chooses experts by them.
#[derive(Debug, Clone, PartialEq)]
pub enum Router {
    /// DeepSeek-V3: sigmoid scores; a bias and groups of experts decide which experts are chosen.
    Grouped(Groups),
    /// Qwen3-MoE: a softmax over all experts; those with the highest scores are chosen.
    Softmax,
}

/// Groups of experts, named as in `config.json`.
#[derive(Debug, Clone, PartialEq)]
pub struct Groups {
    /// Number of groups of experts.
    pub n_group: i64,
    /// Number of groups from which a token's experts are chosen.
    pub topk_group: i64,
    /// Multiplies the weights at the end.
    pub routed_scaling_factor: f64,
}

impl Experts {
    /// Reads DeepSeek-V3's keys.
    pub(crate) fn parse_grouped(keys: &Keys, num_layers: i64) -> Result<Self, Error> {
        for (key, known) in [("scoring_func", "sigmoid"), ("topk_method", "noaux_tc")] {
            if keys.get(key).is_some() && keys.text(key)? != known {
                return Err(key_error(key, format!("`{}` is not supported, only `{known}`", keys.text(key)?)));
            }
        }
        if keys.count_or("moe_layer_freq", 1)? != 1 {
            return Err(key_error("moe_layer_freq", "only 1 is supported".to_owned()));
        }
        let first = keys.whole_or("first_k_dense_replace", 3)?;
        let groups = Groups {
            n_group: keys.count("n_group")?,
            topk_group: keys.count("topk_group")?,
            routed_scaling_factor: keys.number("routed_scaling_factor")?,
        };
        let experts = Self {
            moe_intermediate_size: keys.count("moe_intermediate_size")?,
            n_routed_experts: keys.count_to("n_routed_experts", limits::EXPERTS)?,
            n_shared_experts: keys.count("n_shared_experts")?,
            num_experts_per_tok: keys.count("num_experts_per_tok")?,
            norm_topk_prob: keys.flag_or("norm_topk_prob", true)?,
            layers: (0..num_layers).map(|layer| layer >= first).collect(),
            router: Router::Grouped(groups.clone()),
        };
        experts.check_groups(&groups)?;
        Ok(experts)
    }

    /// Reads Qwen3-MoE's keys.
    pub(crate) fn parse_softmax(keys: &Keys, num_layers: i64) -> Result<Self, Error> {
        let step = keys.count_or("decoder_sparse_step", 1)?;
        let dense = layers(keys, "mlp_only_layers")?;
        let experts = Self {
            moe_intermediate_size: keys.count("moe_intermediate_size")?,
            n_routed_experts: num_experts(keys)?,
            n_shared_experts: 0,
            num_experts_per_tok: keys.count("num_experts_per_tok")?,
            norm_topk_prob: keys.flag_or("norm_topk_prob", false)?,
            layers: (0..num_layers).map(|layer| (layer + 1) % step == 0 && !dense.contains(&layer)).collect(),
            router: Router::Softmax,
        };
        if experts.num_experts_per_tok > experts.n_routed_experts {
            let (chosen, all) = (experts.num_experts_per_tok, experts.n_routed_experts);
            return Err(key_error("num_experts_per_tok", format!("{chosen} is more than num_experts = {all}")));
        }
        Ok(experts)
    }

    /// Returns whether this layer has experts.
    pub(crate) fn are_in(&self, layer: usize) -> bool {
        self.layers[layer]
    }

    /// The key of `config.json` that has the number of experts.
    pub(super) fn count_key(&self) -> &'static str {
        match self.router {
            Router::Grouped(_) => "n_routed_experts",
            Router::Softmax => "num_experts",
        }
    }

    fn check_groups(&self, groups: &Groups) -> Result<(), Error> {
        let (experts, count) = (self.n_routed_experts, groups.n_group);
        if experts % count != 0 || experts / count < 2 {
            let reason = format!("{count} groups of two or more do not divide n_routed_experts = {experts}");
            return Err(key_error("n_group", reason));
        }
        if groups.topk_group > count {
            return Err(key_error("topk_group", format!("{} is more than n_group = {count}", groups.topk_group)));
        }
        let eligible = groups.topk_group * experts / count;
        if self.num_experts_per_tok > eligible {
            let reason = format!("{} is more than the {eligible} of topk_group groups", self.num_experts_per_tok);
            return Err(key_error("num_experts_per_tok", reason));
        }
        Ok(())
    }
}

/// Reads the number of experts under the published name or the one that transformers 5 writes.
fn num_experts(keys: &Keys) -> Result<i64, Error> {
    const NAMES: [&str; 2] = ["num_experts", "num_local_experts"];
    let [published, newer] = NAMES.map(|name| keys.get(name).map(|_| keys.count_to(name, limits::EXPERTS)));
    match (published.transpose()?, newer.transpose()?) {
        (Some(one), Some(two)) if one != two => {
            Err(key_error(NAMES[0], format!("{one} differs from {} = {two}", NAMES[1])))
        }
        (Some(count), _) | (None, Some(count)) => Ok(count),
        (None, None) => Err(key_error(NAMES[0], "missing".to_owned())),
    }
}

/// Reads a list of numbers of layers; an absent list is empty.
fn layers(keys: &Keys, key: &str) -> Result<Vec<i64>, Error> {
    let wrong = || key_error(key, "expected a list of numbers of layers".to_owned());
    match keys.get(key) {
        None => Ok(Vec::new()),
        Some(Value::Array(list)) => list.iter().map(|layer| layer.as_i64().ok_or_else(wrong)).collect(),
        Some(_) => Err(wrong()),
    }
}
