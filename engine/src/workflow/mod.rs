//! The checked, expanded workflow: a plain value, and the only form in which the rest of the engine sees a file.
//!
//! ```text
//! file ─ parse ─▶ spanned tables ─ overlay ─▶ one table ─ each ─▶ stages ─ check ─▶ Workflow | diagnostics
//! ```

mod check;
mod each;
pub mod hub;
mod inputs;
mod link;
mod load;
mod meant;
mod overlay;
mod short;
mod syntax;
#[cfg(test)]
mod tests;
mod tree;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use petgraph::graph::DiGraph;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::artifact::ArtifactType;
use crate::diagnostic::Span;
use crate::kind::{KeySpec, Role};
use crate::placement::Device;
use hub::{Fetched, HubId, HubInput};

pub use load::{Loaded, WorkflowDraft, load};

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
    /// The `--set` arguments that it was loaded with.
    pub sets: Vec<String>,
    /// Where tensors live: `cpu` unless [`Workflow::on`] says otherwise.
    pub device: Device,
    /// Entries of `[inputs]` by name.
    pub inputs: BTreeMap<String, InputDecl>,
    /// Stages, with an edge from producer to consumer; node indices are in topological order.
    pub graph: DiGraph<StageDecl, ()>,
}

/// An entry of `[inputs]`.
#[derive(Clone, Debug, PartialEq)]
pub struct InputDecl {
    /// Where it is named.
    pub span: Span,
    /// Its type.
    pub artifact: ArtifactType,
    /// Where it comes from.
    pub source: InputSource,
    /// A pinned digest, `b3:…`.
    pub pin: Option<String>,
    /// How rows are read, by the import keys of the worker. Part of the fingerprint of each stage that reads it.
    pub import: Map<String, Value>,
    /// Import keys of role `neutral`: whether it is read, and not what is read. No part of a fingerprint.
    pub neutral: Map<String, Value>,
    /// Files of its folder that are part of its digest because of an import key, though files of these names are else
    /// beside the data.
    pub reads: Vec<String>,
    /// Files or folders that import keys name, absolute: their digests are part of the fingerprint, as the input's is.
    pub beside: BTreeMap<String, PathBuf>,
}

/// Returns the import keys of what a reference points at that are part of an action; of a file or folder beside an
/// input, its digest.
pub(crate) fn import(
    workflow: &Workflow,
    reference: &Reference,
    digests: &BTreeMap<String, store::Digest>,
) -> Map<String, Value> {
    let Target::Input(name) = &reference.target else { return Map::new() };
    let input = &workflow.inputs[name];
    let beside = input.beside(name).map(|(key, name, _)| (key.to_owned(), serde_json::json!(digests.get(&name))));
    input.import.clone().into_iter().chain(beside).collect()
}

/// Returns the import keys of what a reference points at, as the worker gets them.
pub(crate) fn all_imports(workflow: &Workflow, reference: &Reference) -> Map<String, Value> {
    match &reference.target {
        Target::Input(name) => {
            let input = &workflow.inputs[name];
            let beside = input.beside.iter().map(|(key, path)| (key.clone(), serde_json::json!(path)));
            input.import.clone().into_iter().chain(input.neutral.clone()).chain(beside).collect()
        }
        Target::Output { .. } => Map::new(),
    }
}

/// Where an input comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum InputSource {
    /// A file or folder, absolute.
    Path(PathBuf),
    /// A repository of a hub.
    Hub(HubInput),
}

impl InputDecl {
    /// Returns the file or folder to read; none if it has yet to be fetched.
    pub fn path(&self) -> Option<&Path> {
        match &self.source {
            InputSource::Path(path) => Some(path),
            InputSource::Hub(input) => input.fetched.as_ref().map(|fetched| fetched.path.as_path()),
        }
    }

    /// Returns the files and folders beside it, each with the name of its digest among those of all inputs. The name
    /// has a dot, so that no input has it.
    pub(crate) fn beside<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a str, String, &'a Path)> {
        self.beside.iter().map(move |(key, path)| (key.as_str(), format!("{name}.{key}"), path.as_path()))
    }

    /// Returns its id if it has yet to be fetched.
    pub fn unfetched(&self) -> Option<&HubId> {
        match &self.source {
            InputSource::Hub(input) if input.fetched.is_none() => Some(&input.id),
            InputSource::Hub(_) | InputSource::Path(_) => None,
        }
    }
}

/// A stage, resolved.
#[derive(Clone, Debug)]
pub struct StageDecl {
    /// Its name.
    pub name: StageName,
    /// Where its table begins.
    pub span: Span,
    /// Its kind.
    pub kind: String,
    /// The kind's version.
    pub version: u32,
    /// The version since which the kind's kept rows are the same.
    pub rows_version: u32,
    /// Every key of the kind that has an effect here, defaults filled in, null for none; references still as written.
    /// Keys with `omits_default` are absent at their default.
    pub config: Map<String, Value>,
    /// The references in `config`.
    pub references: Vec<Reference>,
    /// Keys whose role is not [`Role::Result`]; one table for all stages of the kind.
    pub roles: Arc<BTreeMap<String, Role>>,
    /// Keys that are absent at their default, and keys whose tables have such keys; one table for all stages of the
    /// kind.
    pub omitted: Arc<BTreeMap<String, KeySpec>>,
    /// Output name → type; one table for all stages of the kind that have all its outputs.
    pub outputs: Arc<BTreeMap<String, ArtifactType>>,
    /// Output name → the key of the model that it will be like; one table for all stages of the kind.
    pub outputs_like: Arc<BTreeMap<String, String>>,
    /// Outputs that the kind has only with a key that is not given here, each with that key.
    pub absent_outputs: Vec<(String, String)>,
    /// Keys that a layer gave a value, with that layer; the topmost layer is last.
    pub origins: Vec<(String, Origin)>,
    /// Keys that `--set` gave a value, with the place of each argument.
    pub sets: Vec<(String, Span)>,
    /// How to run it; one value for all stages without a `run` table.
    pub run: Arc<RunOptions>,
    /// The device; the CPU for kinds without tensors and for stages that need no GPU. Its backend is part of the
    /// fingerprint.
    pub device: Device,
    /// Whether its outputs depend on what computes.
    pub uses_tensors: bool,
}

impl StageDecl {
    /// Returns the layer that gave a key its value; `None` if it has its kind's default.
    pub fn origin(&self, key: &str) -> Option<Origin> {
        self.origins.iter().rev().find(|(given, _)| given == key).map(|(_, origin)| *origin)
    }

    /// Returns the config with references replaced: `values` has the JSON pointer of each, and the value to put there.
    pub(crate) fn config_with<'a>(&self, values: impl IntoIterator<Item = (&'a str, Value)>) -> Map<String, Value> {
        let mut config = Value::Object(self.config.clone());
        for (pointer, value) in values {
            *config.pointer_mut(pointer).expect("a reference is where it was found") = value;
        }
        let Value::Object(config) = config else { unreachable!("a config is a table") };
        config
    }
}

impl Workflow {
    /// Sets the device of the stages (`cpu`, `cuda`, `cuda:N`). Another backend gives other bits, so it is part of
    /// their fingerprints. A stage with `needs = { gpus = 0 }` stays on the CPU.
    #[must_use]
    pub fn on(mut self, device: Device) -> Self {
        self.device = device;
        for stage in self.graph.node_weights_mut() {
            let wants_gpu = stage.uses_tensors && stage.run.needs.get("gpus") != Some(&0);
            stage.device = if wants_gpu { device } else { Device::Cpu };
        }
        self
    }

    /// Returns the inputs that come from a hub, by name.
    pub fn hub_inputs(&self) -> impl Iterator<Item = (&str, &HubInput)> {
        self.inputs.iter().filter_map(|(name, input)| match &input.source {
            InputSource::Hub(input) => Some((name.as_str(), input)),
            InputSource::Path(_) => None,
        })
    }

    /// Calls `find` with each input that comes from a hub, and notes what it returns as fetched.
    pub fn fetched_inputs(&mut self, mut find: impl FnMut(&str, &HubInput) -> Option<Fetched>) {
        for (name, input) in &mut self.inputs {
            if let InputSource::Hub(input) = &mut input.source {
                input.fetched = find(name, input);
            }
        }
    }
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

/// Appends a key to a JSON pointer.
pub(crate) fn push_step(pointer: &mut String, key: &str) {
    pointer.push('/');
    for char in key.chars() {
        match char {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            plain => pointer.push(plain),
        }
    }
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

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Input(name) => write!(f, "inputs.{name}"),
            Self::Output { stage, output } => write!(f, "{stage}.{output}"),
        }
    }
}

/// Which layer gave a key its value, if it is not the kind's default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// The workflow's `seed`.
    Workflow,
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
    /// Steps (or rows) between two checkpoints; whichever comes first.
    pub checkpoint_steps: Option<u64>,
    /// Number of newest checkpoints that are kept.
    pub keep_checkpoints: Option<usize>,
    /// MiB that a log keeps of its beginning, and as many of its end.
    pub log_mib: Option<u64>,
    /// Time after which an attempt is stopped and counted as failed.
    pub timeout: Option<Duration>,
    /// Time without a step after which an attempt counts as hung.
    pub progress_timeout: Option<Duration>,
    /// Attempts after the first.
    pub retries: u32,
    /// What an attempt takes of each pool while it runs: `cores`, `memory-gib`, `gpus`, or a pool of the user's own.
    pub needs: BTreeMap<String, u64>,
    /// The folder for TensorBoard's event files, an absolute path; it may not exist yet.
    pub tensorboard: Option<PathBuf>,
}
