//! The JSON schema of workflow files, for editors (draft 7, which taplo understands).

use serde_json::{Map, Value, json};

use crate::artifact::ArtifactType;
use crate::kind::{KeySpec, KeyType, KindInfo, Kinds};
use crate::limits;

/// Returns the schema of a workflow over `kinds`.
pub fn editor_schema(kinds: &Kinds) -> Value {
    let mut properties = Map::new();
    properties.insert("name".to_owned(), json!({ "type": "string", "description": "Name of the workflow." }));
    let extends = "A workflow to build on, relative to this file: tables merge, lists are replaced.";
    properties.insert("extends".to_owned(), json!({ "type": "string", "description": extends }));
    let seed = "Seed of every stage that has one, apart from those that `[defaults]` or the stage itself give.";
    properties.insert("seed".to_owned(), json!({ "type": "integer", "minimum": 0, "description": seed }));
    properties.insert("run".to_owned(), run());
    properties.insert("inputs".to_owned(), inputs(kinds));
    let mut defaults = Map::new();
    for kind in kinds.iter() {
        let name = &kind.spec.kind;
        properties.insert(
            name.clone(),
            json!({ "type": "object", "description": kind.spec.doc, "additionalProperties": stage(kind) }),
        );
        defaults.insert(name.clone(), table(kind.keys.iter(), Map::new()));
    }
    let about = "Values for all stages of a kind.";
    properties.insert(
        "defaults".to_owned(),
        json!({ "type": "object", "description": about, "properties": defaults, "additionalProperties": false }),
    );
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "r1flow workflow",
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    })
}

fn stage(kind: &KindInfo) -> Value {
    let variant = table(kind.keys.iter(), Map::new());
    let each = json!({
        "description": "Variants that override keys, or a list of stages to follow.",
        "anyOf": [
            { "type": "object", "additionalProperties": variant },
            { "type": "array", "items": { "type": "string" } },
        ],
    });
    table(kind.keys.iter(), Map::from_iter([("each".to_owned(), each), ("run".to_owned(), run())]))
}

fn table<'a>(keys: impl Iterator<Item = (&'a String, &'a KeySpec)>, more: Map<String, Value>) -> Value {
    let mut properties: Map<String, Value> = keys.map(|(name, spec)| (name.clone(), key(spec))).collect();
    properties.extend(more);
    json!({ "type": "object", "properties": properties, "additionalProperties": false })
}

fn key(spec: &KeySpec) -> Value {
    let mut schema = of_type(&spec.ty);
    if !spec.doc.is_empty() {
        schema["description"] = json!(spec.manual());
    }
    // TOML has no null, so a default of null is not written.
    if let Some(default) = spec.default.as_ref().filter(|default| !default.is_null()) {
        schema["default"] = default.clone();
    }
    schema
}

fn of_type(ty: &KeyType) -> Value {
    let bounded = |name: &str, min: Option<Value>, max: Option<Value>| {
        let mut schema = json!({ "type": name });
        for (bound, value) in [("minimum", min), ("maximum", max)] {
            if let Some(value) = value {
                schema[bound] = value;
            }
        }
        schema
    };
    match ty {
        KeyType::Bool => json!({ "type": "boolean" }),
        KeyType::Integer { min, max } => bounded("integer", min.map(Into::into), max.map(Into::into)),
        KeyType::Number { min, above, max } => {
            let mut schema = bounded("number", min.map(Into::into), max.map(Into::into));
            if let Some(above) = above {
                schema["exclusiveMinimum"] = json!(above);
            }
            schema
        }
        KeyType::Text => json!({ "type": "string" }),
        KeyType::OneOf(words) => json!({ "type": "string", "enum": words }),
        KeyType::Reference(_) => json!({ "type": "string", "pattern": r"^[a-z0-9-]+(/[a-z0-9/-]+)?\.[a-z0-9-]+$" }),
        KeyType::List(of, length) => {
            let mut schema = json!({ "type": "array", "items": of_type(of) });
            if length.least > 0 {
                schema["minItems"] = json!(length.least);
            }
            if let Some(most) = length.most {
                schema["maxItems"] = json!(most);
            }
            schema
        }
        KeyType::Table(keys) => table(keys.iter(), Map::new()),
        KeyType::MapOf(of) => json!({ "type": "object", "additionalProperties": of_type(of) }),
        KeyType::AnyOf(types) => json!({ "anyOf": types.iter().map(of_type).collect::<Vec<_>>() }),
    }
}

fn run() -> Value {
    let duration =
        |about: &str| json!({ "type": "string", "description": about, "pattern": r"^\d+[smhd]( \d+[smhd])*$" });
    json!({
        "type": "object",
        "description": "How to run, never what: nothing here enters a fingerprint.",
        "properties": {
            "checkpoint-every": duration("Work between two checkpoints, for example \"10m\"."),
            "checkpoint-steps": { "type": "integer", "minimum": 1, "maximum": 1_000_000_000, "description": "Steps between two checkpoints; whichever comes first." },
            "keep-checkpoints": { "type": "integer", "minimum": 1, "maximum": 1_000_000, "description": "Newest checkpoints that stay of a stage that trains, 2 unless given." },
            "log-mib": { "type": "integer", "minimum": 1, "maximum": limits::MIB, "description": "MiB that a log keeps of its beginning, and as many of its end, 8 unless given." },
            "timeout": duration("Time after which an attempt is stopped."),
            "progress-timeout": duration("Time without a step after which an attempt counts as hung."),
            "needs": {
                "type": "object",
                "description": "What an attempt takes of each pool: `cores`, `memory-gib`, `gpus`, or one of your own (`apply --pool`).",
                "additionalProperties": { "type": "integer", "minimum": 0 },
            },
            "retries": { "type": "integer", "minimum": 0, "maximum": 1000, "description": "Attempts after the first." },
            "tensorboard": { "type": "string", "description": "A folder, relative to this file, where curves and rollouts are written as the stage runs, for TensorBoard." },
        },
        "additionalProperties": false,
    })
}

fn inputs(kinds: &Kinds) -> Value {
    let mut properties = Map::new();
    for artifact in ArtifactType::ALL {
        let about = format!("Path of {artifact}, relative to this file, or `hf:org/name@revision`.");
        properties.insert(artifact.name().to_owned(), json!({ "type": "string", "description": about }));
    }
    let digest = json!({ "type": "string", "pattern": "^b3:[0-9a-f]{64}$", "description": "Pins the content." });
    properties.insert("digest".to_owned(), digest);
    properties.extend(kinds.imports().iter().map(|(name, import)| (name.clone(), key(&import.spec))));
    json!({
        "type": "object",
        "description": "Files and folders from outside, hashed by content.",
        "additionalProperties": { "type": "object", "properties": properties, "additionalProperties": false },
    })
}
