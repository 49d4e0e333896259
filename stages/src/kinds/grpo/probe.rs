//! A probe of the rewards before the first update: whether one text that answers nothing earns what only good answers
//! should. A policy finds such a text sooner or later.

use crate::artifacts::PromptRow;
use crate::rewards::{RewardBreakdown, Scored, Scorer};

/// Texts that answer nothing.
const TEXTS: [&str; 7] = [
    "",
    "0",
    "The answer is 1.",
    "<think></think><answer></answer>",
    "<think></think><answer>0</answer>",
    "<think>Let me think step by step. Wait, let me check that again. Yes.</think><answer>1</answer>",
    "<think>Let me think.</think>The answer is \\boxed{1}.",
];

/// Most prompts that are tried.
const PROMPTS: usize = 16;

/// A text earns all if its mean reward is above this share of the most that could be earned.
const ALL: f64 = 0.9;

/// A text satisfies one reward of what is meant if its mean score is above this.
const ONE: f64 = 0.75;

/// Rewards of what is meant: no text should satisfy one of them on most prompts. (Form, language, length and the like are
/// easy to satisfy, and meant to be; a text that says nothing does no harm.)
fn is_of_what_is_meant(reward: &str) -> bool {
    matches!(reward, "accuracy" | "tests" | "helpful") || reward.starts_with("own.") || reward.starts_with("judge.")
}

/// Scores the texts as answers to some of `prompts`, and returns what is wrong with the rewards, if something is. A text
/// that a reward cannot read, such as one with characters that a judge's tokenizer lacks, is passed over.
pub(super) fn probe(scorer: &Scorer, prompts: &[&PromptRow]) -> Option<String> {
    let every = prompts.len().div_ceil(PROMPTS).max(1);
    let prompts: Vec<&PromptRow> = prompts.iter().step_by(every).copied().collect();
    let most: f64 = prompts.iter().map(|prompt| scorer.most(0, prompt)).sum();
    TEXTS.iter().find_map(|text| {
        let num_tokens = text.len().div_ceil(4);
        let row = |prompt| Scored { prompt, completion: text, finished: true, num_tokens };
        let rows: Vec<Scored<'_>> = prompts.iter().copied().map(row).collect();
        wrong(text, &scorer.score(0, &rows).ok()?, most, &scorer.names())
    })
}

/// Returns what is wrong with rewards that give these scores to one text; `most` could be earned in all.
fn wrong(text: &str, scored: &[RewardBreakdown], most: f64, names: &[&str]) -> Option<String> {
    let count = scored.len() as f64;
    let (mean, mean_most) = (scored.iter().map(|one| one.total).sum::<f64>() / count, most / count);
    if mean_most > 0.0 && mean > ALL * mean_most {
        return Some(format!(
            "the text `{text}` earns {mean:.2} of {mean_most:.2} on {count} of the prompts: a policy that always says it can \
             learn nothing more. Add a reward that only good answers earn, such as `accuracy`"
        ));
    }
    names.iter().filter(|name| is_of_what_is_meant(name)).find_map(|name| {
        let scores: Vec<f64> = scored.iter().filter_map(|one| one.parts.get(name).copied()).collect();
        let mean = scores.iter().sum::<f64>() / scores.len().max(1) as f64;
        (mean > ONE).then(|| {
            format!(
                "the text `{text}` earns {mean:.2} of 1 by `rewards.{name}` on {} of the prompts, whatever they ask: mend it, \
                 or the gold answers, before a policy finds that",
                scores.len()
            )
        })
    })
}
