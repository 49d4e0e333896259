//! The objective of an update: what each token of a completion adds to the loss, given its advantage.
//!
//! ```text
//! loss = − Σ weight (surrogate(ratio, advantage) − β KL) − bonus · mean entropy
//! ```
//! The weights follow from `aggregate`; with the defaults this is the objective of DeepSeek-R1 (equations 1 and 2, with
//! DeepSeekMath's mean over tokens within a completion). The other values are those of DAPO, Dr. GRPO, GSPO, CISPO, RLOO
//! and REINFORCE++; docs/tuning-grpo.md says which keys make which.

use engine::stage::StageError;
use lm::{Kind, Tensor, loss, no_grad_guard};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::advantage::{Baseline, Scale};
use super::rollout::Rollout;
use crate::limits;
use crate::training::Counts;

/// How token losses are aggregated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Aggregate {
    /// Mean over all tokens of the minibatch (DAPO).
    Token,
    /// Mean over completions of each one's mean (the paper).
    Sequence,
    /// Sum over tokens divided by completions times `max-tokens` (Dr. GRPO).
    Constant,
}

/// What the probability ratio is taken of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RatioOf {
    /// Each token.
    Token,
    /// The geometric mean over a completion (GSPO, arXiv 2507.18071).
    Sequence,
}

/// What is maximised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Surrogate {
    /// PPO's clipped ratio times the advantage (the paper).
    Clip,
    /// ln p times the advantage, weighted by the clipped ratio (MiniMax-M1, arXiv 2506.13585).
    Cispo,
}

/// An estimate of the KL divergence from sampled tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum KlEstimator {
    /// ln(π / reference).
    K1,
    /// ln²(π / reference) / 2.
    K2,
    /// reference / π − ln(reference / π) − 1 (the paper).
    K3,
}

impl KlEstimator {
    fn of(self, logps: &Tensor, reference: &Tensor) -> Tensor {
        match self {
            Self::K1 => loss::k1(logps, reference),
            Self::K2 => loss::k2(logps, reference),
            Self::K3 => loss::k3(logps, reference),
        }
    }
}

/// Where the KL term is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum KlIn {
    /// In the loss, token by token (the paper).
    Loss,
    /// In the reward, summed over the completion (RLOO, REINFORCE++).
    Reward,
}

/// The keys of the objective.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case")]
pub struct ObjectiveKeys {
    /// What is subtracted from a reward. `group`: the mean of its group, as in the paper. `leave-one-out`: the mean of the
    /// group's other completions (RLOO). `none`: nothing (REINFORCE++, with `scale = "tokens"`).
    #[schemars(extend("x-omit-default" = true))]
    pub baseline: Baseline,
    /// What the difference is divided by. `group`: the standard deviation of the group's rewards, as in the paper.
    /// `batch`: that of all rewards of the rollout. `tokens`: each completion counts by its number of tokens, and the
    /// mean of all is subtracted, too (the whitening of REINFORCE++). `none`: nothing (Dr. GRPO, RLOO).
    pub scale: Scale,
    /// What is maximised. `clip`: the clipped ratio times the advantage, as in the paper. `cispo`: ln p times the
    /// advantage, weighted by the clipped ratio, so that no token's gradient is clipped away (MiniMax-M1).
    #[schemars(extend("x-omit-default" = true))]
    pub surrogate: Surrogate,
    /// What the probability ratio is taken of. `token`: each token, as in the paper. `sequence`: the geometric mean over
    /// the completion (GSPO). They differ only where `updates-per-rollout` is above 1.
    #[schemars(extend("x-omit-default" = true))]
    pub ratio: RatioOf,
    /// The probability ratio is clipped below 1 − `clip-low`. R1 prints 10, at which this clip has no effect.
    #[schemars(range(min = 0.0))]
    pub clip_low: f64,
    /// The probability ratio is clipped above 1 + `clip-high`. R1 prints 10.
    #[schemars(range(min = 0.0))]
    pub clip_high: f64,
    /// Caps the ratio where `clip` does not: of tokens with a negative advantage, whose terms grow without a limit when
    /// `updates-per-rollout` is above 1 (dual clip; TRL's `delta`, verl's `clip_ratio_c`). Absent: no cap, as in the
    /// paper.
    #[schemars(range(min = 1.0), extend("x-when" = { "surrogate": ["clip"] }, "x-omit-default" = true))]
    pub max_ratio: Option<f64>,
    /// How token losses are aggregated. `sequence`: mean over completions of each one's mean, as in the paper. `token`:
    /// mean over all tokens of the minibatch (DAPO). `constant`: sum over tokens, divided by completions × `max-tokens`
    /// (Dr. GRPO).
    pub aggregate: Aggregate,
    /// Ignores truncated completions (those without a stop token) in the loss.
    pub mask_truncated: bool,
    /// Weight β of the KL term to the reference policy. 0: no reference policy is held. R1: 0.001.
    #[schemars(range(min = 0.0))]
    pub kl: f64,
    /// How the KL divergence is estimated from the sampled tokens: `k3`, as in the paper, `k1` or `k2`.
    #[schemars(extend("x-omit-default" = true))]
    pub kl_estimator: KlEstimator,
    /// Where the KL term is. `loss`: there, token by token, as in the paper. `reward`: it is subtracted from the reward,
    /// summed over the completion's tokens (RLOO, REINFORCE++), so that long completions pay more.
    #[schemars(extend("x-omit-default" = true))]
    pub kl_in: KlIn,
    /// Every this many steps, the reference policy becomes a copy of the current policy. 0: never. R1: 400.
    #[schemars(range(max = limits::STEPS))]
    pub reference_refresh: u64,
    /// Weight of the tokens' mean entropy, which is added to what is maximised. Whole distributions are held for it, in
    /// chunks. The paper: 0.
    #[schemars(range(min = 0.0), extend("x-omit-default" = true))]
    pub entropy_bonus: f64,
}

impl Default for ObjectiveKeys {
    fn default() -> Self {
        Self {
            baseline: Baseline::Group,
            scale: Scale::Group,
            surrogate: Surrogate::Clip,
            ratio: RatioOf::Token,
            clip_low: 0.2,
            clip_high: 0.2,
            max_ratio: None,
            aggregate: Aggregate::Sequence,
            mask_truncated: false,
            kl: 0.0,
            kl_estimator: KlEstimator::K3,
            kl_in: KlIn::Loss,
            reference_refresh: 0,
            entropy_bonus: 0.0,
        }
    }
}

/// Tokens with what their terms need; each tensor is [c].
pub(super) struct Given<'a> {
    /// Log-probs of the policy that sampled.
    pub(super) old: &'a Tensor,
    /// The mean of ln(π / old) over the token's completion, where the ratio is taken of it.
    pub(super) mean_log_ratio: Option<&'a Tensor>,
    /// Log-probs of the reference policy, if there is a KL term in the loss.
    pub(super) reference: Option<&'a Tensor>,
    pub(super) advantages: &'a Tensor,
    /// Weight of each token in the loss.
    pub(super) weights: &'a Tensor,
    /// The tokens' entropies with gradient, and the weight of each.
    pub(super) entropies: Option<(&'a Tensor, f64)>,
}

/// The loss of some tokens.
pub(super) struct TokenLoss {
    /// A scalar with gradient.
    pub(super) loss: Tensor,
    /// Sum of the KL estimates, if there is a KL term.
    pub(super) kl: f64,
    /// Tokens whose ratio is beyond a bound.
    pub(super) clipped: f64,
}

impl ObjectiveKeys {
    /// Refuses keys that would have no effect.
    pub(super) fn check(&self) -> Result<(), StageError> {
        let defaults = Self::default();
        let of_kl = [
            ("kl-estimator", self.kl_estimator != defaults.kl_estimator),
            ("kl-in", self.kl_in != defaults.kl_in),
            ("reference-refresh", self.reference_refresh != defaults.reference_refresh),
        ];
        match of_kl.into_iter().find(|(_, is_given)| *is_given && self.kl == 0.0) {
            Some((key, _)) => {
                Err(StageError::new(format!("`{key}` has no effect: `kl` is 0")).with_help("give `kl`, R1: 0.001"))
            }
            None => Ok(()),
        }
    }

    /// Returns whether the KL term is in the loss.
    pub(super) fn has_kl_in_loss(&self) -> bool {
        self.kl > 0.0 && self.kl_in == KlIn::Loss
    }

    /// Returns whether the KL term is in the reward.
    pub(super) fn has_kl_in_reward(&self) -> bool {
        self.kl > 0.0 && self.kl_in == KlIn::Reward
    }

    /// Returns whether a group has a gradient. One of equal rewards has none with the paper's keys: it is skipped, with its
    /// KL.
    pub(super) fn learns_from(&self, group: &[Rollout]) -> bool {
        let is_flat = group.iter().all(|rollout| rollout.advantage == 0.0);
        !is_flat || self.entropy_bonus > 0.0 || self.baseline == Baseline::None || self.scale == Scale::Tokens
    }

    /// Returns the weight in the loss of each token of a completion of length `tokens`. `whole` is the size of the
    /// minibatch, `max_tokens` the longest length a completion could have.
    pub(super) fn weight(&self, tokens: f64, whole: Counts, max_tokens: usize) -> f64 {
        match self.aggregate {
            Aggregate::Token => 1.0 / whole.tokens,
            Aggregate::Sequence => 1.0 / (whole.rows * tokens),
            Aggregate::Constant => 1.0 / (whole.rows * max_tokens as f64),
        }
    }

    /// Returns the KL estimate of each token, without gradient.
    pub(super) fn kl_of(&self, logps: &Tensor, reference: &Tensor) -> Tensor {
        let _guard = no_grad_guard();
        self.kl_estimator.of(logps, reference)
    }

    /// Returns the loss of tokens whose log-probs are `logps`, [c].
    pub(super) fn loss(&self, logps: &Tensor, given: &Given<'_>) -> TokenLoss {
        let log_ratio = match given.mean_log_ratio {
            // The value is the completion's, the gradient flows to the token. Because all tokens of a completion weigh
            // alike, the sum of the gradients is that of the completion's ratio.
            Some(mean) => logps - logps.detach() + mean,
            None => logps - given.old,
        };
        let ratio = log_ratio.exp();
        let bounds = (self.clip_low, self.clip_high);
        let surrogate = match self.surrogate {
            Surrogate::Clip => loss::clipped_surrogate(&ratio, given.advantages, bounds, self.max_ratio),
            Surrogate::Cispo => loss::cispo(logps, &ratio, given.advantages, bounds),
        };
        let (objective, kl) = match given.reference {
            Some(reference) => {
                let kl = self.kl_estimator.of(logps, reference);
                (surrogate - &kl * self.kl, kl.sum(Kind::Double).double_value(&[]))
            }
            None => (surrogate, 0.0),
        };
        let mut loss = -(objective * given.weights).sum(Kind::Float);
        if let Some((entropies, weight)) = given.entropies {
            loss -= entropies.sum(Kind::Float) * (self.entropy_bonus * weight);
        }
        TokenLoss { loss, kl, clipped: self.num_clipped(&ratio) }
    }

    fn num_clipped(&self, ratio: &Tensor) -> f64 {
        let _guard = no_grad_guard();
        let beyond = ratio.lt(1.0 - self.clip_low).logical_or(&ratio.gt(1.0 + self.clip_high));
        beyond.sum(Kind::Double).double_value(&[])
    }
}

#[cfg(test)]
mod tests;
