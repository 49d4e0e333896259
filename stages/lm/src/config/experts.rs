//! The sizes of a mixture of experts and how tokens are routed: DeepSeek-V3's keys of `config.json`.

use super::Error;
use super::keys::{Keys, key_error};
use crate::limits;

/// A mixture of experts, named as in `config.json`.
#[derive(Debug, Clone, PartialEq)]
pub struct Experts {
    /// Width of an expert's MLP.
    pub moe_intermediate_size: i64,
    /// Number of experts that a router chooses from.
    pub n_routed_experts: i64,
    /// Width of the shared MLP that every token uses, as a multiple of an expert's width.
    pub n_shared_experts: i64,
    /// Number of routed experts that a token uses.
    pub num_experts_per_tok: i64,
    /// Number of groups of experts.
    pub n_group: i64,
    /// Number of groups from which a token's experts are chosen.
    pub topk_group: i64,
    /// Whether the weights of a token's experts are normalised to sum to 1.
    pub norm_topk_prob: bool,
    /// Multiplies the weights at the end.
    pub routed_scaling_factor: f64,
    /// Layers before this one have one MLP of `intermediate_size` instead.
    pub first_k_dense_replace: i64,
}

impl Experts {
    pub(crate) fn parse(keys: &Keys) -> Result<Self, Error> {
        for (key, known) in [("scoring_func", "sigmoid"), ("topk_method", "noaux_tc")] {
            if keys.get(key).is_some() && keys.text(key)? != known {
                return Err(key_error(key, format!("`{}` is not supported, only `{known}`", keys.text(key)?)));
            }
        }
        if keys.count_or("moe_layer_freq", 1)? != 1 {
            return Err(key_error("moe_layer_freq", "only 1 is supported".to_owned()));
        }
        let experts = Self {
            moe_intermediate_size: keys.count("moe_intermediate_size")?,
            n_routed_experts: keys.count_to("n_routed_experts", limits::EXPERTS)?,
            n_shared_experts: keys.count("n_shared_experts")?,
            num_experts_per_tok: keys.count("num_experts_per_tok")?,
            n_group: keys.count("n_group")?,
            topk_group: keys.count("topk_group")?,
            norm_topk_prob: keys.flag_or("norm_topk_prob", true)?,
            routed_scaling_factor: keys.number("routed_scaling_factor")?,
            first_k_dense_replace: keys.whole_or("first_k_dense_replace", 3)?,
        };
        experts.check()?;
        Ok(experts)
    }

    fn check(&self) -> Result<(), Error> {
        let (experts, groups) = (self.n_routed_experts, self.n_group);
        if experts % groups != 0 || experts / groups < 2 {
            let reason = format!("{groups} groups of two or more do not divide n_routed_experts = {experts}");
            return Err(key_error("n_group", reason));
        }
        if self.topk_group > groups {
            return Err(key_error("topk_group", format!("{} is more than n_group = {groups}", self.topk_group)));
        }
        let eligible = self.topk_group * experts / groups;
        if self.num_experts_per_tok > eligible {
            let reason = format!("{} is more than the {eligible} of topk_group groups", self.num_experts_per_tok);
            return Err(key_error("num_experts_per_tok", reason));
        }
        Ok(())
    }
}
