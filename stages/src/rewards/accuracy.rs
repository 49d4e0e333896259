//! Reward `accuracy`: 1 for a right answer in the asked form, else 0 (R1 v2, section 2.2).
//!
//! [`grade`] alone defines what "right" means; the filters of `generate` and the figures of `eval` use it too. It fails
//! closed: an unfinished completion is never right, nor is one whose answer or gold answer does not parse.
//!
//! Two forms are well-formed: R1-Zero's `<think>…</think><answer>…</answer>`, and that of the released R1, a thought in
//! tags and then a summary without tags.

use engine::stage::StageError;
use schemars::JsonSchema;
use serde::Deserialize;
use tch::Device;
use text::math::Verdict;

use super::table::{Keys, RewardKind};
use super::{Reward, per_row};
use crate::artifacts::{PromptRow, Verify};

pub(super) const REWARD: RewardKind = RewardKind::of::<Accuracy>(
    "accuracy",
    "1 for a right answer in the asked form, else 0: in well-formed tags for numbers and choices, bare for `exact`.",
);

/// `accuracy` has no keys of its own.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Accuracy {}

impl Keys for Accuracy {
    fn load(self, _: Device) -> Result<Box<dyn Reward>, StageError> {
        Ok(per_row(|row| {
            let checkable = row.scored.prompt.verify != Verify::None;
            checkable.then_some(f64::from(u8::from(row.grade.correct)))
        }))
    }
}

/// The findings about a completion.
#[derive(Clone, Debug, PartialEq)]
pub struct Grade {
    /// Right, finished, and in the asked form.
    pub correct: bool,
    /// Finished, with one thought in well-formed tags and one answer, in tags or after them.
    pub format_ok: bool,
    /// The comparison with the gold answer, in any form; absent without a gold answer.
    pub verdict: Option<Verdict>,
    /// Whether the answer says that it may be wrong.
    pub hedged: bool,
    /// The text in `<answer>`, else the text after `</think>`, else the whole completion.
    pub answer: String,
    /// The thought, if its tags are there.
    pub reasoning: Option<String>,
}

impl Grade {
    /// Returns whether the gold answer does not parse: a mistake in the data.
    pub fn gold_unparsed(&self) -> bool {
        self.verdict == Some(Verdict::GoldUnparsed)
    }

    /// Returns whether a finished completion gives a wrong answer without a hedge.
    pub fn is_confident_and_wrong(&self, finished: bool) -> bool {
        finished && !self.hedged && self.verdict == Some(Verdict::Wrong)
    }
}

/// Grades a completion; `finished` is whether it ended by itself.
pub fn grade(prompt: &PromptRow, completion: &str, finished: bool) -> Grade {
    let parts = text::think::parse(completion);
    let verdict = prompt.answer.as_deref().and_then(|gold| match prompt.verify {
        Verify::Number => Some(text::math::verify(gold, parts.answer)),
        Verify::Choice => Some(text::choice::verify(gold, parts.answer)),
        // The whole completion is the answer, tags included.
        Verify::Exact => Some(text::exact::verify(gold, completion)),
        Verify::None => None,
    });
    let format_ok = finished && (parts.format_ok || parts.summary_ok);
    let in_form = finished && (format_ok || !prompt.verify.wants_thought());
    Grade {
        correct: in_form && verdict == Some(Verdict::Correct),
        format_ok,
        verdict,
        hedged: text::hedge::is_hedged(parts.answer),
        answer: parts.answer.to_owned(),
        reasoning: parts.reasoning.map(str::to_owned),
    }
}
