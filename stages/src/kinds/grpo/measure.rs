//! Metrics of rollouts, under TRL's names.

use std::collections::BTreeSet;

use super::advantage::has_one_value;
use super::rollout::Rollout;
use crate::training::{Tally, deviation};

/// Adds the measurements of a minibatch.
pub(super) fn measure(rollouts: &[Rollout], group_size: usize, tally: &mut Tally) {
    let rewards: Vec<f64> = rollouts.iter().map(|rollout| rollout.reward).collect();
    let groups = || rewards.chunks(group_size);
    tally.mean_of("reward", rewards.iter().copied());
    tally.mean_of("reward_std", groups().map(deviation));
    tally.share_of("frac_reward_zero_std", groups().map(has_one_value));
    let lengths = || rollouts.iter().map(|rollout| rollout.completion_ids.len() as f64);
    tally.mean_of("completions/mean_length", lengths());
    tally.least_of("completions/min_length", lengths());
    tally.most_of("completions/max_length", lengths());
    tally.share_of("completions/clipped_ratio", rollouts.iter().map(|rollout| !rollout.finished));
    let num_tokens = rollouts.iter().map(Rollout::num_tokens);
    tally.sum("num_tokens", num_tokens.sum::<usize>() as f64);
    tally.share_of("accuracy", rollouts.iter().filter_map(|rollout| rollout.correct));
    tally.share_of("format", rollouts.iter().filter_map(|rollout| rollout.format_ok));
    let thoughts = rollouts.iter().filter_map(|rollout| rollout.thinking_tokens);
    tally.mean_of("thinking/mean_tokens", thoughts.map(|tokens| tokens as f64));
    let names: BTreeSet<&String> = rollouts.iter().flat_map(|rollout| rollout.parts.keys()).collect();
    for name in names {
        let scores = || rollouts.iter().filter_map(|rollout| rollout.parts.get(name).copied());
        tally.mean_of(format!("rewards/{name}/mean"), scores());
        tally.deviation_of(format!("rewards/{name}/std"), scores());
    }
}
