//! Why a stage is not fresh, as data: the difference of two action documents.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::kind::{KeySpec, KeyType};

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
    /// An upstream stage must run and may give other bytes.
    Upstream {
        /// That stage.
        stage: String,
    },
    /// An input from a hub has not been fetched, so its content is not known.
    NotFetched {
        /// Its id.
        input: String,
    },
    /// The action has run, but its outputs are no longer in the store.
    OutputsMissing,
    /// The user asked for it.
    Forced,
}

/// Returns the differences between the action of the last run and the new one, two documents of one kind. Keys that a
/// document omits at their default (`omitted`) are compared by that default.
pub fn diff(old: &Value, new: &Value, omitted: &BTreeMap<String, KeySpec>) -> Vec<DirtyReason> {
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
    let whole = |document: &Value| {
        let mut params = document["params"].clone();
        if let Some(params) = params.as_object_mut() {
            restore(params, omitted);
        }
        params
    };
    compare("", Some(&whole(old)), Some(&whole(new)), &mut reasons);
    reasons
}

/// Inserts the defaults that a table omits.
fn restore(table: &mut Map<String, Value>, omitted: &BTreeMap<String, KeySpec>) {
    for (key, spec) in omitted {
        if let Some(value) = table.get_mut(key) {
            restore_in(value, &spec.ty);
            continue;
        }
        let word = |key: &str| table.get(key).and_then(Value::as_str).map(str::to_owned);
        let is_used = spec.when.as_ref().is_none_or(|when| when.holds(word(&when.key).as_deref()));
        if let Some(default) = spec.default_beside(word).filter(|_| spec.omits_default && is_used) {
            table.insert(key.clone(), default);
        }
    }
}

fn restore_in(value: &mut Value, ty: &KeyType) {
    match (ty, value) {
        (KeyType::Table(keys), Value::Object(table)) if !table.contains_key("artifact") => restore(table, keys),
        (KeyType::MapOf(of), Value::Object(table)) => table.values_mut().for_each(|value| restore_in(value, of)),
        (KeyType::List(of, _), Value::Array(items)) => items.iter_mut().for_each(|item| restore_in(item, of)),
        (KeyType::AnyOf(types), value) => types.iter().for_each(|ty| restore_in(value, ty)),
        _ => {}
    }
}

/// Compares two values of a key. Tables are compared member by member, and an absent table counts as empty.
fn compare(key: &str, old: Option<&Value>, new: Option<&Value>, reasons: &mut Vec<DirtyReason>) {
    let (old_members, new_members) = (members(old), members(new));
    let is_absent = |value: Option<&Value>| value.is_none_or(Value::is_null);
    let is_one_sided = is_absent(old) || is_absent(new);
    // A table that is added or removed is one change: a reward, not its three keys.
    let mut all = old_members.values().chain(new_members.values());
    if is_one_sided && !key.is_empty() && all.all(|value| is_leaf(value)) {
        let is_table = !old_members.is_empty() || !new_members.is_empty();
        reasons.extend(if is_table {
            change(key, old.map(with_short_digests).as_ref(), new.map(with_short_digests).as_ref())
        } else {
            change(key, old, new)
        });
        return;
    }
    if (old_members.is_empty() && new_members.is_empty())
        || !is_one_sided && (old_members.is_empty() || new_members.is_empty())
    {
        reasons.extend(change(key, old, new));
        return;
    }
    let later = new_members.keys().filter(|name| !old_members.contains_key(*name));
    for name in old_members.keys().chain(later) {
        let (old, new) = (old_members.get(name).copied(), new_members.get(name).copied());
        // A member that is null in a table that is added or removed is not a change.
        if !(is_one_sided && is_absent(old) && is_absent(new)) {
            let below = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
            compare(&below, old, new, reasons);
        }
    }
}

/// Returns whether a value has no keys of its own.
fn is_leaf(value: &Value) -> bool {
    match value {
        Value::Object(_) => is_artifact(value),
        Value::Array(items) => items.iter().all(is_leaf),
        _ => true,
    }
}

/// Returns a table with short digests in place of its artifacts.
fn with_short_digests(value: &Value) -> Value {
    match value {
        artifact if is_artifact(artifact) => short(artifact).into(),
        Value::Object(table) => {
            table.iter().map(|(key, value)| (key.clone(), with_short_digests(value))).collect::<Map<_, _>>().into()
        }
        Value::Array(items) => items.iter().map(with_short_digests).collect(),
        plain => plain.clone(),
    }
}

/// Returns the members of a table, or of a list of tables. An artifact and a list of plain values have none: each is
/// compared as a whole.
fn members(value: Option<&Value>) -> BTreeMap<String, &Value> {
    match value {
        Some(value @ Value::Object(entries)) if !is_artifact(value) => {
            entries.iter().map(|(name, entry)| (name.clone(), entry)).collect()
        }
        Some(Value::Array(items)) if items.iter().any(Value::is_object) => {
            items.iter().enumerate().map(|(index, item)| (index.to_string(), item)).collect()
        }
        _ => BTreeMap::new(),
    }
}

fn change(key: &str, old: Option<&Value>, new: Option<&Value>) -> Option<DirtyReason> {
    if old.zip(new).is_some_and(|(old, new)| same(old, new)) {
        return None;
    }
    let key = key.to_owned();
    Some(if old.into_iter().chain(new).any(is_artifact) {
        DirtyReason::Content { key, old: old.and_then(short), new: new.and_then(short) }
    } else {
        DirtyReason::Changed { key, old: old.cloned(), new: new.cloned() }
    })
}

/// Returns whether two values are equal, where 400 equals 400.0.
pub(crate) fn same(old: &Value, new: &Value) -> bool {
    match (old, new) {
        (Value::Number(old), Value::Number(new)) => old.as_f64() == new.as_f64(),
        (Value::Array(old), Value::Array(new)) => {
            old.len() == new.len() && old.iter().zip(new).all(|(old, new)| same(old, new))
        }
        (Value::Object(old), Value::Object(new)) => {
            let is_in_new = |(key, old): (&String, &Value)| new.get(key).is_some_and(|new| same(old, new));
            old.len() == new.len() && old.iter().all(is_in_new)
        }
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
            diff(&old, &new, &BTreeMap::new()),
            [
                DirtyReason::Version { old: 1, new: 2 },
                changed("gone", Some(json!(true)), None),
                content,
                changed("rewards.format", Some(json!(1.0)), Some(json!(0.2))),
                changed("added", None, Some(json!("x"))),
            ]
        );
        assert!(diff(&old, &old, &BTreeMap::new()).is_empty());
    }

    /// Returns the changes as text, of a kind whose later keys are `blend`, `lora.decay` and `rewards.NAME`.
    fn changes(old: Value, new: Value) -> Vec<String> {
        let later = |default: Value| json!({ "type": ["integer", "null"], "default": default, "x-omit-default": true });
        let reward = json!({ "type": ["object", "null"], "properties": { "weight": { "type": "number" } }, "required": ["weight"], "x-omit-default": true });
        let mut for_logits = later(json!(7));
        for_logits["x-when"] = json!({ "method": ["logits"] });
        let params = json!({ "properties": {
            "method": { "enum": ["text", "logits"], "default": "text" },
            "blend": later(json!(0)),
            "top": for_logits,
            "lora": { "type": ["object", "null"], "properties": { "decay": later(json!(1)) } },
            "rewards": { "type": "object", "default": {}, "properties": { "fluency": reward } },
        } });
        let spec = json!({ "kind": "k", "version": 1, "doc": "", "inputs": {}, "params": params, "outputs": {} });
        let list = serde_json::from_value(json!({ "protocol": 1, "kinds": [spec] })).unwrap();
        let kinds = crate::kind::Kinds::parse(list).unwrap();
        let [old, new] = [old, new].map(|params| json!({ "kind": "k", "version": 1, "params": params }));
        let shown = |value: Option<Value>| value.map_or_else(|| "nothing".to_owned(), |value| value.to_string());
        let reasons = diff(&old, &new, &kinds.omitted(&new)).into_iter().map(|reason| match reason {
            DirtyReason::Changed { key, old, new } => format!("{key} {} -> {}", shown(old), shown(new)),
            other => format!("{other:?}"),
        });
        reasons.collect()
    }

    #[test]
    fn a_key_that_is_left_out_has_its_default() {
        let lora = |decay: Value| json!({ "lora": { "rank": 8, "decay": decay } });
        for (old, new, expected) in [
            (json!({}), json!({ "blend": 3 }), "blend 0 -> 3"),
            (json!({ "blend": 3 }), json!({}), "blend 3 -> 0"),
            (json!({ "lora": { "rank": 8 } }), lora(json!(2)), "lora.decay 1 -> 2"),
            (lora(json!(2)), json!({ "lora": { "rank": 8 } }), "lora.decay 2 -> 1"),
            (
                json!({ "rewards": {} }),
                json!({ "rewards": { "fluency": { "weight": 2 } } }),
                "rewards.fluency null -> {\"weight\":2}",
            ),
            // A key without effect has no value either.
            (
                json!({ "method": "text" }),
                json!({ "method": "logits", "top": 9 }),
                "method \"text\" -> \"logits\", top nothing -> 9",
            ),
            (json!({ "method": "logits" }), json!({ "method": "logits", "top": 9 }), "top 7 -> 9"),
        ] {
            assert_eq!(changes(old, new).join(", "), expected);
        }
        assert!(changes(json!({ "blend": 0 }), json!({})).is_empty());
    }

    #[test]
    fn a_table_comes_and_goes_as_one() {
        let lora = json!({ "lora": { "rank": 8, "decay": 1, "targets": null } });
        let none = json!({ "lora": null });
        let whole = "{\"rank\":8,\"decay\":1,\"targets\":null}";
        assert_eq!(changes(none.clone(), lora.clone()), [format!("lora null -> {whole}")]);
        assert_eq!(changes(lora, none.clone()), [format!("lora {whole} -> null")]);
        assert_eq!(changes(none, json!({})), ["lora null -> nothing"], "another form of the action is a change");
        let given = json!({ "limit": 3 });
        assert_eq!(changes(json!({ "limit": null }), given.clone()), ["limit null -> 3"]);
        assert_eq!(changes(json!({ "limit": [3] }), given), ["limit [3] -> 3"]);
        let reward = |name: &str| {
            let program = json!({ "artifact": "text", "digest": "b3:0123456789abcdef" });
            json!({ "own": { name: { "program": program, "weight": 1, "on": [] } } })
        };
        let table = "{\"program\":\"0123456789ab\",\"weight\":1,\"on\":[]}";
        let renamed = [format!("own.a {table} -> nothing"), format!("own.b nothing -> {table}")];
        assert_eq!(changes(reward("a"), reward("b")), renamed);
        let few_shot = json!({ "few-shot": { "artifact": "samples", "digest": "b3:0123456789abcdef" } });
        let content = "Content { key: \"few-shot\", old: None, new: Some(\"0123456789ab\") }";
        assert_eq!(changes(json!({ "few-shot": null }), few_shot), [content]);
    }
}
