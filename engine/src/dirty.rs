//! Why a stage is not fresh, as data: the difference of two action documents.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A reason to run a stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
pub enum DirtyReason {
    /// No stage of this name has run before.
    New,
    /// A value differs from the last run's.
    Changed {
        /// Dotted path of the key, for example `rewards.format`.
        key: String,
        /// Absent where the key is new.
        old: Option<Value>,
        /// Absent where the key is gone.
        new: Option<Value>,
    },
    /// The content behind a reference differs.
    Content {
        /// Dotted path of the key.
        key: String,
        /// Short digest at the last run.
        old: Option<String>,
        /// Short digest now.
        new: Option<String>,
    },
    /// The kind's code has another version.
    Version {
        /// At the last run.
        old: u64,
        /// Now.
        new: u64,
    },
    /// A stage before it has to run and may give other bytes.
    Upstream {
        /// That stage.
        stage: String,
    },
    /// An input lies on a hub, and its content is not known here.
    NotFetched {
        /// Its id.
        input: String,
    },
    /// The action has run, but its outputs are no longer in the store.
    OutputsMissing,
    /// The user asked for it.
    Forced,
}

/// Returns what differs between the action of the last run and the new one.
pub fn diff(old: &Value, new: &Value) -> Vec<DirtyReason> {
    let mut reasons = Vec::new();
    let version = |document: &Value| document["version"].as_u64().unwrap_or(0);
    if old["kind"] != new["kind"] {
        let (old, new) = (Some(old["kind"].clone()), Some(new["kind"].clone()));
        reasons.push(DirtyReason::Changed { key: "kind".to_owned(), old, new });
    } else if version(old) != version(new) {
        reasons.push(DirtyReason::Version { old: version(old), new: version(new) });
    }
    if old.get("backend") != new.get("backend") {
        let backend = |document: &Value| Some(document.get("backend").cloned().unwrap_or_else(|| "cpu".into()));
        reasons.push(DirtyReason::Changed { key: "backend".to_owned(), old: backend(old), new: backend(new) });
    }
    let (old, new) = (leaves(&old["params"]), leaves(&new["params"]));
    for key in old.keys().chain(new.keys().filter(|key| !old.contains_key(*key))) {
        let (old, new) = (old.get(key), new.get(key));
        if old.zip(new).is_some_and(|(old, new)| same(old, new)) {
            continue;
        }
        let is_artifact = old.or(new).is_some_and(is_artifact);
        reasons.push(if is_artifact {
            DirtyReason::Content { key: key.clone(), old: old.and_then(short), new: new.and_then(short) }
        } else {
            DirtyReason::Changed { key: key.clone(), old: old.cloned(), new: new.cloned() }
        });
    }
    reasons
}

/// 400 and 400.0 are one number.
fn same(old: &Value, new: &Value) -> bool {
    match (old, new) {
        (Value::Number(old), Value::Number(new)) => old.as_f64() == new.as_f64(),
        _ => old == new,
    }
}

fn is_artifact(value: &Value) -> bool {
    value.get("artifact").is_some() && value.get("digest").is_some()
}

fn short(value: &Value) -> Option<String> {
    let digest = value["digest"].as_str()?;
    Some(digest.trim_start_matches("b3:").chars().take(12).collect())
}

/// Flattens a document to dotted keys; artifacts are leaves, so are lists of plain values.
fn leaves(value: &Value) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    collect(String::new(), value, &mut found);
    found
}

fn collect(key: String, value: &Value, found: &mut BTreeMap<String, Value>) {
    let child = |name: &str| if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") };
    match value {
        Value::Object(entries) if !is_artifact(value) && !entries.is_empty() => {
            entries.iter().for_each(|(name, entry)| collect(child(name), entry, found));
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            items.iter().enumerate().for_each(|(index, item)| collect(child(&index.to_string()), item, found));
        }
        _ => {
            found.insert(key, value.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_difference_is_named() {
        let old = json!({ "kind": "grpo", "version": 1, "params": {
            "lr": 1e-4, "steps": 400, "gone": true,
            "model": { "artifact": "model", "digest": "b3:0123456789abcdef" }, "rewards": { "format": 1.0 } } });
        let new = json!({ "kind": "grpo", "version": 2, "params": {
            "lr": 1e-4, "steps": 400.0, "added": "x",
            "model": { "artifact": "model", "digest": "b3:fedcba9876543210" }, "rewards": { "format": 0.2 } } });
        let changed =
            |key: &str, old: Option<Value>, new: Option<Value>| DirtyReason::Changed { key: key.to_owned(), old, new };
        let content = DirtyReason::Content {
            key: "model".to_owned(),
            old: Some("0123456789ab".to_owned()),
            new: Some("fedcba987654".to_owned()),
        };
        assert_eq!(
            diff(&old, &new),
            [
                DirtyReason::Version { old: 1, new: 2 },
                changed("gone", Some(json!(true)), None),
                content,
                changed("rewards.format", Some(json!(1.0)), Some(json!(0.2))),
                changed("added", None, Some(json!("x"))),
            ]
        );
        assert!(diff(&old, &old).is_empty());
    }
}
