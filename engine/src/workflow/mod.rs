//! The checked, expanded workflow: a plain value, and the only form in which the rest of the engine sees a file.
//!
//! ```text
//! file ─ parse ─▶ spanned tables ─ overlay ─▶ one table ─ each ─▶ stages ─ check ─▶ Workflow | diagnostics
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use petgraph::graph::DiGraph;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::artifact::ArtifactType;

/// The name of a stage: `zero`, or `distill/small` for a variant of a family.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StageName(pub String);

impl fmt::Display for StageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A workflow without mistakes: every key known and typed, every reference resolved, no cycle.
#[derive(Clone, Debug)]
pub struct Workflow {
    /// Its `name`.
    pub name: String,
    /// The file it came from, absolute.
    pub file: PathBuf,
    /// Entries of `[inputs]` by name.
    pub inputs: BTreeMap<String, InputDecl>,
    /// Stages, with an edge from producer to consumer; nodes are in topological order of their indices.
    pub graph: DiGraph<StageDecl, ()>,
}

/// An entry of `[inputs]`.
#[derive(Clone, Debug, PartialEq)]
pub struct InputDecl {
    /// Its type.
    pub artifact: ArtifactType,
    /// File or folder, absolute.
    pub path: PathBuf,
    /// A pinned digest, `b3:…`.
    pub pin: Option<String>,
    /// How rows are read: `fields`, `answer-after`, `limit`, `skip`. Part of the fingerprint of whoever reads it.
    pub import: Map<String, Value>,
}

/// A stage, resolved.
#[derive(Clone, Debug)]
pub struct StageDecl {
    /// Its name.
    pub name: StageName,
    /// Its kind.
    pub kind: String,
    /// The kind's version.
    pub version: u32,
    /// Every key of the kind, defaults filled in; references still as written.
    pub config: Map<String, Value>,
    /// Where references stand in `config`.
    pub references: Vec<Reference>,
    /// Keys that are not of role [`Role::Result`].
    pub roles: BTreeMap<String, Role>,
    /// Output name → type.
    pub outputs: BTreeMap<String, ArtifactType>,
    /// Where each key's value came from.
    pub origins: BTreeMap<String, Origin>,
    /// How to run it.
    pub run: RunOptions,
}

/// A reference inside a stage's config.
#[derive(Clone, Debug, PartialEq)]
pub struct Reference {
    /// JSON pointer (RFC 6901) into the config, for example `/rewards/helpful/model`.
    pub pointer: String,
    /// What it points at.
    pub target: Target,
    /// The type of the artifact.
    pub artifact: ArtifactType,
}

/// What a reference points at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// `inputs.NAME`.
    Input(String),
    /// `STAGE.OUTPUT`.
    Output {
        /// The producing stage.
        stage: StageName,
        /// Which of its outputs.
        output: String,
    },
}

/// What a key means for the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Changes the result: hashed.
    Result,
    /// Cannot change the result: never hashed.
    Neutral,
    /// How far to go: hashed, but left out of a checkpoint's key.
    Extent,
}

/// Which layer gave a key its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// The kind's default.
    Kind,
    /// `[defaults]`.
    Defaults,
    /// The stage's own table.
    Stage,
    /// A variant of `each`.
    Each,
    /// `--set`.
    Set,
}

/// How a stage is run: never part of a fingerprint.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunOptions {
    /// Time of work between two checkpoints.
    pub checkpoint_every: Option<Duration>,
    /// Time after which an attempt is stopped and counted as failed.
    pub timeout: Option<Duration>,
    /// Attempts after the first.
    pub retries: u32,
}
