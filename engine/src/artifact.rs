//! The types of artifact that stages exchange.
//!
//! An artifact is an immutable, typed output: a file or a folder whose layout its type fixes. The engine has the names
//! and checks that references have the right type; readers and writers are in `stages`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
/// Whether a file lies beside the data of an input and is no part of it: readers of inputs skip such files.
pub use store::is_beside;

/// A type of artifact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ArtifactType {
    /// A language model: an HF folder (`config.json`, safetensors, `tokenizer.json`).
    Model,
    /// Questions, with a gold answer where one is known: JSON lines.
    Prompts,
    /// Prompts with a completion kept for training: JSON lines.
    Samples,
    /// Judged completions, pairwise or pointwise: JSON lines.
    Preferences,
    /// A model with a scalar head: an HF folder with `score.weight`.
    RewardModel,
    /// A teacher's likeliest tokens at every token of samples, with log-probs: safetensors shards with `logits.json`.
    Logits,
    /// Measurements: `report.json`.
    Report,
    /// A text in a file: a template, a system text.
    Text,
}

impl ArtifactType {
    /// Every type, in the order of the documentation.
    pub const ALL: [Self; 8] = [
        Self::Model,
        Self::Prompts,
        Self::Samples,
        Self::Preferences,
        Self::RewardModel,
        Self::Logits,
        Self::Report,
        Self::Text,
    ];

    /// Returns the name used in workflows and schemas.
    pub fn name(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Prompts => "prompts",
            Self::Samples => "samples",
            Self::Preferences => "preferences",
            Self::RewardModel => "reward-model",
            Self::Logits => "logits",
            Self::Report => "report",
            Self::Text => "text",
        }
    }
}

impl fmt::Display for ArtifactType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for ArtifactType {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|artifact| artifact.name() == name).ok_or(())
    }
}

/// File extensions that are read from data sets.
pub const DATA_FORMATS: [&str; 9] = ["jsonl", "ndjson", "json", "csv", "tsv", "parquet", "arrow", "feather", "ipc"];
/// Extensions of compressed files, which may follow.
const PACKED: [&str; 2] = ["gz", "zst"];

/// Returns the extensions that name a data file's format, for example `jsonl.gz`; `None` for other files.
pub fn data_format(name: &str) -> Option<&str> {
    let unpacked = name.rsplit_once('.').filter(|(_, end)| PACKED.contains(end)).map_or(name, |(rest, _)| rest);
    let (stem, end) = unpacked.rsplit_once('.')?;
    DATA_FORMATS.contains(&end).then(|| &name[stem.len() + 1..])
}

/// A marker for an artifact type, the `A` of [`Input<A>`](crate::stage::Input).
pub trait Artifact {
    /// The artifact type that the marker represents.
    const TYPE: ArtifactType;
}

macro_rules! markers {
    ($($(#[$doc:meta])* $marker:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $marker;
        impl Artifact for $marker {
            const TYPE: ArtifactType = ArtifactType::$marker;
        }
    )*};
}

markers! {
    /// Marks a model.
    Model,
    /// Marks prompts.
    Prompts,
    /// Marks samples.
    Samples,
    /// Marks preferences.
    Preferences,
    /// Marks a reward model.
    RewardModel,
    /// Marks a teacher's logits.
    Logits,
    /// Marks a report.
    Report,
    /// Marks a text.
    Text,
}
