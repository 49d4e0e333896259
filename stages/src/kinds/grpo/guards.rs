//! Guards against training that goes on and learns nothing, or learns what was not meant. Each warns once, or stops the
//! stage, as the key `guards` says; what they have seen is part of the checkpoint.

use std::collections::BTreeSet;

use engine::stage::{Context, StageError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Params;
use super::alarm::Alarm;
use super::rollout::Rollout;
use crate::sampling::none_ended;
use crate::training::Metrics;

/// What happens where training goes wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum GuardAction {
    /// A warning, once for each sort.
    #[default]
    Warn,
    /// The stage fails; it can go on from its last checkpoint.
    Stop,
    /// Nothing.
    Off,
}

/// Rollouts or updates in a row that must look wrong before the user is told.
const IN_A_ROW: u32 = 5;

/// The entropy has collapsed below this share of that of the first updates.
const COLLAPSE: f64 = 0.02;

/// The policy is far from the reference above this KL estimate of a token, in nats.
const FAR: f64 = 1.0;

/// Completions have grown into the limit if this share of them is cut off, and at most [`FEW_CUT`] was at first.
const MOST_CUT: f64 = 0.5;
const FEW_CUT: f64 = 0.2;

/// What the guards have seen.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Guards {
    pub(super) alarm: Alarm,
    /// The sorts that the user has been told of.
    told: BTreeSet<String>,
    /// Rollouts or updates in a row that look wrong.
    dull: u32,
    cut: u32,
    collapsed: u32,
    far: u32,
    /// Share of completions that were cut off in the first rollout; entropy of the first update.
    first_cut: Option<f64>,
    first_entropy: Option<f64>,
}

impl Guards {
    /// Warns or stops; each `sort` is told of once.
    pub(super) fn raise(
        &mut self,
        (ctx, action): (&Context, GuardAction),
        sort: &str,
        message: impl FnOnce() -> String,
    ) -> Result<(), StageError> {
        if action == GuardAction::Off || self.told.contains(sort) {
            return Ok(());
        }
        if action == GuardAction::Stop {
            return Err(StageError::new(message()).with_help("`guards = \"warn\"` goes on after a warning"));
        }
        self.told.insert(sort.to_owned());
        ctx.warn(message());
        Ok(())
    }

    /// Looks at a rollout after `step` updates; `prompt` is the text that the model was given for its first completion.
    pub(super) fn look_at_rollout(
        &mut self,
        ctx: &Context,
        params: &Params,
        rollouts: &[Rollout],
        (prompt, step): (&str, u64),
    ) -> Result<(), StageError> {
        let how = (ctx, params.guards);
        let most = params.max_tokens.at(step);
        if rollouts.iter().all(|rollout| !rollout.finished) {
            self.raise(how, "all cut", || none_ended("max-tokens", most))?;
        }
        let share_cut = rollouts.iter().filter(|rollout| !rollout.finished).count() as f64 / rollouts.len() as f64;
        let first_cut = *self.first_cut.get_or_insert(share_cut);
        if is_lasting(&mut self.cut, first_cut <= FEW_CUT && share_cut >= MOST_CUT) {
            self.raise(how, "grown", || {
                format!(
                    "completions have grown into `max-tokens` = {most}: {:.0} % of them are cut off, {:.0} % were at first. \
                     Raise it by a list with `from-step`, or pay for brevity by `rewards.length`",
                    share_cut * 100.0,
                    first_cut * 100.0
                )
            })?;
        }
        let unparsed = rollouts.iter().filter(|rollout| rollout.gold_unparsed).count();
        if unparsed > 0 {
            self.raise(how, "gold", || {
                format!(
                    "the gold answer of {unparsed} of {} rollouts cannot be read: they earn nothing; check the prompts' \
                     `answer` and `verify`",
                    rollouts.len()
                )
            })?;
        }
        if is_lasting(&mut self.dull, rollouts.iter().all(|rollout| rollout.advantage == 0.0)) {
            self.raise(how, "dull", || {
                let why = why_dull(params, rollouts, prompt);
                format!("every group has had equal rewards for {IN_A_ROW} rollouts, so nothing is learnt: {why}")
            })?;
        }
        Ok(())
    }

    /// Looks at the metrics of an update.
    pub(super) fn look_at_update(
        &mut self,
        ctx: &Context,
        params: &Params,
        metrics: &Metrics,
    ) -> Result<(), StageError> {
        let how = (ctx, params.guards);
        if let Some(entropy) = metrics.get("entropy").copied() {
            let first = *self.first_entropy.get_or_insert(entropy);
            if is_lasting(&mut self.collapsed, entropy < COLLAPSE * first) {
                self.raise(how, "collapsed", || {
                    format!(
                        "the entropy has collapsed from {first:.3} to {entropy:.4} nats a token: the policy says one thing and \
                         explores no more. Take a lower `lr` or `updates-per-rollout`, a higher `temperature` or `clip-high`, \
                         or an `entropy-bonus`; read the output `rollouts`"
                    )
                })?;
            }
        }
        if let Some(kl) = metrics.get("kl").copied()
            && is_lasting(&mut self.far, kl > FAR)
        {
            self.raise(how, "far", || {
                format!(
                    "the policy has run away from the reference policy: {kl:.2} nats a token. Take a higher `kl` or a lower \
                     `lr`, or renew the reference by `reference-refresh`"
                )
            })?;
        }
        Ok(())
    }
}

/// Counts what looks wrong in a row; returns whether it has just lasted long enough.
fn is_lasting(count: &mut u32, looks_wrong: bool) -> bool {
    *count = if looks_wrong { count.saturating_add(1) } else { 0 };
    *count == IN_A_ROW
}

fn why_dull(params: &Params, rollouts: &[Rollout], prompt: &str) -> String {
    let has_form = rollouts.iter().filter_map(|rollout| rollout.format_ok).any(|is_ok| is_ok);
    let asks_for_form = rollouts.iter().any(|rollout| rollout.format_ok.is_some());
    let form = params.form.description();
    if asks_for_form && !has_form && params.form.is_asked_for(prompt) {
        let cut = rollouts.iter().filter(|rollout| !rollout.finished).count();
        let of = rollouts.len();
        format!(
            "the prompt asks for the form {form}, and no completion has it: teach it by SFT first, or accept another by \
             `form`; {cut} of {of} completions are cut off at `max-tokens`"
        )
    } else if asks_for_form && !has_form {
        format!(
            "no completion has the form that rewards want, {form}: ask for it by `system`, `prompt-template` or \
             `chat-template = \"r1-zero\"`, or name another by `form`"
        )
    } else {
        "are the prompts all too hard or all too easy, or is a reward never earned? `refill` passes over such prompts"
            .to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::super::rollout::tests::rollout;
    use super::*;
    use crate::kinds::sft::Sft;
    use crate::testing::{Attempt, message, well};

    fn context(dir: &tempfile::TempDir) -> Attempt {
        Attempt::new::<Sft>(dir.path(), &serde_json::json!({}), None)
    }

    /// Returns rollouts of which so many of ten are cut off, with a signal.
    fn rollouts(cut: usize) -> Vec<Rollout> {
        (0..10).map(|row| Rollout { finished: row >= cut, advantage: 1.0, ..rollout() }).collect()
    }

    fn entropy(value: f64) -> Metrics {
        Metrics::from([("entropy".to_owned(), value)])
    }

    #[test]
    fn each_sort_is_told_of_once_and_only_if_it_lasts() {
        let dir = tempfile::tempdir().unwrap();
        let (attempt, params) = (context(&dir), Params::default());
        let mut guards = Guards::default();
        for value in [1.0, 0.01, 0.01, 0.01, 0.01, 0.5] {
            well(guards.look_at_update(&attempt.ctx, &params, &entropy(value)));
        }
        assert_eq!(attempt.warnings(), [""; 0], "it has recovered");
        for _ in 0..20 {
            // As after a kill: what was seen goes through a checkpoint.
            guards = serde_json::from_str(&serde_json::to_string(&guards).unwrap()).unwrap();
            well(guards.look_at_update(&attempt.ctx, &params, &entropy(0.01)));
        }
        for cut in [1, 5, 5, 5, 5, 5, 5] {
            well(guards.look_at_rollout(&attempt.ctx, &params, &rollouts(cut), ("", 0)));
        }
        for _ in 0..9 {
            well(guards.look_at_update(&attempt.ctx, &params, &Metrics::from([("kl".to_owned(), 1.5)])));
        }
        let warnings = attempt.warnings();
        assert_eq!(warnings.len(), 3, "{warnings:?}");
        assert!(warnings[0].starts_with("the entropy has collapsed from 1.000 to 0.0100 nats"), "{warnings:?}");
        assert!(warnings[1].contains("50 % of them are cut off, 10 % were at first"), "{warnings:?}");
        assert!(warnings[2].contains("run away from the reference policy: 1.50 nats"), "{warnings:?}");
    }

    #[test]
    fn they_stop_the_stage_or_say_nothing_where_the_key_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let attempt = context(&dir);
        let look = |guards: GuardAction| {
            let params = Params { guards, ..Params::default() };
            Guards::default().look_at_rollout(&attempt.ctx, &params, &rollouts(10), ("", 0))
        };
        assert!(message(look(GuardAction::Stop)).contains("no completion ended within `max-tokens` = 1024"));
        well(look(GuardAction::Off));
        assert_eq!(attempt.warnings(), [""; 0]);
        well(look(GuardAction::Warn));
        assert_eq!(attempt.warnings().len(), 1);
    }
}
