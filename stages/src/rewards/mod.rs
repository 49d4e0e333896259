//! Rewards of a completion, with a breakdown by rule.
//!
//! In a workflow, `rewards` is a table. Each entry is a number, the weight, or a table of `weight` (1 by default), `on`
//! (the prompt sets that it applies to; all by default), `from-step` (the update from which it counts) and the reward's
//! own keys:
//!
//! ```toml
//! [grpo.alignment-rl.rewards]
//! accuracy = 1.0
//! helpful  = { on = ["chat.prompts"], model = "helpful.reward-model", from-step = 10 }
//! ```
//! A reward is a file with its keys and a scoring function, and a row of [`REWARDS`]. The total is the weighted sum of
//! the parts that apply (R1 v2, equations 4 and 8 to 10). A part that does not apply to a completion is absent and
//! counts 0.

mod accuracy;
mod conciseness;
mod format;
mod harmless;
mod helpful;
mod judged;
mod language;
mod length;
mod offline;
mod overconfidence;
mod own;
mod preference;
mod reflection;
mod repetition;
mod structure;
mod table;
mod tests_passed;

use std::collections::BTreeMap;

use engine::stage::StageError;

use crate::artifacts::PromptRow;
use crate::grading::{Answer, Grade, Grader, Take};
use crate::loading::Loading;
use crate::parallel;
pub(crate) use language::thought_consistency;
pub use preference::{LoadedRewardModel, judged_ids};
use table::RewardKind;
pub use table::Rewards;

/// Every reward, in the order of the documentation.
const REWARDS: &[RewardKind] = &[
    accuracy::REWARD,
    format::REWARD,
    tests_passed::REWARD,
    language::REWARD,
    reflection::REWARD,
    overconfidence::REWARD,
    length::REWARD,
    repetition::REWARD,
    structure::REWARD,
    conciseness::REWARD,
    helpful::REWARD,
    harmless::REWARD,
];

/// A completion to be scored.
#[derive(Clone, Copy, Debug)]
pub struct Scored<'a> {
    /// The prompt.
    pub prompt: &'a PromptRow,
    /// The text, tags included, without the end-of-sequence token.
    pub completion: &'a str,
    /// Whether it ended by itself rather than at the limit.
    pub finished: bool,
    /// Its length in tokens.
    pub num_tokens: usize,
}

/// A completion with its grade, which several rewards read.
#[derive(Debug)]
pub(crate) struct Graded<'a> {
    scored: Scored<'a>,
    grade: Grade,
}

/// A loaded reward.
pub(crate) trait Reward {
    /// Returns one score for each row, `None` where the reward does not apply.
    fn score(&self, rows: &[&Graded<'_>]) -> Result<Vec<Option<f64>>, StageError>;
}

/// Makes a reward from a rule that scores one row at a time, on all threads of the stage.
fn per_row(loading: &Loading<'_>, rule: impl Fn(&Graded<'_>) -> Option<f64> + Sync + 'static) -> Box<dyn Reward> {
    Box::new(PerRow { rule, threads: loading.threads })
}

struct PerRow<F> {
    rule: F,
    threads: usize,
}

impl<F: Fn(&Graded<'_>) -> Option<f64> + Sync> Reward for PerRow<F> {
    fn score(&self, rows: &[&Graded<'_>]) -> Result<Vec<Option<f64>>, StageError> {
        Ok(parallel::map(rows, self.threads, |row| (self.rule)(row)))
    }
}

/// The reward of a completion, with its parts.
#[derive(Clone, Debug, PartialEq)]
pub struct RewardBreakdown {
    /// The weighted sum of the parts.
    pub total: f64,
    /// Reward name → unweighted score, for rewards that apply.
    pub parts: BTreeMap<&'static str, f64>,
    /// The grade: right, well-formed, hedged.
    pub grade: Grade,
}

/// Loaded rewards.
pub struct Scorer {
    grader: Grader,
    rules: Vec<Rule>,
}

struct Rule {
    name: &'static str,
    weight: f64,
    /// Names of prompt sets; empty for all.
    on: Vec<String>,
    from_step: u64,
    reward: Box<dyn Reward>,
}

impl Scorer {
    /// Scores completions that were sampled after `step` updates.
    pub fn score(&self, step: u64, rows: &[Scored<'_>]) -> Result<Vec<RewardBreakdown>, StageError> {
        let answers: Vec<Answer<'_>> = rows
            .iter()
            .map(|row| Answer { prompt: row.prompt, completion: row.completion, finished: row.finished })
            .collect();
        let grades = self.grader.grade(&answers)?;
        let graded: Vec<Graded<'_>> =
            rows.iter().zip(grades).map(|(row, grade)| Graded { scored: *row, grade }).collect();
        let mut parts = vec![BTreeMap::new(); rows.len()];
        let mut totals = vec![0.0; rows.len()];
        for rule in self.rules.iter().filter(|rule| step >= rule.from_step) {
            let (indices, selected): (Vec<usize>, Vec<&Graded<'_>>) =
                graded.iter().enumerate().filter(|(_, row)| rule.is_for(row.scored.prompt)).unzip();
            for (index, score) in indices.into_iter().zip(rule.reward.score(&selected)?) {
                if let Some(score) = score {
                    parts[index].insert(rule.name, score);
                    totals[index] += rule.weight * score;
                }
            }
        }
        let breakdowns = graded.into_iter().zip(parts).zip(totals);
        Ok(breakdowns.map(|((row, parts), total)| RewardBreakdown { total, parts, grade: row.grade }).collect())
    }

    /// Returns the most that a completion of `prompt` can earn after `step` updates, if no score is above 1.
    pub(crate) fn most(&self, step: u64, prompt: &PromptRow) -> f64 {
        let begun = self.rules.iter().filter(|rule| step >= rule.from_step && rule.is_for(prompt));
        begun.map(|rule| rule.weight.max(0.0)).sum()
    }

    /// Returns what grades completions.
    pub(crate) fn grader(&self) -> &Grader {
        &self.grader
    }

    /// Calls `sample`, and runs programs in completions meanwhile; see [`Grader::meanwhile`].
    pub(crate) fn meanwhile<'a, T>(&self, sample: impl FnOnce(&mut Take<'a, '_>) -> T) -> T {
        self.grader.meanwhile(sample)
    }

    /// Returns the names of the rewards, for headings.
    pub fn names(&self) -> Vec<&'static str> {
        self.rules.iter().map(|rule| rule.name).collect()
    }
}

impl Rule {
    fn is_for(&self, prompt: &PromptRow) -> bool {
        self.on.is_empty() || self.on.contains(&prompt.source)
    }
}

#[cfg(test)]
mod tests;
