//! The filters of `generate`: conditions for a completion to be kept.

use engine::stage::StageError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Params;
use super::candidates::Candidate;
use crate::rewards::thought_consistency;
use crate::sampling::Question;
use crate::verifiers::{ENOUGH, Verify};

/// Least share of words in the prompt's language. It is below 1 because names and symbols do not count as mixing.
const ONE_LANGUAGE: f64 = 0.9;

/// A filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Keep {
    /// Right by the prompt's `verify`; no completion passes where that is `none`.
    Correct,
    /// One thought and one answer in well-formed tags; no thought where a bare answer is asked for.
    Format,
    /// A thought in the prompt's language.
    OneLanguage,
    /// No repetition, no endless paragraph, no code block in the thought.
    Readable,
    /// At most `keep-tokens` tokens.
    ShortEnough,
    /// No completion that was already kept for the same prompt.
    Unique,
    /// Good in the opinion of the stage's `judge`.
    Judged,
}

impl Keep {
    /// Returns the name that workflows and counts use.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Correct => "correct",
            Self::Format => "format",
            Self::OneLanguage => "one-language",
            Self::Readable => "readable",
            Self::ShortEnough => "short-enough",
            Self::Unique => "unique",
            Self::Judged => "judged",
        }
    }

    /// Returns whether the completion passes; `is_new` is false if the same completion is already kept.
    pub(super) fn passes(self, question: &Question, candidate: &Candidate, params: &Params, is_new: bool) -> bool {
        let Candidate { drawn, grade, opinion } = candidate;
        match self {
            Self::Correct => grade.correct,
            Self::Format if question.row.verify.is_bare() => grade.reasoning.is_none(),
            Self::Format => grade.format_ok,
            Self::OneLanguage => {
                thought_consistency(&question.row, grade, &drawn.text).is_none_or(|share| share >= ONE_LANGUAGE)
            }
            Self::Readable => {
                let is_program = question.row.verify == Verify::CODE;
                let without_tags = if is_program { "" } else { drawn.text.as_str() };
                text::readable::is_readable(&drawn.text, grade.reasoning.as_deref().unwrap_or(without_tags))
            }
            Self::ShortEnough => params.keep_tokens.is_none_or(|most| drawn.num_tokens <= most),
            Self::Unique => is_new,
            Self::Judged => opinion.as_ref().is_some_and(|opinion| opinion.score > params.keep_above.unwrap_or(ENOUGH)),
        }
    }
}

/// Refuses parameters that contradict each other.
pub(super) fn check(params: &Params) -> Result<(), StageError> {
    if params.keep.contains(&Keep::ShortEnough) != params.keep_tokens.is_some() {
        return Err(StageError::new("the filter `short-enough` and the key `keep-tokens` need each other")
            .with_help("give both, or neither"));
    }
    let judges = params.keep.contains(&Keep::Judged);
    if judges && params.judge.keys().is_none() {
        return Err(StageError::new("the filter `judged` needs a judge")
            .with_help("for example `judge = { model = \"inputs.judge\", rubric = \"Is the answer helpful?\" }`"));
    }
    if params.keep_above.is_some() && !judges {
        return Err(StageError::new("`keep-above` is for the filter `judged`")
            .with_help("put `judged` into `keep`, or remove it"));
    }
    for (index, filter) in params.keep.iter().enumerate() {
        if params.keep[..index].contains(filter) {
            return Err(StageError::new(format!("the filter `{}` is listed twice", filter.name())));
        }
    }
    if params.limit == Some(0) || params.per_prompt_limit == Some(0) {
        return Err(StageError::new("a limit of 0 keeps nothing"));
    }
    Ok(())
}
