//! Completions of a file as verifiers and rewards judge them: the question to `r1flow-worker grade`, and its answers, one
//! on each line, so that a large file is never in memory as a whole.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::protocol::Refusal;

/// Which file to grade, and how.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct GradeRequest {
    /// What the file is called in messages.
    pub name: String,
    /// A file or folder, to be read only.
    pub path: PathBuf,
    /// How its rows are read: the keys of an input.
    pub import: Map<String, Value>,
    /// The rewards: a table as in a stage.
    pub rewards: Map<String, Value>,
    /// The form that a right completion has, as in a stage.
    pub form: String,
    /// The field that says whether a completion is right.
    pub label: Option<String>,
    /// Whether each row is explained.
    pub explain: bool,
}

/// A line of the answer: any number of rows, then one of the others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GradeLine {
    /// A row.
    Row(Box<GradedRow>),
    /// That was all. With the counts of rows that were read and of those that were left out.
    Done(Map<String, Value>),
    /// The file cannot be graded, or not from here on.
    Refused(Refusal),
}

/// How grading a file ended.
#[derive(Clone, Debug, PartialEq)]
pub enum GradeEnd {
    /// All rows are graded. With the counts of rows that were read and of those that were left out.
    Done(Map<String, Value>),
    /// The file cannot be graded, or not after the rows that came before.
    Refused(Refusal),
    /// The caller wanted no more rows.
    Stopped,
}

/// A completion with its grade.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct GradedRow {
    /// Number of rows before it in the file.
    pub index: usize,
    /// The gold answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gold: Option<String>,
    /// What was compared with the gold answer.
    pub answer: String,
    /// How the answer compares with the gold one, in any form; absent without a gold answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<GradedVerdict>,
    /// Right, finished, and in the wanted form; absent without a gold answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correct: Option<bool>,
    /// Finished, and in the wanted form.
    pub format: bool,
    /// The weighted sum of the rewards.
    pub total: f64,
    /// Reward name → unweighted score, for rewards that apply.
    pub parts: BTreeMap<String, f64>,
    /// What the file says about whether it is right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<bool>,
    /// Why it was judged so, if that was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explanation: Option<GradeExplanation>,
}

/// How an answer compares with the gold one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GradedVerdict {
    /// It is right.
    Correct,
    /// It differs.
    Wrong,
    /// There is no answer that parses.
    AnswerUnparsed,
    /// The gold answer does not parse: a mistake in the data.
    GoldUnparsed,
}

/// Why a completion was judged so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct GradeExplanation {
    /// The question; empty if the row has none.
    pub prompt: String,
    /// The verifier.
    pub verify: String,
    /// The text that was taken for the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
    /// Where it was found, or why nothing was.
    pub place: String,
    /// How it was read, if that may differ from the text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub read: Vec<String>,
    /// How the gold answer was read, if that may differ from the text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gold: Vec<String>,
}
