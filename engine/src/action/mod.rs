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
mod tests;
