//! Advantages: each reward relative to a baseline (DeepSeek-R1, equation 3).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::training::deviation;

/// What is subtracted from a reward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Baseline {
    /// The mean of its group (the paper).
    Group,
    /// The mean of the group's other completions (RLOO, arXiv 2402.14740).
    LeaveOneOut,
    /// Nothing.
    None,
}

/// What the difference from the baseline is divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Scale {
    /// The standard deviation of the group's rewards (the paper).
    Group,
    /// The standard deviation of the rollout's rewards.
    Batch,
    /// The standard deviation over the rollout's tokens, after the mean over them is subtracted (REINFORCE++, arXiv
    /// 2501.03262).
    Tokens,
    /// Nothing (Dr. GRPO, arXiv 2503.20783).
    None,
}

/// Keeps the advantages of a group with almost equal rewards small.
const EPSILON: f64 = 1e-4;

/// Keeps whitened advantages finite; added to the variance.
const WHITENING: f64 = 1e-8;

/// How rewards become advantages.
#[derive(Clone, Copy, Debug)]
pub(super) struct Advantages {
    pub(super) group_size: usize,
    pub(super) baseline: Baseline,
    pub(super) scale: Scale,
}

impl Advantages {
    /// Returns the advantage of each completion; `rewards` contains the groups one after the other, `tokens` the lengths
    /// of the completions.
    pub(super) fn of(self, rewards: &[f64], tokens: &[usize]) -> Vec<f64> {
        let overall = deviation(rewards);
        let mut advantages = Vec::with_capacity(rewards.len());
        for group in rewards.chunks(self.group_size) {
            let divisor = match self.scale {
                Scale::Group => deviation(group) + EPSILON,
                Scale::Batch => overall + EPSILON,
                Scale::Tokens | Scale::None => 1.0,
            };
            // Rounding must not make a signal of equal rewards.
            let is_flat = has_one_value(group) && self.baseline != Baseline::None;
            let sum: f64 = group.iter().sum();
            advantages.extend(group.iter().map(|reward| match self.baseline {
                _ if is_flat => 0.0,
                Baseline::Group => (reward - sum / group.len() as f64) / divisor,
                Baseline::LeaveOneOut => (reward - (sum - reward) / (group.len() - 1) as f64) / divisor,
                Baseline::None => reward / divisor,
            }));
        }
        if self.scale == Scale::Tokens { whitened(&advantages, tokens) } else { advantages }
    }
}

/// Returns whether all rewards of a group are equal, so that it teaches nothing.
pub(super) fn has_one_value(group: &[f64]) -> bool {
    group.windows(2).all(|pair| (pair[0] - pair[1]).abs() < 1e-9)
}

/// Subtracts the mean over all tokens, and divides by their standard deviation (n − 1).
fn whitened(advantages: &[f64], tokens: &[usize]) -> Vec<f64> {
    let over_tokens = |of: &dyn Fn(f64) -> f64| -> f64 {
        advantages.iter().zip(tokens).map(|(advantage, tokens)| of(*advantage) * *tokens as f64).sum()
    };
    let count = tokens.iter().sum::<usize>() as f64;
    let mean = over_tokens(&|advantage| advantage) / count;
    let variance = over_tokens(&|advantage| (advantage - mean).powi(2)) / (count - 1.0).max(1.0);
    let divisor = (variance + WHITENING).sqrt();
    advantages.iter().map(|advantage| (advantage - mean) / divisor).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(baseline: Baseline, scale: Scale, group_size: usize, expected: &[f64]) {
        let found = Advantages { group_size, baseline, scale }.of(&[1.0, 0.0, 1.0, 1.0], &[1, 3, 2, 2]);
        assert_eq!(found.len(), expected.len());
        for (one, two) in found.iter().zip(expected) {
            assert!((one - two).abs() < 1e-3, "{baseline:?} {scale:?}: {found:?}, not {expected:?}");
        }
    }

    #[test]
    fn closed_forms() {
        let half = 0.5_f64.sqrt();
        close(Baseline::Group, Scale::Group, 2, &[half, -half, 0.0, 0.0]);
        close(Baseline::Group, Scale::None, 2, &[0.5, -0.5, 0.0, 0.0]);
        close(Baseline::Group, Scale::Batch, 2, &[1.0, -1.0, 0.0, 0.0]);
        close(Baseline::Group, Scale::Group, 4, &[0.5, -1.5, 0.5, 0.5]);
        close(Baseline::LeaveOneOut, Scale::None, 4, &[1.0 / 3.0, -1.0, 1.0 / 3.0, 1.0 / 3.0]);
        close(Baseline::None, Scale::None, 4, &[1.0, 0.0, 1.0, 1.0]);
        // Eight tokens, five of them with reward 1: mean 5/8, variance 15/56.
        let (high, low) = ((3.0 / 8.0) / (15.0_f64 / 56.0).sqrt(), (-5.0 / 8.0) / (15.0_f64 / 56.0).sqrt());
        close(Baseline::None, Scale::Tokens, 2, &[high, low, high, high]);
    }

    #[test]
    fn a_flat_group_is_exactly_nothing() {
        let rewards = [0.1 + 0.2, 0.3, 0.3];
        for baseline in [Baseline::Group, Baseline::LeaveOneOut] {
            let advantages = Advantages { group_size: 3, baseline, scale: Scale::Group };
            assert_eq!(advantages.of(&rewards, &[1; 3]), [0.0; 3]);
        }
    }
}
