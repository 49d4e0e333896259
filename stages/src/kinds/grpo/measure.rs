//! Metrics of rollouts, under TRL's names, and warnings about training that fails silently.

use std::collections::BTreeSet;

use engine::stage::Context;

use super::Params;
use super::advantage::has_one_value;
use super::rollout::Rollout;
use crate::sampling::Truncation;
use crate::training::{Tally, deviation};

/// After this many consecutive rollouts without any signal, the user is warned.
const DULL_ROLLOUTS: u32 = 5;

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

/// Watches for training that continues and learns nothing. Each warning is given once.
#[derive(Default)]
pub(super) struct Watch {
    truncation: Truncation,
    gold: bool,
    dull: u32,
}

impl Watch {
    /// Looks at a rollout after `step` updates; `prompt` is the text that the model was given for its first completion.
    pub(super) fn look(&mut self, ctx: &Context, params: &Params, rollouts: &[Rollout], (prompt, step): (&str, u64)) {
        let most = params.max_tokens.at(step);
        self.truncation.look(ctx, rollouts.iter().map(|rollout| rollout.finished), "max-tokens", most);
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
            let has_form = rollouts.iter().filter_map(|rollout| rollout.format_ok).any(|is_ok| is_ok);
            let asks_for_form = rollouts.iter().any(|rollout| rollout.format_ok.is_some());
            let why = if asks_for_form && !has_form && params.form.is_asked_for(prompt) {
                let cut = rollouts.iter().filter(|rollout| !rollout.finished).count();
                let of = rollouts.len();
                format!(
                    "the prompt asks for the form {}, and no completion has it: teach it by SFT first, or accept another \
                     by `form`; {cut} of {of} completions are cut off at `max-tokens`",
                    params.form.description()
                )
            } else if asks_for_form && !has_form {
                format!(
                    "no completion has the form that rewards want, {}: ask for it by `system`, `prompt-template` or \
                     `chat-template = \"r1-zero\"`, or name another by `form`",
                    params.form.description()
                )
            } else {
                "are the prompts all too hard or all too easy, or is a reward never earned?".to_owned()
            };
            ctx.warn(format!(
                "every group has had equal rewards for {DULL_ROLLOUTS} rollouts, so nothing is learnt: {why}"
            ));
        }
    }
}
