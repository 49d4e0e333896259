//! Stage kinds as the engine sees them: data, read from `r1flow-worker kinds`.
//!
//! A worker describes each kind by two JSON schemas, as schemars derives them. [`Kinds`] parses them once into
//! [`KeySpec`]s, the only form that the checks of workflows use. Besides plain JSON schema, a key may have marks:
//!
//! | Mark | Meaning |
//! |---|---|
//! | `"x-artifact": "model"` | the value is a reference to an artifact of this type |
//! | `"x-role": "neutral"` | what the key means for the result: `result` (unless given), `neutral`, `extent`, `rows` |
//! | `"x-required": true` | it must be given where it has an effect, though the schema does not list it as required |
//! | `"x-when": {"method": ["logits"]}` | it has an effect only if the key `method` beside it is `logits` |
//! | `"x-default-by": {"task": {"sums": "clean"}}` | its default depends on the value of the key `task` beside it |
//! | `"x-short": "weight"` | a value that is not a table means a table with this key |
//! | `"x-omit-default": true` | the action omits it at its default |
//! | `"x-inputs": ["prompts"]` | of an import key: the types of input that it is for |
//! | `"x-reads": "README.md"` | of an import key: a file that is part of an input's digest where the key is given |
//! | `"x-path": true` | of an import key: its value names a file or folder, whose content counts like that of the input |
//!
//! Every key is required, has a default, or may be null; null is then its default. A default is part of the action,
//! written or not. So writing it out reruns nothing, and changing a default in the code reruns what it changes. A key
//! without effect is not part of the action, and a mistake in a workflow.
//!
//! A key that a later version adds to a kind would rerun every stage of that kind. If its default keeps the old
//! behaviour, it has `x-omit-default`, and changes no fingerprint. Such a default may change only together with the
//! kind's version.

mod key;
mod parse;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::artifact::ArtifactType;

pub use key::{DefaultBy, KeySpec, KeyType, Length, Role, When};

/// The answer of `r1flow-worker kinds`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KindList {
    /// The worker's protocol version.
    pub protocol: u32,
    /// What it can run.
    pub kinds: Vec<KindSpec>,
    /// JSON schema of the import keys: how an input is read, beside its type. Absent where there are none.
    #[serde(default)]
    pub imports: Value,
}

/// The description of a stage kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KindSpec {
    /// Its name.
    pub kind: String,
    /// Its version, part of every fingerprint.
    pub version: u32,
    /// The version since which kept rows are the same; absent if it is this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows_version: Option<u32>,
    /// What each version changed, oldest first.
    #[serde(default)]
    pub history: Vec<String>,
    /// Whether its outputs depend on the backend: a CPU and a GPU give different bits.
    #[serde(default)]
    pub uses_tensors: bool,
    /// One or two sentences.
    pub doc: String,
    /// JSON schema (2020-12) of the references, with the marks above.
    pub inputs: Value,
    /// JSON schema of the parameters, likewise.
    pub params: Value,
    /// Output name → type.
    pub outputs: BTreeMap<String, ArtifactType>,
    /// Output name → the keys of which a stage must give one to have it. Outputs that every stage has are absent.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outputs_with: BTreeMap<String, Vec<String>>,
    /// Output name → the key of the model that it will be like: of the same architecture, with the same tokenizer.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outputs_like: BTreeMap<String, String>,
    /// Keys whose artifacts are read to show a row as the model sees it; none if the kind has no rows to show.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tokens: Vec<String>,
    /// A name of another program → the key here, for messages. Both may be keys of a table within the kind.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub other_names: Vec<(String, String)>,
    /// A name of another program → what takes its place, where it is no key here, for messages.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub other_ways: Vec<(String, String)>,
}

/// A kind with its keys parsed.
#[derive(Clone, Debug)]
pub struct KindInfo {
    /// As the worker described it.
    pub spec: KindSpec,
    /// Keys of inputs and parameters by name: in a workflow they are in one table.
    pub keys: BTreeMap<String, KeySpec>,
}

impl KindInfo {
    /// Returns the keys that an action may omit, and the keys whose tables have such keys.
    pub fn omitted(&self) -> BTreeMap<String, KeySpec> {
        key::omitted(&self.keys)
    }

    /// Returns the outputs that a stage with these resolved keys does not have, each with the keys of which it needs one.
    pub(crate) fn absent_outputs(&self, config: &Map<String, Value>) -> Vec<(String, String)> {
        let is_given = |key: &str| match config.get(key) {
            None | Some(Value::Null) => false,
            Some(Value::Array(items)) => !items.is_empty(),
            Some(_) => true,
        };
        let absent = self.spec.outputs_with.iter().filter(|(_, keys)| !keys.iter().any(|key| is_given(key)));
        absent.map(|(output, keys)| (output.clone(), keys.join("` or `"))).collect()
    }
}

/// An import key.
#[derive(Clone, Debug, PartialEq)]
pub struct ImportKey {
    /// What it takes. It is no part of an action where it has its default.
    pub spec: KeySpec,
    /// The types of input that it is for.
    pub inputs: Vec<ArtifactType>,
    /// A file of the input's folder that is read because of it, though files of that name are else no part of inputs.
    pub reads: Option<String>,
    /// Whether its value is the path of a file or folder, which is hashed by content as the input itself is.
    pub is_path: bool,
}

/// The kinds that a workflow may use, and the keys of its inputs.
#[derive(Clone, Debug, Default)]
pub struct Kinds {
    kinds: BTreeMap<String, KindInfo>,
    imports: BTreeMap<String, ImportKey>,
}

/// A worker's description that the engine cannot use.
#[derive(Debug, thiserror::Error)]
#[error("{of}, key `{key}`: {reason}")]
pub struct Error {
    of: String,
    key: String,
    reason: String,
}

/// Most bytes of an output's name; the worker's folder for it is named `output-` and the name.
const LONGEST_OUTPUT: usize = 240;

fn names_a_folder(output: &str) -> bool {
    (1..=LONGEST_OUTPUT).contains(&output.len()) && !output.contains(['/', '\0'])
}

impl Kinds {
    /// Parses a worker's list.
    pub fn parse(list: KindList) -> Result<Self, Error> {
        let mut kinds = BTreeMap::new();
        for spec in list.kinds {
            let mistake = |(key, reason)| Error { of: format!("kind `{}`", spec.kind), key, reason };
            let mut keys = parse::properties(&spec.inputs).map_err(mistake)?;
            keys.extend(parse::properties(&spec.params).map_err(mistake)?);
            parse::check_beside(&keys).map_err(mistake)?;
            if let Some(output) = spec.outputs.keys().find(|output| !names_a_folder(output)) {
                let (of, key) = (format!("kind `{}`", spec.kind), output.clone());
                let reason = format!("an output names a folder: no `/`, and at most {LONGEST_OUTPUT} bytes");
                return Err(Error { of, key, reason });
            }
            let is_known =
                |(output, key): &(&String, &String)| spec.outputs.contains_key(*output) && keys.contains_key(*key);
            let mut with =
                spec.outputs_with.iter().flat_map(|(output, keys)| keys.iter().map(move |key| (output, key)));
            if let Some((output, key)) = with.find(|with| !is_known(with)) {
                let of = format!("kind `{}`", spec.kind);
                let reason = format!("output `{output}` with `{key}`: the kind lacks one of them");
                return Err(Error { of, key: key.clone(), reason });
            }
            let likes = spec.outputs_like.iter();
            if let Some((output, key)) = likes.clone().find(|(output, key)| !is_known(&(*output, *key))) {
                let of = format!("kind `{}`", spec.kind);
                let reason = format!("output `{output}` is like `{key}`: the kind lacks one of them");
                return Err(Error { of, key: key.clone(), reason });
            }
            if let Some(key) = spec.tokens.iter().find(|key| !keys.contains_key(*key)) {
                let (of, key) = (format!("kind `{}`", spec.kind), key.clone());
                return Err(Error { of, key, reason: "rows are shown with it, and the kind lacks it".to_owned() });
            }
            kinds.insert(spec.kind.clone(), KindInfo { spec, keys });
        }
        let imports =
            parse::imports(&list.imports).map_err(|(key, reason)| Error { of: "inputs".to_owned(), key, reason })?;
        Ok(Self { kinds, imports })
    }

    /// Returns a kind.
    pub fn get(&self, name: &str) -> Option<&KindInfo> {
        self.kinds.get(name)
    }

    /// Returns the import keys: how an input is read, beside its type.
    pub fn imports(&self) -> &BTreeMap<String, ImportKey> {
        &self.imports
    }

    /// Returns the keys that an action may omit, for [`diff`](crate::dirty::diff); none if the action's kind is
    /// unknown.
    pub fn omitted(&self, action: &Value) -> BTreeMap<String, KeySpec> {
        action["kind"].as_str().and_then(|kind| self.get(kind)).map(KindInfo::omitted).unwrap_or_default()
    }

    /// Returns all kinds, by name.
    pub fn iter(&self) -> impl Iterator<Item = &KindInfo> {
        self.kinds.values()
    }

    /// Returns the names of all kinds.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.kinds.keys().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refusal(more: Value) -> Option<String> {
        let mut kind = json!({
            "kind": "k", "version": 1, "doc": "A kind.", "params": {},
            "inputs": { "properties": { "data": { "type": "array", "default": [], "items": { "type": "string" } } } },
            "outputs": { "model": "model", "best": "model" },
        });
        kind.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let list = KindList { protocol: 4, kinds: vec![serde_json::from_value(kind).unwrap()], imports: json!({}) };
        Kinds::parse(list).err().map(|error| error.to_string())
    }

    #[test]
    fn outputs_and_rows_name_keys_of_the_kind() {
        assert_eq!(refusal(json!({ "outputs_with": { "best": ["data"] }, "tokens": ["data"] })), None);
        let lacks = "kind `k`, key `rows`: output `best` with `rows`: the kind lacks one of them";
        assert_eq!(refusal(json!({ "outputs_with": { "best": ["data", "rows"] } })).as_deref(), Some(lacks));
        let lacks = "kind `k`, key `base`: output `best` is like `base`: the kind lacks one of them";
        assert_eq!(refusal(json!({ "outputs_like": { "best": "base" } })).as_deref(), Some(lacks));
        let lacks = "kind `k`, key `data`: output `first` with `data`: the kind lacks one of them";
        assert_eq!(refusal(json!({ "outputs_with": { "first": ["data"] } })).as_deref(), Some(lacks));
        let lacks = "kind `k`, key `rows`: rows are shown with it, and the kind lacks it";
        assert_eq!(refusal(json!({ "tokens": ["rows"] })).as_deref(), Some(lacks));
    }
}
