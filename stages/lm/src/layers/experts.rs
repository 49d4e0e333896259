//! A mixture of experts: a router sends each token to a few of many MLPs. DeepSeek-V3 (section 2.1.2) has one shared
//! MLP that processes every token, too; Qwen3-MoE has none.
//!
//! DeepSeek's router has a bias that changes the choice of experts, never their weights, and gets no gradient: DeepSeek
//! updated it by a separate rule in pretraining and froze it afterwards. There is no load-balancing loss either. Tokens
//! are sorted by expert, so that each expert works on one slice; the sum over a token's experts has a fixed order.
//! Departure from transformers: Qwen3's scores are computed in single precision from the start, not from logits in the
//! model's type. Shapes: n tokens, d width, e experts, k experts a token.

use tch::{Kind, Tensor};

use super::Mlp;
use super::mlp::SwiGlu;
use crate::config::{Experts, Groups, Router};
use crate::weights::{Spec, Weights};

/// One layer's experts and their router.
pub(crate) struct Mixture {
    sizes: Experts,
    router_ed: Tensor,
    /// DeepSeek's groups and the bias that decides the choice of experts.
    groups: Option<(Groups, Tensor)>,
    experts: Vec<SwiGlu>,
    shared: Option<SwiGlu>,
}

impl Mixture {
    /// Lists the parameters below `name`, for a residual stream of width `d`.
    pub(crate) fn parameters(name: &str, d: i64, sizes: &Experts) -> Vec<Spec> {
        let (count, f) = (sizes.n_routed_experts, sizes.moe_intermediate_size);
        let mut router = vec![(format!("{name}.gate.weight"), vec![count, d])];
        if matches!(sizes.router, Router::Grouped(_)) {
            router.push((format!("{name}.gate.e_score_correction_bias"), vec![count]));
        }
        let experts = (0..count).flat_map(|expert| SwiGlu::parameters(&format!("{name}.experts.{expert}"), d, f));
        let specs = router.into_iter().chain(experts);
        if sizes.n_shared_experts == 0 {
            return specs.collect();
        }
        specs.chain(SwiGlu::parameters(&format!("{name}.shared_experts"), d, f * sizes.n_shared_experts)).collect()
    }

    pub(crate) fn new(weights: &mut Weights, name: &str, sizes: &Experts) -> Self {
        let experts =
            (0..sizes.n_routed_experts).map(|expert| SwiGlu::new(weights, &format!("{name}.experts.{expert}")));
        Self {
            sizes: sizes.clone(),
            experts: experts.collect(),
            router_ed: weights.get(&format!("{name}.gate.weight")),
            groups: match &sizes.router {
                Router::Grouped(groups) => {
                    Some((groups.clone(), weights.get(&format!("{name}.gate.e_score_correction_bias"))))
                }
                Router::Softmax => None,
            },
            shared: (sizes.n_shared_experts > 0).then(|| SwiGlu::new(weights, &format!("{name}.shared_experts"))),
        }
    }

    /// Returns each token's experts and their weights, both [n, k]. Scores are computed in single precision at least.
    fn route(&self, x_nd: &Tensor) -> (Tensor, Tensor) {
        let kind = if x_nd.kind() == Kind::Double { Kind::Double } else { Kind::Float };
        let logits_ne = x_nd.to_kind(kind).matmul(&self.router_ed.to_kind(kind).tr());
        let scores_ne = match &self.groups {
            Some(_) => logits_ne.sigmoid(),
            None => logits_ne.softmax(1, kind),
        };
        let chosen_nk = self.choose(&scores_ne.detach());
        let mut weights_nk = scores_ne.gather(1, &chosen_nk, false);
        if self.sizes.norm_topk_prob {
            weights_nk = &weights_nk / (weights_nk.sum_dim_intlist(1, true, kind) + 1e-20);
        }
        if let Some((groups, _)) = &self.groups {
            weights_nk = weights_nk.g_mul_scalar(groups.routed_scaling_factor);
        }
        (chosen_nk, weights_nk)
    }

    /// Returns the experts with the best scores, [n, k]; with groups, with the best biased scores from the best groups.
    /// A group's score is the sum of its two best experts' scores.
    fn choose(&self, scores_ne: &Tensor) -> Tensor {
        let _guard = tch::no_grad_guard();
        let Experts { n_routed_experts: e, num_experts_per_tok: k, .. } = self.sizes;
        let Some((groups, bias_e)) = &self.groups else {
            return scores_ne.topk(k, 1, true, true).1;
        };
        let biased_ngm = (scores_ne + bias_e).view([-1, groups.n_group, e / groups.n_group]);
        let best_ng = biased_ngm.topk(2, 2, true, true).0.sum_dim_intlist(2, false, biased_ngm.kind());
        let kept_groups = best_ng.topk(groups.topk_group, 1, true, true).1;
        let dropped_ng = best_ng.ones_like().to_kind(Kind::Bool).scatter_value(1, &kept_groups, 0);
        let eligible = biased_ngm.masked_fill(&dropped_ng.unsqueeze(2), f64::NEG_INFINITY).view([-1, e]);
        eligible.topk(k, 1, true, true).1
    }

    /// Returns the weighted sum of the outputs of each token's experts.
    fn routed(&self, x_nd: &Tensor) -> Tensor {
        let (chosen_nk, weights_nk) = self.route(x_nd);
        let (n, k) = chosen_nk.size2().expect("a token's experts stand in a row");
        let chosen: Vec<i64> = Vec::try_from(chosen_nk.view(-1)).expect("experts are whole numbers");
        let by_expert = ByExpert::sort(&chosen, self.experts.len());
        let index = |entries: &[i64]| Tensor::from_slice(entries).to_device(x_nd.device());
        // Entry i of the flat list of choices belongs to token i / k.
        let tokens: Vec<i64> = by_expert.order.iter().map(|entry| entry / k).collect();
        let sorted = x_nd.index_select(0, &index(&tokens));
        let mut start = 0;
        let mut outputs = Vec::new();
        for (expert, count) in self.experts.iter().zip(&by_expert.counts) {
            if *count > 0 {
                outputs.push(expert.forward(&sorted.narrow(0, start, *count)));
                start += count;
            }
        }
        let outputs_nkd = Tensor::cat(&outputs, 0).index_select(0, &index(&by_expert.inverse)).view([n, k, -1]);
        let weighted = outputs_nkd * weights_nk.unsqueeze(2).to_kind(x_nd.kind());
        weighted.sum_dim_intlist(1, false, x_nd.kind())
    }
}

impl Mlp for Mixture {
    fn add_to(&self, x_nd: &Tensor, normed_nd: &Tensor) -> Tensor {
        let with_routed_nd = x_nd + self.routed(normed_nd);
        match &self.shared {
            Some(shared) => shared.add_to(&with_routed_nd, normed_nd),
            None => with_routed_nd,
        }
    }
}

/// The entries of a list of chosen experts, k for each token, sorted by expert.
struct ByExpert {
    /// The entry at each position of the sorted list.
    order: Vec<i64>,
    /// The position of each entry in the sorted list: the inverse of `order`.
    inverse: Vec<i64>,
    /// Number of entries of each expert.
    counts: Vec<i64>,
}

impl ByExpert {
    fn sort(chosen: &[i64], num_experts: usize) -> Self {
        let mut counts = vec![0; num_experts];
        for expert in chosen {
            counts[*expert as usize] += 1;
        }
        let mut order: Vec<i64> = (0..chosen.len() as i64).collect();
        // A stable sort: the tokens of an expert keep their order.
        order.sort_by_key(|entry| chosen[*entry as usize]);
        let mut inverse = vec![0; chosen.len()];
        for (position, entry) in order.iter().enumerate() {
            inverse[*entry as usize] = position as i64;
        }
        Self { order, inverse, counts }
    }
}
