//! Metrics of rollouts, under TRL's names, and warnings about training that fails silently.

use engine::stage::Context;

use super::Params;
use super::advantage::{deviation, has_one_value};
use super::rollout::Rollout;
use crate::sampling::Truncation;
use crate::training::Metrics;

/// After this many consecutive rollouts without any signal, the user is warned.
const DULL_ROLLOUTS: u32 = 5;

/// Returns the measurements of a minibatch.
pub(super) fn measure(rollouts: &[Rollout], group_size: usize) -> Metrics {
    let mut metrics = Metrics::new();
    let mut put = |name: &str, value: Option<f64>| {
        if let Some(value) = value {
            metrics.insert(name.to_owned(), value);
        }
    };
    let rewards: Vec<f64> = rollouts.iter().map(|rollout| rollout.reward).collect();
    let groups = || rewards.chunks(group_size);
    put("reward", mean(rewards.iter().copied()));
    put("reward_std", mean(groups().map(deviation)));
    put("frac_reward_zero_std", mean(groups().map(|group| f64::from(u8::from(has_one_value(group))))));
    let lengths = || rollouts.iter().map(|rollout| rollout.completion_ids.len() as f64);
    put("completions/mean_length", mean(lengths()));
    put("completions/min_length", lengths().reduce(f64::min));
    put("completions/max_length", lengths().reduce(f64::max));
    put("completions/clipped_ratio", mean(rollouts.iter().map(|rollout| f64::from(u8::from(!rollout.finished)))));
    put("num_tokens", Some(rollouts.iter().map(|r| (r.prompt_ids.len() + r.completion_ids.len()) as f64).sum()));
    put("accuracy", share(rollouts.iter().filter_map(|rollout| rollout.correct)));
    put("format", share(rollouts.iter().filter_map(|rollout| rollout.format_ok)));
    put("thinking/mean_tokens", mean(rollouts.iter().filter_map(|rollout| Some(rollout.thinking_tokens? as f64))));
    let names: std::collections::BTreeSet<&String> = rollouts.iter().flat_map(|rollout| rollout.parts.keys()).collect();
    for name in names {
        let scores = || rollouts.iter().filter_map(|rollout| rollout.parts.get(name).copied());
        put(&format!("rewards/{name}/mean"), mean(scores()));
        put(&format!("rewards/{name}/std"), Some(deviation(&scores().collect::<Vec<_>>())));
    }
    metrics
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (count, sum) = values.fold((0_usize, 0.0), |(count, sum), value| (count + 1, sum + value));
    (count > 0).then(|| sum / count as f64)
}

fn share(claims: impl Iterator<Item = bool>) -> Option<f64> {
    mean(claims.map(|claim| f64::from(u8::from(claim))))
}

/// Watches for training that continues and learns nothing. Each warning is given once.
#[derive(Default)]
pub(super) struct Watch {
    truncation: Truncation,
    gold: bool,
    dull: u32,
}

impl Watch {
    pub(super) fn look(&mut self, ctx: &Context, params: &Params, rollouts: &[Rollout]) {
        self.truncation.look(ctx, rollouts.iter().map(|rollout| rollout.finished), "max-tokens", params.max_tokens);
        let unparsed = rollouts.iter().filter(|rollout| rollout.gold_unparsed).count();
        if !self.gold && unparsed > 0 {
            self.gold = true;
            ctx.warn(format!(
                "the gold answer of {unparsed} of {} rollouts cannot be read: they earn nothing; check the prompts' `answer` \
                 and `verify`",
                rollouts.len()
            ));
        }
        let is_dull = rollouts.iter().all(|rollout| rollout.advantage == 0.0);
        self.dull = if is_dull { self.dull + 1 } else { 0 };
        if self.dull == DULL_ROLLOUTS {
            ctx.warn(format!(
                "every group has had equal rewards for {DULL_ROLLOUTS} rollouts, so nothing is learnt: are the prompts all too \
                 hard or all too easy, or is a reward never earned?"
            ));
        }
    }
}
