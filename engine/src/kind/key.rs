//! The keys of a kind, as the checks of workflows use them; `parse.rs` reads them from JSON schemas.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::artifact::ArtifactType;

/// A key of a kind.
#[derive(Clone, Debug, PartialEq)]
pub struct KeySpec {
    /// Its manual: unit, effect, the paper's value.
    pub doc: String,
    /// What it takes.
    pub ty: KeyType,
    /// Its value if none is given; null means that there is none. Absent if the key is required or has `default_by`.
    pub default: Option<Value>,
    /// Its default, if that depends on another key.
    pub default_by: Option<DefaultBy>,
    /// Whether it must be given wherever it has an effect.
    pub required: bool,
    /// What it means for the result.
    pub role: Role,
    /// The condition under which it has an effect; absent for always.
    pub when: Option<When>,
    /// Whether the action omits it at its default.
    pub omits_default: bool,
    /// The key of its table that a plain value sets: `accuracy = 1.0` is `accuracy = { weight = 1.0 }`.
    pub short: Option<String>,
}

/// A default that depends on the value of another key of the same table.
#[derive(Clone, Debug, PartialEq)]
pub struct DefaultBy {
    /// The other key.
    pub key: String,
    /// The default for each value of that key.
    pub values: BTreeMap<String, Value>,
}

/// The condition under which a key has an effect: another key of its table has one of these values. Otherwise giving
/// the key is a mistake, and its default is not filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct When {
    /// The other key.
    pub key: String,
    /// Its values.
    pub values: Vec<String>,
}

impl When {
    /// Returns whether the condition holds for a value of the other key.
    pub fn holds(&self, value: Option<&str>) -> bool {
        value.is_some_and(|value| self.values.iter().any(|known| known == value))
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values: Vec<String> = self.values.iter().map(|value| format!("`{} = \"{value}\"`", self.key)).collect();
        f.write_str(&values.join(" or "))
    }
}

impl KeySpec {
    /// Returns its default; `word` returns the value of another key of the same table.
    pub fn default_beside(&self, word: impl FnOnce(&str) -> Option<String>) -> Option<Value> {
        let by = || self.default_by.as_ref().and_then(|by| by.values.get(&word(&by.key)?));
        self.default.as_ref().or_else(by).cloned()
    }

    /// Returns its manual with the condition under which it has an effect.
    pub fn manual(&self) -> String {
        self.when.as_ref().map_or_else(|| self.doc.clone(), |when| format!("For {when}. {}", self.doc))
    }
}

/// What a key means for the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Changes the result: hashed.
    Result,
    /// Cannot change the result: never hashed.
    Neutral,
    /// How far to go: hashed, but left out of a checkpoint's key.
    Extent,
    /// Which rows, and what is done with each: hashed, but left out of the key under which rows are kept.
    Rows,
}

/// How many items a list may have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Length {
    /// The least.
    pub least: usize,
    /// The most.
    pub most: Option<usize>,
}

impl Length {
    /// Returns whether a list of `length` items is allowed.
    pub fn fits(self, length: usize) -> bool {
        length >= self.least && self.most.is_none_or(|most| length <= most)
    }
}

/// What a key takes.
#[derive(Clone, Debug, PartialEq)]
pub enum KeyType {
    /// `true` or `false`.
    Bool,
    /// A whole number within bounds, ends included.
    Integer {
        /// The least.
        min: Option<i64>,
        /// The greatest.
        max: Option<i64>,
    },
    /// A number within bounds, ends included.
    Number {
        /// The least.
        min: Option<f64>,
        /// What it is greater than.
        above: Option<f64>,
        /// The greatest.
        max: Option<f64>,
    },
    /// Any text.
    Text,
    /// One of these words.
    OneOf(Vec<String>),
    /// A reference to an artifact.
    Reference(ArtifactType),
    /// A list of a length within bounds.
    List(Box<KeyType>, Length),
    /// A table of known keys; others are mistakes.
    Table(BTreeMap<String, KeySpec>),
    /// A table of any keys.
    MapOf(Box<KeyType>),
    /// One of several shapes.
    AnyOf(Vec<KeyType>),
}

impl KeyType {
    /// Returns the plural for messages: `a list of samples`, not `a list of a reference to samples`.
    fn several(&self) -> String {
        match self {
            Self::Reference(artifact) if artifact.name().ends_with('s') => artifact.name().to_owned(),
            Self::Reference(artifact) => format!("{artifact}s"),
            Self::OneOf(words) => crate::diagnostic::quoted(words),
            Self::Text => "texts".to_owned(),
            Self::Integer { .. } => "whole numbers".to_owned(),
            Self::Number { .. } => "numbers".to_owned(),
            Self::Table(_) => "tables".to_owned(),
            other => other.to_string(),
        }
    }
}

impl fmt::Display for KeyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool => f.write_str("true or false"),
            Self::Integer { .. } => f.write_str("a whole number"),
            Self::Number { .. } => f.write_str("a number"),
            Self::Text => f.write_str("text"),
            Self::OneOf(words) => write!(f, "one of {}", crate::diagnostic::quoted(words)),
            Self::Reference(artifact) => write!(f, "a reference to {artifact}"),
            Self::List(of, Length { least, most: Some(most) }) if least == most && matches!(**of, Self::OneOf(_)) => {
                write!(f, "a list of {most} of {}", of.several())
            }
            Self::List(of, Length { least, most: Some(most) }) if least == most => {
                write!(f, "a list of {most} {}", of.several())
            }
            Self::List(of, Length { least: 0, most: None }) => write!(f, "a list of {}", of.several()),
            Self::List(of, Length { least, most: None }) => write!(f, "a list of {}, at least {least}", of.several()),
            Self::List(of, Length { least, most: Some(most) }) => {
                write!(f, "a list of {}, {least} to {most}", of.several())
            }
            Self::Table(_) => f.write_str("a table"),
            Self::MapOf(of) => write!(f, "a table of {}", of.several()),
            Self::AnyOf(types) => {
                let mut types: Vec<String> = types.iter().map(ToString::to_string).collect();
                // Tables of different keys are told by their keys.
                types.dedup();
                // "a reference to text or text" would be read as two sorts of references.
                if types.iter().any(|name| name == "text") {
                    types.sort_by_key(|name| name.starts_with("a reference"));
                }
                f.write_str(&types.join(" or "))
            }
        }
    }
}

/// Returns the keys that an action may omit, and the keys whose tables have such keys.
pub(super) fn omitted(keys: &BTreeMap<String, KeySpec>) -> BTreeMap<String, KeySpec> {
    fn has_omitted(ty: &KeyType) -> bool {
        match ty {
            KeyType::Table(keys) => keys.values().any(|spec| spec.omits_default || has_omitted(&spec.ty)),
            KeyType::List(of, _) | KeyType::MapOf(of) => has_omitted(of),
            KeyType::AnyOf(types) => types.iter().any(has_omitted),
            _ => false,
        }
    }
    let found = keys.iter().filter(|(_, spec)| spec.omits_default || has_omitted(&spec.ty));
    found.map(|(key, spec)| (key.clone(), spec.clone())).collect()
}
