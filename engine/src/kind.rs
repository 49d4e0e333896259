//! What the engine knows of a stage kind: data, learnt from `r1flow-worker kinds`.

use std::collections::BTreeMap;

use schemars::generate::SchemaSettings;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::artifact::ArtifactType;
use crate::stage::Stage;

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
    /// One or two sentences.
    pub doc: String,
    /// JSON schema (2020-12) of the references; `x-artifact` marks each place where one stands.
    pub inputs: Value,
    /// JSON schema of the parameters, with defaults; `x-role` is `result` (the default), `neutral` or `extent`.
    pub params: Value,
    /// Output name → type.
    pub outputs: BTreeMap<String, ArtifactType>,
}

impl KindSpec {
    /// Describes a stage kind from its types.
    pub fn of<S: Stage>() -> Self {
        // Subschemas are inlined: a reader, ours or an editor's, needs no resolver.
        let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
        let schema = |generator: schemars::SchemaGenerator, inputs: bool| {
            let schema = if inputs {
                generator.into_root_schema_for::<S::Inputs>()
            } else {
                generator.into_root_schema_for::<S::Params>()
            };
            serde_json::to_value(schema).expect("a schema is JSON")
        };
        Self {
            kind: S::KIND.to_owned(),
            version: S::VERSION,
            doc: S::DOC.to_owned(),
            inputs: schema(settings.clone().into_generator(), true),
            params: schema(settings.into_generator(), false),
            outputs: S::OUTPUTS.iter().map(|(name, artifact)| ((*name).to_owned(), *artifact)).collect(),
        }
    }
}
