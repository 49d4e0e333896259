//! How tokens are drawn, and what ends a completion: the keys that `generate` and `eval` share beside those with defaults
//! of their own.

use engine::stage::StageError;
use lm::generate::Sampling;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, json};

use crate::chat::check_stops;
use crate::limits;

/// How tokens are drawn.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case")]
pub struct Drawing {
    /// Only this many of the likeliest tokens are drawn. 0: all.
    #[schemars(range(max = limits::TOKENS), extend("x-role" = "rows", "x-omit-default" = true))]
    pub top_k: usize,
    /// Only tokens with at least this share of the likeliest one's probability are drawn. 0: all.
    #[schemars(range(min = 0.0, max = 1.0), extend("x-role" = "rows", "x-omit-default" = true))]
    pub min_p: f64,
    /// Divides the positive logits of tokens that the prompt or the completion has already, and multiplies the negative
    /// ones. 1: no penalty.
    #[schemars(range(max = 100.0), extend("exclusiveMinimum" = 0.0, "x-omit-default" = true))]
    pub repetition_penalty: f64,
    /// Texts that end a completion; they are no part of it.
    #[schemars(extend("x-omit-default" = true))]
    pub stop: Vec<String>,
}

impl Default for Drawing {
    fn default() -> Self {
        Self { top_k: 0, min_p: 0.0, repetition_penalty: 1.0, stop: Vec::new() }
    }
}

impl Drawing {
    /// Refuses what can be seen to be wrong before anything runs.
    pub(crate) fn check(&self) -> Result<(), StageError> {
        check_stops(&self.stop)
    }

    /// Puts these keys in force.
    pub(crate) fn apply(&self, sampling: Sampling) -> Sampling {
        let Self { top_k, min_p, repetition_penalty, .. } = *self;
        Sampling { top_k, min_p, repetition_penalty, ..sampling }
    }

    /// Returns the keys that are not at their defaults, for a report.
    pub(crate) fn shown(&self) -> Map<String, serde_json::Value> {
        let mut shown = Map::new();
        if self.top_k > 0 {
            shown.insert("top-k".to_owned(), json!(self.top_k));
        }
        if self.min_p > 0.0 {
            shown.insert("min-p".to_owned(), json!(self.min_p));
        }
        if (self.repetition_penalty - 1.0).abs() > 0.0 {
            shown.insert("repetition-penalty".to_owned(), json!(self.repetition_penalty));
        }
        if !self.stop.is_empty() {
            shown.insert("stop".to_owned(), json!(self.stop));
        }
        shown
    }
}
