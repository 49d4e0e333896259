//! Actions: what decides a stage's outputs, and nothing else.
//!
//! A stage runs again exactly when its action's fingerprint is new. So the question "what is in the action?" is the
//! question "what reruns?", and each answer below has a reason.
//!
//! | In | Why |
//! |---|---|
//! | the kind and its version | other code, other bytes |
//! | result, extent, rows keys with defaults, null for none | a changed default is a change; one written out is not |
//! | the backend, where it is not the CPU and the kind uses tensors | other bits |
//! | digests of referenced artifacts, with the import keys of an input | content decides, and how rows are read |
//!
//! | Out | Why |
//! |---|---|
//! | the stage's name, the workflow's, the file's path | a rename changes no byte |
//! | the names of upstream stages | the same data under another name is the same data; this also gives early cutoff |
//! | comments, order, spelling of a number (`400`, `4e2`, `400.0`), the layer a value came from | meaning, not text |
//! | neutral keys, `run`, threads, which GPU, store, clock, host, environment | how, not what |
//! | import keys of role `neutral` (`row-mib`, `total-mib`, `allow-non-finite`) | they only reject an input: what is read is the same |
//! | keys without effect beside the other keys (`x-when`) | they are not read |
//! | keys with `x-omit-default` at their default | adding a key in a later version changes no fingerprint |
//! | modification times and owners of inputs | a touch or a checkout changes no byte |
//!
//! The fingerprint is the BLAKE3 of the canonical JSON: sorted keys, no white space, one spelling for each number. The
//! document itself is stored, so that a later plan can say which value changed.
//!
//! **Prefix fingerprints.** A checkpoint of `n` steps is kept under the fingerprint of the action without its extent
//! keys and without every table whose `from-step` is `n` or more: those updates have not happened yet. Null keys are
//! left out as well: a reward that has not begun is the same as no reward.
//!
//! **Row keys.** Sampled rows are kept under the action without its keys of role `rows`, which select the rows and say
//! what is done with each. A completion depends on the rest of the action, above all on the model, and on its own
//! prompt and seed.

mod canonical;

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use store::Digest;

use crate::kind::Role;
use crate::workflow::{Reference, StageDecl};
use canonical::{Canonical, digest};

/// The document that decides a stage's outputs.
#[derive(Clone, Debug, PartialEq)]
pub struct Action {
    /// `{kind, version, params}`, and `backend` where it is not the CPU.
    pub document: Value,
    extents: Vec<String>,
    rows: Vec<String>,
    rows_version: u32,
}

/// Returns the fingerprint of a stage's action. Hashes without building the [`Action`]: a fresh stage needs only the
/// fingerprint.
pub fn fingerprint(stage: &StageDecl, mut resolve: impl FnMut(&Reference) -> Value) -> Digest {
    let artifacts = stage.references.iter().map(|reference| (reference.pointer.as_str(), resolve(reference)));
    let mut text = Canonical::with(artifacts.collect());
    // The document's keys, in sorted order.
    text.raw("{");
    if let Some(backend) = stage.device.backend() {
        text.raw("\"backend\":");
        text.plain(&backend);
        text.raw(",");
    }
    text.raw("\"kind\":");
    text.plain(&stage.kind);
    text.raw(",\"params\":");
    text.object(stage.config.iter().filter(|(key, _)| stage.roles.get(*key) != Some(&Role::Neutral)));
    text.raw(",\"version\":");
    text.plain(&stage.version);
    text.raw("}");
    text.digest()
}

impl Action {
    /// Builds a stage's action; `resolve` returns the value that replaces each reference (see [`artifact`]).
    pub fn of(stage: &StageDecl, mut resolve: impl FnMut(&Reference) -> Value) -> Self {
        let resolved = stage.references.iter().map(|reference| (reference.pointer.as_str(), resolve(reference)));
        let mut params = stage.config_with(resolved);
        let of_role = |role: Role| stage.roles.iter().filter(move |(_, found)| **found == role).map(|(key, _)| key);
        for key in of_role(Role::Neutral) {
            params.remove(key);
        }
        let (extents, rows) = (of_role(Role::Extent).cloned().collect(), of_role(Role::Rows).cloned().collect());
        let mut document = json!({ "kind": stage.kind, "version": stage.version, "params": params });
        if let Some(backend) = stage.device.backend() {
            document["backend"] = json!(backend);
        }
        Self { document, extents, rows, rows_version: stage.rows_version }
    }

    /// Returns the action's digest.
    pub fn fingerprint(&self) -> Digest {
        digest(&self.document)
    }

    /// Returns the key under which a checkpoint of `step` steps is kept.
    pub fn prefix_fingerprint(&self, step: u64) -> Digest {
        let mut document = self.without(&self.extents);
        drop_later(&mut document, step);
        // The wrapper keeps prefixes apart from fingerprints: a prefix is never the key of a record.
        digest(&json!({ "prefix": document }))
    }

    /// Returns the key under which sampled rows are kept, for kinds that keep any.
    pub fn row_key(&self) -> Option<Digest> {
        (!self.rows.is_empty()).then(|| {
            let mut document = self.without(&self.rows);
            document["version"] = json!(self.rows_version);
            digest(&json!({ "rows": document }))
        })
    }

    /// Returns the digests of the artifacts that rows come from.
    pub fn row_sources(&self) -> BTreeSet<&str> {
        let mut found = BTreeSet::new();
        self.rows.iter().for_each(|key| digests(&self.document["params"][key], &mut found));
        found
    }

    /// Returns how many of their first steps this action and another have in common: 0 if none, all of them if the
    /// actions are equal.
    pub fn shared_steps(&self, other: &Self) -> u64 {
        // Shared steps end at a `from-step`, or where one of the actions ends.
        let both = [self, other];
        let mut ends: Vec<u64> = both.iter().flat_map(|action| action.from_steps()).collect();
        ends.extend(both.iter().map(|action| action.extent().unwrap_or(u64::MAX)));
        let most = both.iter().map(|action| action.extent().unwrap_or(u64::MAX)).min().unwrap_or(0);
        ends.retain(|end| *end <= most);
        ends.sort_unstable_by(|a, b| b.cmp(a));
        ends.dedup();
        ends.into_iter().find(|end| self.prefix_fingerprint(*end) == other.prefix_fingerprint(*end)).unwrap_or(0)
    }

    /// Returns all `from-step` values, ascending and without duplicates.
    pub fn from_steps(&self) -> Vec<u64> {
        let mut steps = from_steps(&self.document);
        steps.sort_unstable();
        steps.dedup();
        steps
    }

    fn without(&self, keys: &[String]) -> Value {
        let mut document = self.document.clone();
        if let Some(params) = document["params"].as_object_mut() {
            for key in keys {
                params.remove(key);
            }
        }
        document
    }

    /// Returns the value of the extent key, in steps, if there is one.
    pub fn extent(&self) -> Option<u64> {
        self.extent_in(&self.document)
    }

    /// Returns the value of the extent key in another document of this kind.
    pub fn extent_in(&self, document: &Value) -> Option<u64> {
        self.extents.iter().find_map(|key| document["params"][key].as_u64())
    }
}

/// Returns the digest of a document without its artifacts and placeholders: equal for actions with the same keys.
pub(crate) fn shape(document: &Value) -> Digest {
    fn forget(value: &mut Value) {
        match value {
            Value::Object(entries) if entries.contains_key("artifact") || entries.contains_key(PLACEHOLDER) => {
                // An empty object, not null: null means that there is no artifact.
                entries.clear();
            }
            Value::Object(entries) => entries.values_mut().for_each(forget),
            Value::Array(items) => items.iter_mut().for_each(forget),
            _ => {}
        }
    }
    let mut document = document.clone();
    forget(&mut document);
    digest(&document)
}

/// The key that marks a placeholder.
const PLACEHOLDER: &str = "to-be-made";

/// Returns the placeholder for an artifact whose content is not known yet.
pub(crate) fn placeholder(stage: &str, output: &str) -> Value {
    json!({ PLACEHOLDER: format!("{stage}.{output}") })
}

/// Returns the value that represents an artifact in an action: its type, digest, and import keys if it is an input.
pub fn artifact(kind: crate::artifact::ArtifactType, digest: &Digest, import: &Map<String, Value>) -> Value {
    let mut document = json!({ "artifact": kind.name(), "digest": digest });
    if !import.is_empty() {
        document["import"] = Value::Object(import.clone());
    }
    document
}

fn from_steps(document: &Value) -> Vec<u64> {
    match document {
        Value::Object(entries) => {
            let own = entries.get("from-step").and_then(Value::as_u64);
            own.into_iter().chain(entries.values().flat_map(from_steps)).collect()
        }
        Value::Array(items) => items.iter().flat_map(from_steps).collect(),
        _ => Vec::new(),
    }
}

fn digests<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
    match value {
        Value::Object(entries) => {
            found.extend(entries.get("artifact").and(entries.get("digest")).and_then(Value::as_str));
            entries.values().for_each(|entry| digests(entry, found));
        }
        Value::Array(items) => items.iter().for_each(|item| digests(item, found)),
        _ => {}
    }
}

fn drop_later(value: &mut Value, step: u64) {
    let is_later = |value: &Value| value.get("from-step").and_then(Value::as_u64).is_some_and(|from| from >= step);
    match value {
        Value::Object(entries) => {
            entries.retain(|_, entry| !entry.is_null() && !is_later(entry));
            entries.values_mut().for_each(|entry| drop_later(entry, step));
        }
        Value::Array(items) => {
            items.retain(|item| !is_later(item));
            for item in items.iter_mut() {
                drop_later(item, step);
            }
            if let [only] = &items[..]
                && let Some(held) = only_value(only)
            {
                *value = held.clone();
            }
        }
        _ => {}
    }
}

/// Returns the value of a table that has no other key: a list of values by `from-step` with one such table is the value
/// itself.
fn only_value(table: &Value) -> Option<&Value> {
    let entries = table.as_object()?;
    let others = entries.iter().filter(|(key, _)| *key != "value");
    others.into_iter().all(|(key, from)| key == "from-step" && from == 0).then(|| entries.get("value"))?
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::artifact::ArtifactType;
    use crate::diagnostic::{Sources, Span};
    use crate::placement::Device;
    use crate::workflow::{RunOptions, StageName, Target};

    fn stage(config: Value) -> StageDecl {
        StageDecl {
            name: StageName("zero".to_owned()),
            span: Span::new(Sources::default().add(Path::new("w.toml"), String::new()), 0..0),
            kind: "grpo".to_owned(),
            version: 1,
            rows_version: 1,
            config: config.as_object().unwrap().clone(),
            references: vec![Reference {
                pointer: "/model".to_owned(),
                target: Target::Input("base".to_owned()),
                artifact: ArtifactType::Model,
            }],
            roles: BTreeMap::from([("steps".to_owned(), Role::Extent), ("batch-size".to_owned(), Role::Neutral)])
                .into(),
            omitted: BTreeMap::new().into(),
            outputs_like: BTreeMap::new().into(),
            outputs: BTreeMap::new().into(),
            absent_outputs: Vec::new(),
            origins: Vec::new(),
            sets: Vec::new(),
            run: RunOptions::default().into(),
            device: Device::Cpu,
            uses_tensors: true,
        }
    }

    fn action(config: Value) -> Action {
        let config = config.as_object().unwrap().clone();
        let mut with_model = Map::from_iter([("model".to_owned(), json!("inputs.base"))]);
        with_model.extend(config);
        Action::of(&stage(Value::Object(with_model)), |_| artifact(ArtifactType::Model, &Digest::of(b"m"), &Map::new()))
    }

    #[test]
    fn spelling_order_and_neutral_keys_do_not_matter() {
        let one = action(json!({ "lr": 1e-4, "steps": 400, "rewards": { "a": 1.0, "b": 2 } }));
        let two = action(json!({ "rewards": { "b": 2.0, "a": 1 }, "steps": 400.0, "lr": 0.0001, "batch-size": 7 }));
        assert_eq!(one.fingerprint(), two.fingerprint());
        let three = action(json!({ "lr": 2e-4, "steps": 400, "rewards": { "a": 1.0, "b": 2 } }));
        assert_ne!(one.fingerprint(), three.fingerprint());
    }

    #[test]
    fn a_prefix_forgets_the_extent_and_what_comes_later() {
        let rewards = |weight: f64, from: u64| json!({ "a": 1.0, "helpful": { "weight": weight, "from-step": from } });
        let base = action(json!({ "steps": 400, "rewards": rewards(1.0, 300) }));
        let longer = action(json!({ "steps": 600, "rewards": rewards(1.0, 300) }));
        let other = action(json!({ "steps": 400, "rewards": rewards(2.0, 300) }));
        assert_ne!(base.fingerprint(), longer.fingerprint());
        assert_eq!(base.prefix_fingerprint(400), longer.prefix_fingerprint(400));
        assert_eq!(base.prefix_fingerprint(300), other.prefix_fingerprint(300));
        assert_ne!(base.prefix_fingerprint(301), other.prefix_fingerprint(301));
        assert_eq!((base.extent(), longer.extent()), (Some(400), Some(600)));
    }

    #[test]
    fn what_begins_later_is_until_then_what_is_not_there() {
        let helpful = json!({ "weight": 1.0, "from-step": 300 });
        let later = action(json!({ "steps": 400, "later": helpful, "rewards": { "a": 1.0, "helpful": helpful } }));
        let never = action(json!({ "steps": 400, "later": null, "rewards": { "a": 1.0 } }));
        assert_eq!(later.prefix_fingerprint(300), never.prefix_fingerprint(300));
        assert_ne!(later.prefix_fingerprint(301), never.prefix_fingerprint(301));
    }

    #[test]
    fn a_value_that_changes_later_is_until_then_the_value() {
        let limits = |limits: Value| action(json!({ "steps": 400, "max-tokens": limits }));
        let always = limits(json!(1024));
        let grown = limits(json!([{ "value": 1024, "from-step": 0 }, { "from-step": 300, "value": 2048 }]));
        let other = limits(json!([{ "value": 1024 }, { "from-step": 300, "value": 4096 }]));
        assert_eq!((always.shared_steps(&grown), grown.shared_steps(&other)), (300, 300));
        let sooner = limits(json!([{ "value": 512 }, { "from-step": 300, "value": 2048 }]));
        assert_eq!((sooner.shared_steps(&always), sooner.shared_steps(&grown)), (0, 0));
    }

    #[test]
    fn none_is_not_an_artifact_whatever_its_content() {
        let shape_of = |few_shot: Value| shape(&json!({ "params": { "few-shot": few_shot } }));
        let [one, two] = [b"1", b"2"].map(|bytes| artifact(ArtifactType::Samples, &Digest::of(bytes), &Map::new()));
        assert_eq!(shape_of(one.clone()), shape_of(two));
        assert_ne!(shape_of(one), shape_of(Value::Null));
    }

    #[test]
    fn shared_steps_end_where_two_actions_part() {
        let rewards = |weight: f64, from: u64| json!({ "a": 1.0, "helpful": { "weight": weight, "from-step": from } });
        let base = action(json!({ "steps": 400, "rewards": rewards(1.0, 300) }));
        let shared = |other: Value| base.shared_steps(&action(other));
        assert_eq!(shared(json!({ "steps": 400, "rewards": rewards(1.0, 300) })), 400);
        assert_eq!(shared(json!({ "steps": 600, "rewards": rewards(1.0, 300) })), 400);
        assert_eq!(shared(json!({ "steps": 400, "rewards": rewards(2.0, 300) })), 300);
        assert_eq!(shared(json!({ "steps": 400, "rewards": rewards(1.0, 200) })), 200);
        assert_eq!(shared(json!({ "steps": 100, "rewards": rewards(2.0, 300) })), 100);
        assert_eq!(shared(json!({ "steps": 400, "rewards": rewards(1.0, 300), "lr": 1 })), 0);
    }

    #[test]
    fn a_version_that_does_something_else_with_rows_keeps_them() {
        let mut stage = stage(json!({ "model": "inputs.base", "prompts": "x" }));
        stage.roles = Arc::new(BTreeMap::from([("prompts".to_owned(), Role::Rows)]));
        let key = |stage: &StageDecl| Action::of(stage, |_| Value::Null).row_key();
        let first = key(&stage);
        stage.version = 2;
        assert_eq!(key(&stage), first);
        stage.rows_version = 2;
        assert_ne!(key(&stage), first);
    }

    #[test]
    fn a_fingerprint_is_that_of_the_action() {
        let references = ["/model", "/data/1", "/nested/a~1b/model", "/nested/c~0d"].map(|pointer| Reference {
            pointer: pointer.to_owned(),
            target: Target::Input("base".to_owned()),
            artifact: ArtifactType::Model,
        });
        let nested = json!({ "c~d": "inputs.c", "a/b": { "weight": 2.0, "model": "inputs.b" }, "ab": "model" });
        let mut stage = stage(json!({ "model": "inputs.base", "data": ["x", "inputs.y"], "nested": nested }));
        stage.config.extend([("batch-size".to_owned(), json!(3)), ("lr".to_owned(), json!(1e-4))]);
        stage.references = references.to_vec();
        let import = Map::from_iter([("limit".to_owned(), json!(3)), ("fields".to_owned(), json!({"a": "model"}))]);
        let resolve =
            |reference: &Reference| artifact(ArtifactType::Model, &Digest::of(reference.pointer.as_bytes()), &import);
        for device in [Device::Cpu, Device::Cuda(None)] {
            stage.device = device;
            let action = Action::of(&stage, resolve);
            assert!(!action.document.to_string().contains("inputs."), "{}", action.document);
            assert_eq!(fingerprint(&stage, resolve), action.fingerprint());
            stage.references.rotate_left(1);
        }
        assert_ne!(fingerprint(&stage, resolve), fingerprint(&stage, |_| Value::Null));
    }

    #[test]
    fn the_backend_counts_where_it_is_not_the_cpu() {
        let on_cpu = stage(json!({ "model": "inputs.base" }));
        let on_gpu = StageDecl { device: Device::Cuda(Some(1)), ..on_cpu.clone() };
        let [cpu, gpu] = [&on_cpu, &on_gpu].map(|stage| Action::of(stage, |_| Value::Null));
        assert_ne!(cpu.fingerprint(), gpu.fingerprint());
        assert_eq!(cpu.document.get("backend"), None);
    }

    #[test]
    fn a_golden_fingerprint_does_not_move() {
        let fingerprint = action(json!({ "lr": 3e-4, "steps": 80, "prompts": ["a", "b"] })).fingerprint();
        assert_eq!(fingerprint.to_string(), GOLDEN);
    }

    /// A release that changes this fingerprint reruns every stage of every user, so it changes only on purpose.
    const GOLDEN: &str = "b3:e6b1642df3dd91886520902f6dfe2c66bad16e59373241b381cc0c2b8f3d2212";
}
