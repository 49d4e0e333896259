//! A row as the model sees it: the question to `r1flow-worker tokens`, and its answer.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::protocol::Refusal;

/// Which row of a stage to show.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct TokensRequest {
    /// The stage's kind.
    pub kind: String,
    /// The kind's version.
    pub version: u32,
    /// Every key of the stage, defaults filled in. Each reference is an
    /// [`InputArtifact`](super::protocol::InputArtifact); those that showing a row does not read have no path.
    pub config: Map<String, Value>,
    /// The row, from 0.
    pub row: usize,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TokensAnswer {
    /// The row.
    Shown(ShownRow),
    /// It cannot be shown.
    Refused(Refusal),
}

/// A row as the model sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ShownRow {
    /// What it is called in messages: "row 3 of `data`".
    pub name: String,
    /// The beginning of a completion that the chat template writes at the end of the prompt; it is not learnt.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub opening: String,
    /// The longest row that is kept, in tokens, if there is such a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<usize>,
    /// What the model reads; several if each of several turns is learnt after the turns before it.
    pub sequences: Vec<ShownSequence>,
}

/// Tokens that the model reads at once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ShownSequence {
    /// Whether it is left out, because it is longer than the limit.
    pub is_left_out: bool,
    /// Its tokens.
    pub tokens: Vec<ShownToken>,
}

/// A token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ShownToken {
    /// Its id.
    pub id: i64,
    /// What it adds to the text; for a part of a character, the tokenizer's own spelling.
    pub text: String,
    /// Whether it is a special token: no part of a text, but a mark such as the end of a turn.
    pub is_special: bool,
    /// Whether it counts in the loss.
    pub is_learnt: bool,
}
