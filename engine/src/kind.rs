//! What the engine knows of stage kinds: data, learnt from `r1flow-worker kinds`.
//!
//! A worker describes each kind by two JSON schemas, as schemars derives them. [`Kinds`] parses them once into
//! [`KeySpec`]s, the only form that the language's checks see.

mod key;

use std::collections::BTreeMap;

use schemars::generate::SchemaSettings;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::artifact::ArtifactType;
use crate::stage::Stage;

pub use key::{KeySpec, KeyType, When};

/// The answer of `r1flow-worker kinds`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KindList {
    /// The worker's protocol version.
    pub protocol: u32,
    /// What it can run.
    pub kinds: Vec<KindSpec>,
}

/// A stage kind, described.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KindSpec {
    /// Its name.
    pub kind: String,
    /// Its version, part of every fingerprint.
    pub version: u32,
    /// What each version changed, the first first.
    #[serde(default)]
    pub history: Vec<String>,
    /// Whether its outputs depend on what computes: the CPU's bits are not a GPU's.
    #[serde(default)]
    pub uses_tensors: bool,
    /// One or two sentences.
    pub doc: String,
    /// JSON schema (2020-12) of the references; `x-artifact` marks each place where one stands.
    pub inputs: Value,
    /// JSON schema of the parameters, with defaults; `x-role` is `result` (the default), `neutral`, `extent` or `rows`.
    /// A key of either with `x-when` = `{"method": ["logits"]}` has a use only where the key `method` says so (null in the
    /// list: or is absent), and must be given there if it has `x-required`.
    pub params: Value,
    /// Output name → type.
    pub outputs: BTreeMap<String, ArtifactType>,
}

impl KindSpec {
    /// Describes a stage kind from its types.
    pub fn of<S: Stage>() -> Self {
        // Subschemas are inlined: a reader, ours or an editor's, needs no resolver.
        let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
        let inputs = settings.clone().into_generator().into_root_schema_for::<S::Inputs>();
        let params = settings.into_generator().into_root_schema_for::<S::Params>();
        let json = |schema| serde_json::to_value(schema).expect("a schema is JSON");
        Self {
            kind: S::KIND.to_owned(),
            version: S::VERSION,
            history: S::HISTORY.iter().map(|change| (*change).to_owned()).collect(),
            uses_tensors: S::USES_TENSORS,
            doc: S::DOC.to_owned(),
            inputs: json(inputs),
            params: json(params),
            outputs: S::OUTPUTS.iter().map(|(name, artifact)| ((*name).to_owned(), *artifact)).collect(),
        }
    }
}

/// A kind with its keys parsed.
#[derive(Clone, Debug)]
pub struct KindInfo {
    /// As the worker described it.
    pub spec: KindSpec,
    /// Keys of inputs and parameters by name: in a workflow they stand side by side.
    pub keys: BTreeMap<String, KeySpec>,
}

/// The kinds that a workflow may use.
#[derive(Clone, Debug, Default)]
pub struct Kinds(BTreeMap<String, KindInfo>);

/// A worker's description that the engine cannot use.
#[derive(Debug, thiserror::Error)]
#[error("kind `{kind}`, key `{key}`: {reason}")]
pub struct Error {
    kind: String,
    key: String,
    reason: String,
}

/// Bytes of an output's name: `output-` stands before it where a worker writes.
const LONGEST_OUTPUT: usize = 240;

fn names_a_folder(output: &str) -> bool {
    (1..=LONGEST_OUTPUT).contains(&output.len()) && !output.contains(['/', '\0'])
}

impl Kinds {
    /// Parses a worker's list.
    pub fn parse(list: KindList) -> Result<Self, Error> {
        let mut kinds = BTreeMap::new();
        for spec in list.kinds {
            let mut keys = BTreeMap::new();
            for schema in [&spec.inputs, &spec.params] {
                let parsed = key::properties(schema);
                let parsed = parsed.map_err(|(key, reason)| Error { kind: spec.kind.clone(), key, reason })?;
                keys.extend(parsed);
            }
            if let Some(output) = spec.outputs.keys().find(|output| !names_a_folder(output)) {
                let (kind, key) = (spec.kind.clone(), output.clone());
                let reason = format!("an output names a folder: no `/`, and at most {LONGEST_OUTPUT} bytes");
                return Err(Error { kind, key, reason });
            }
            kinds.insert(spec.kind.clone(), KindInfo { spec, keys });
        }
        Ok(Self(kinds))
    }

    /// Returns a kind.
    pub fn get(&self, name: &str) -> Option<&KindInfo> {
        self.0.get(name)
    }

    /// Returns all kinds, by name.
    pub fn iter(&self) -> impl Iterator<Item = &KindInfo> {
        self.0.values()
    }

    /// Returns the names of all kinds.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}
