//! Opinions of judges: what they are asked about, and what they say. The judge, a model, is in [`judges`]; verifiers,
//! filters and rewards only ask one, through [`Asked`].
//!
//! [`judges`]: crate::judges

use std::fmt;

use engine::stage::StageError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use text::Prompt;

/// What a judge or a reward model reads of a completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Reads {
    /// The answer alone.
    Answer,
    /// Everything, the thought included.
    Completion,
}

impl Reads {
    /// Returns what is read of `completion`.
    pub(crate) fn of(self, completion: &str) -> &str {
        match self {
            Self::Answer => text::think::parse(completion).answer,
            Self::Completion => completion,
        }
    }
}

/// An answer that a judge is asked about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case<'a> {
    pub(crate) prompt: &'a Prompt,
    pub(crate) completion: &'a str,
    /// The reference answer, if the prompt has one.
    pub(crate) gold: Option<&'a str>,
}

/// What a judge says of an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Opinion {
    /// From 0, bad, to 1, good: the mean of its votes. A vote that cannot be read counts 0.
    pub score: f64,
    /// The end of what it wrote in its first vote.
    pub why: String,
}

/// A judge.
pub(crate) trait Asked: fmt::Debug {
    /// Returns its opinion of each answer.
    fn opinions(&self, cases: &[Case<'_>]) -> Result<Vec<Opinion>, StageError>;
}
