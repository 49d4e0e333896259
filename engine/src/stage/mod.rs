//! All that the author of a stage kind needs: [`Stage`], [`Context`], [`Input`].
//!
//! A kind is two structs and a function. `Inputs` holds references to artifacts, `Params` holds values with a default.
//! Both derive their JSON schema, and their field docs are the manual. In the workflow file the keys of both are in one
//! table.

mod aside;
mod context;
mod counts;
mod look;
pub mod serve;

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::path::Path;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::artifact::{Artifact, ArtifactType};
use crate::failure::Shortage;
use crate::kind::KindSpec;
use crate::worker::protocol::InputArtifact;
use crate::worker::tokens::ShownRow;
use counts::Counts;

pub use aside::warn;
pub use context::Context;
pub use look::Look;

/// A kind of stage.
pub trait Stage {
    /// Its name in workflow files.
    const KIND: &'static str;
    /// One line for each version, oldest first. A line is added whenever the same action would give other bytes.
    const HISTORY: &'static [&'static str];
    /// The version, part of every fingerprint.
    const VERSION: u32 = Self::HISTORY.len() as u32;
    /// The version since which kept rows are the same, for kinds that keep rows. A later version does something else
    /// with each row, so that the rows of this one still serve.
    const ROWS_VERSION: u32 = Self::VERSION;
    /// Whether outputs depend on the backend: a CPU and a GPU give different bits.
    const USES_TENSORS: bool = true;
    /// One or two sentences for `r1flow kinds`.
    const DOC: &'static str;
    /// Its outputs: name and type.
    const OUTPUTS: &'static [(&'static str, ArtifactType)];
    /// Outputs that a stage has only if it gives one of some keys: the output, and a key; an output may be there twice.
    const OUTPUTS_WITH: &'static [(&'static str, &'static str)] = &[];
    /// Outputs that are models like the one of a key, with the same architecture and tokenizer: the output, and the
    /// key.
    const OUTPUTS_LIKE: &'static [(&'static str, &'static str)] = &[];
    /// Names that other programs have for its keys, with `_` between words, for messages.
    const OTHER_NAMES: &'static [(&'static str, &'static str)] = &[];
    /// Names that other programs have for what is no key here, and what takes its place, for messages.
    const OTHER_WAYS: &'static [(&'static str, &'static str)] = &[];
    /// Keys whose artifacts [`tokens`](Stage::tokens) reads; none if the kind has no rows to show.
    const TOKENS: &'static [&'static str] = &[];
    /// References: required unless `Option` or a list with a default.
    type Inputs: DeserializeOwned + JsonSchema;
    /// Everything with a default, from one visible `impl Default`. A type must be `Serialize` for the schema to have
    /// its default. `None` means that there is no value, never a default that the code fills in.
    type Params: DeserializeOwned + JsonSchema;

    /// Returns what is wrong with the keys: those that contradict each other, or that no stage can run with. It is
    /// called before any stage of a workflow starts, when inputs may not exist yet, and again before
    /// [`run`](Stage::run), which may rely on it. It reads no file.
    fn check(_inputs: &Self::Inputs, _params: &Self::Params) -> Vec<StageError> {
        Vec::new()
    }

    /// Looks into the inputs that are there ([`Input::is_here`]) before any stage of a workflow starts: the first rows,
    /// the models' configurations. It must be quick, reads no weights, and may be called for keys that
    /// [`check`](Stage::check) refuses, so that every mistake is found at once.
    fn look(_inputs: &Self::Inputs, _params: &Self::Params, _look: &mut Look) {}

    /// Shows row `row` (from 0) of what the stage reads, as the model sees it. It is only called for a kind with
    /// [`TOKENS`](Stage::TOKENS), and must be quick: it reads no weights, and no rows after that one.
    fn tokens(_inputs: &Self::Inputs, _params: &Self::Params, _row: usize) -> Result<ShownRow, StageError> {
        Err(StageError::new(format!("a {} stage has no rows to show", Self::KIND)))
    }

    /// Runs one attempt, from the beginning or from [`Context::resume`].
    fn run(ctx: &Context, inputs: Self::Inputs, params: Self::Params) -> Result<Outcome, StageError>;
}

/// How an attempt ended well.
#[derive(Debug)]
pub enum Outcome {
    /// Every output is in its [`Context::output`] folder; the map is a summary for people.
    Done(Map<String, Value>),
    /// The engine asked for a stop, and a checkpoint of this many steps was sent.
    Stopped(u64),
}

/// Why a stage cannot be completed, and what to do about it.
#[derive(Debug)]
pub struct StageError {
    /// What happened, lower case, the offending value in backticks.
    pub message: String,
    /// The next action.
    pub help: Option<String>,
}

impl StageError {
    /// Makes an error. Errors of libraries have their advice in their text, after `; help: `.
    pub fn new(message: impl Into<String>) -> Self {
        let message = message.into();
        match message.split_once("; help: ") {
            Some((message, help)) => Self { message: message.to_owned(), help: Some(help.to_owned()) },
            None => Self { message, help: None },
        }
    }

    /// Adds advice.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// Returns the errors among several checks.
pub fn refusals(checks: impl IntoIterator<Item = Result<(), StageError>>) -> Vec<StageError> {
    checks.into_iter().filter_map(Result::err).collect()
}

// `StageError` does not implement `std::error::Error`, so that `?` converts every error.
impl<E: std::error::Error + 'static> From<E> for StageError {
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let cause_text = cause.to_string();
            if !message.contains(&cause_text) {
                message = format!("{message}: {cause_text}");
            }
            source = cause.source();
        }
        let told = Self::new(message);
        Self { help: Shortage::of(&error).map(Shortage::advice).or(told.help), message: told.message }
    }
}

/// A reference to an artifact of type `A`, resolved: a path to read, and what it is.
#[derive(Clone, Debug)]
pub struct Input<A> {
    /// Its path, its digest, and how rows are to be read.
    pub artifact: InputArtifact,
    counts: Counts,
    marker: PhantomData<A>,
}

impl<A> Input<A> {
    /// Wraps a resolved artifact, for tests and for stages that call others.
    pub fn new(artifact: InputArtifact) -> Self {
        Self { artifact, counts: Counts::of_stage(), marker: PhantomData }
    }

    /// Returns the file or folder to read. Files in it that are [beside the data](crate::artifact::is_beside) are no
    /// part of its digest: a stage that read them would be shown as fresh after they changed.
    pub fn path(&self) -> &Path {
        &self.artifact.path
    }

    /// Returns whether there is something to read. It is false only in [`Stage::check`] and [`Stage::look`], for an
    /// output that another stage has yet to make.
    pub fn is_here(&self) -> bool {
        !self.path().as_os_str().is_empty()
    }

    /// Returns whether it is an entry of `[inputs]`. In [`Stage::look`], another stage's output has the path of the
    /// input that it will be like.
    pub fn is_declared(&self) -> bool {
        self.name().starts_with("inputs.")
    }

    /// Returns the reference as written in the workflow.
    pub fn name(&self) -> &str {
        &self.artifact.name
    }

    /// Puts a count into the stage's summary, below `inputs` and this input's name: rows that were read or left out.
    pub fn count(&self, what: &str, count: usize) {
        self.counts.set(self.name(), what, count as u64);
    }
}

// Needed so that the schema has the default of a list of references.
impl<A> Serialize for Input<A> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.artifact.serialize(serializer)
    }
}

impl<'de, A> Deserialize<'de> for Input<A> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        InputArtifact::deserialize(deserializer).map(Self::new)
    }
}

impl<A: Artifact> JsonSchema for Input<A> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("reference-to-{}", A::TYPE).into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({ "type": "string", "x-artifact": A::TYPE.name() })
    }
}

/// A row of a worker's table of kinds.
pub struct Kind {
    /// Its name.
    pub name: &'static str,
    /// Its version.
    pub version: u32,
    /// Names of its outputs, with types.
    pub outputs: &'static [(&'static str, ArtifactType)],
    /// Describes the kind.
    pub spec: fn() -> KindSpec,
    /// Checks the keys of a stage, and looks into its inputs.
    pub check: fn(&Map<String, Value>, Look) -> Look,
    /// Shows a row of a stage with these keys.
    pub tokens: fn(&Map<String, Value>, usize) -> Result<ShownRow, StageError>,
    /// Runs an attempt of it.
    pub run: fn(&Context) -> Result<Outcome, StageError>,
}

/// Describes a stage kind from its types.
fn spec<S: Stage>() -> KindSpec {
    KindSpec {
        kind: S::KIND.to_owned(),
        version: S::VERSION,
        rows_version: (S::ROWS_VERSION != S::VERSION).then_some(S::ROWS_VERSION),
        history: S::HISTORY.iter().map(|change| (*change).to_owned()).collect(),
        uses_tensors: S::USES_TENSORS,
        doc: S::DOC.to_owned(),
        inputs: schema::<S::Inputs>(),
        params: schema::<S::Params>(),
        outputs: S::OUTPUTS.iter().map(|(name, artifact)| ((*name).to_owned(), *artifact)).collect(),
        outputs_with: S::OUTPUTS_WITH.iter().fold(BTreeMap::new(), |mut keys, (output, key)| {
            keys.entry((*output).to_owned()).or_insert_with(Vec::new).push((*key).to_owned());
            keys
        }),
        outputs_like: S::OUTPUTS_LIKE.iter().map(|(name, key)| ((*name).to_owned(), (*key).to_owned())).collect(),
        tokens: S::TOKENS.iter().map(|key| (*key).to_owned()).collect(),
        other_names: S::OTHER_NAMES.iter().map(|(name, key)| ((*name).to_owned(), (*key).to_owned())).collect(),
        other_ways: S::OTHER_WAYS.iter().map(|(name, way)| ((*name).to_owned(), (*way).to_owned())).collect(),
    }
}

/// Describes a type. Subschemas are inlined: a reader, ours or an editor's, needs no resolver.
fn schema<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<T>().to_value()
}

/// Makes the table row of a stage kind.
pub const fn kind<S: Stage>() -> Kind {
    Kind {
        name: S::KIND,
        version: S::VERSION,
        outputs: S::OUTPUTS,
        spec: spec::<S>,
        check: check::<S>,
        tokens: |config, row| checked::<S>(config).and_then(|(inputs, params)| S::tokens(&inputs, &params, row)),
        run: run::<S>,
    }
}

fn run<S: Stage>(ctx: &Context) -> Result<Outcome, StageError> {
    let counts = Counts::default();
    let (inputs, params) = counts.shared_by(|| checked::<S>(ctx.config()))?;
    let mut outcome = S::run(ctx, inputs, params)?;
    if let Outcome::Done(summary) = &mut outcome {
        counts.add_to(summary);
    }
    Ok(outcome)
}

fn parsed<S: Stage>(config: &Map<String, Value>) -> Result<(S::Inputs, S::Params), StageError> {
    Ok((S::Inputs::deserialize(config)?, S::Params::deserialize(config)?))
}

/// Returns the keys of a stage, or the first thing that is wrong with them.
fn checked<S: Stage>(config: &Map<String, Value>) -> Result<(S::Inputs, S::Params), StageError> {
    let (inputs, params) = parsed::<S>(config)?;
    S::check(&inputs, &params).into_iter().next().map_or(Ok((inputs, params)), Err)
}

fn check<S: Stage>(config: &Map<String, Value>, mut look: Look) -> Look {
    match parsed::<S>(config) {
        Ok((inputs, params)) => {
            for error in S::check(&inputs, &params) {
                look.refuse(error);
            }
            S::look(&inputs, &params, &mut look);
        }
        Err(error) => look.refuse(error),
    }
    look
}
