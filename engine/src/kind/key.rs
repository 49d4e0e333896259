//! Keys: the subset of JSON schema that schemars emits for a kind's structs, parsed into types.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;

use crate::artifact::ArtifactType;
use crate::workflow::Role;

/// A key of a kind.
#[derive(Clone, Debug, PartialEq)]
pub struct KeySpec {
    /// Its manual: unit, effect, the paper's value.
    pub doc: String,
    /// What it takes.
    pub ty: KeyType,
    /// Its value where none is given.
    pub default: Option<Value>,
    /// Whether it must be given, where it has a use.
    pub required: bool,
    /// What it means for the result.
    pub role: Role,
    /// Where it has a use; absent for everywhere.
    pub when: Option<When>,
}

/// Where a key has a use: while another key of its table has one of these values. Elsewhere it is a mistake, and its
/// default is not filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct When {
    /// The other key.
    pub key: String,
    /// Its values.
    pub values: Vec<String>,
    /// Whether that other key may also be absent, where its default is no part of the schema.
    pub or_absent: bool,
}

impl When {
    /// Returns whether the condition holds for a value of the other key.
    pub fn holds(&self, value: Option<&str>) -> bool {
        value.map_or(self.or_absent, |value| self.values.iter().any(|known| known == value))
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values: Vec<String> = self.values.iter().map(|value| format!("`{} = \"{value}\"`", self.key)).collect();
        f.write_str(&values.join(" or "))
    }
}

impl KeySpec {
    /// Returns its manual with the condition under which it has a use.
    pub fn manual(&self) -> String {
        self.when.as_ref().map_or_else(|| self.doc.clone(), |when| format!("For {when}. {}", self.doc))
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
        /// The greatest.
        max: Option<f64>,
    },
    /// Any text.
    Text,
    /// One of these words.
    OneOf(Vec<String>),
    /// A reference to an artifact.
    Reference(ArtifactType),
    /// A list, perhaps of a fixed length.
    List(Box<KeyType>, Option<usize>),
    /// A table of known keys; others are mistakes.
    Table(BTreeMap<String, KeySpec>),
    /// A table of any keys.
    MapOf(Box<KeyType>),
    /// One of several shapes.
    AnyOf(Vec<KeyType>),
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
            Self::List(of, None) => write!(f, "a list of {of}"),
            Self::List(of, Some(length)) => write!(f, "a list of {length}: {of}"),
            Self::Table(_) => f.write_str("a table"),
            Self::MapOf(of) => write!(f, "a table of {of}"),
            Self::AnyOf(types) => {
                let types: Vec<String> = types.iter().map(ToString::to_string).collect();
                f.write_str(&types.join(" or "))
            }
        }
    }
}

/// Parses the properties of an object schema; an error names the property.
pub(super) fn properties(schema: &Value) -> Result<BTreeMap<String, KeySpec>, (String, String)> {
    let required: BTreeSet<&str> = strings(&schema["required"]).collect();
    let Some(properties) = schema["properties"].as_object() else { return Ok(BTreeMap::new()) };
    let mut keys = BTreeMap::new();
    for (name, property) in properties {
        let ty = parse(property).map_err(|reason| (name.clone(), reason))?;
        let role = match property["x-role"].as_str() {
            Some("neutral") => Role::Neutral,
            Some("extent") => Role::Extent,
            Some("rows") => Role::Rows,
            _ => Role::Result,
        };
        let when = parse_when(&property["x-when"]);
        // What has no use everywhere cannot be in the schema's own list.
        let required = required.contains(name.as_str()) || property["x-required"] == true;
        let spec = KeySpec {
            doc: property["description"].as_str().unwrap_or("").replace('\n', " "),
            ty,
            default: property.get("default").filter(|default| !default.is_null()).cloned(),
            required,
            role,
            when,
        };
        keys.insert(name.clone(), spec);
    }
    Ok(keys)
}

/// Parses `{"method": ["logits"]}`; null in the list stands for absence.
fn parse_when(condition: &Value) -> Option<When> {
    let (key, values) = condition.as_object()?.iter().next()?;
    Some(When {
        key: key.clone(),
        values: strings(values).map(str::to_owned).collect(),
        or_absent: values.as_array()?.contains(&Value::Null),
    })
}

fn parse(schema: &Value) -> Result<KeyType, String> {
    if let Some(name) = schema["x-artifact"].as_str() {
        return name.parse().map(KeyType::Reference).map_err(|()| format!("unknown artifact type `{name}`"));
    }
    for union in ["anyOf", "oneOf"] {
        if let Some(members) = schema[union].as_array() {
            return parse_union(members);
        }
    }
    if let Some(word) = schema["const"].as_str() {
        return Ok(KeyType::OneOf(vec![word.to_owned()]));
    }
    if schema["enum"].is_array() {
        return Ok(KeyType::OneOf(strings(&schema["enum"]).map(str::to_owned).collect()));
    }
    match type_name(schema) {
        Some("boolean") => Ok(KeyType::Bool),
        Some("integer") => Ok(KeyType::Integer { min: schema["minimum"].as_i64(), max: schema["maximum"].as_i64() }),
        Some("number") => Ok(KeyType::Number { min: schema["minimum"].as_f64(), max: schema["maximum"].as_f64() }),
        Some("string") => Ok(KeyType::Text),
        Some("array") => {
            let length = schema["minItems"].as_u64().filter(|min| schema["maxItems"].as_u64() == Some(*min));
            Ok(KeyType::List(Box::new(parse(&schema["items"])?), length.map(|length| length as usize)))
        }
        Some("object") if schema["additionalProperties"].is_object() && schema.get("properties").is_none() => {
            Ok(KeyType::MapOf(Box::new(parse(&schema["additionalProperties"])?)))
        }
        Some("object") => properties(schema).map(KeyType::Table).map_err(|(key, reason)| format!("`{key}`: {reason}")),
        other => Err(format!("its schema has type {other:?}, which this engine does not know")),
    }
}

/// A union with null is an option; one of single words is an enumeration with a doc for each.
fn parse_union(members: &[Value]) -> Result<KeyType, String> {
    let mut types = Vec::new();
    let mut words = Vec::new();
    for member in members.iter().filter(|member| member["type"] != "null") {
        match parse(member)? {
            KeyType::OneOf(more) => words.extend(more),
            ty => types.push(ty),
        }
    }
    if !words.is_empty() {
        types.insert(0, KeyType::OneOf(words));
    }
    Ok(if types.len() == 1 { types.remove(0) } else { KeyType::AnyOf(types) })
}

fn type_name(schema: &Value) -> Option<&str> {
    match &schema["type"] {
        Value::String(name) => Some(name),
        Value::Array(names) => names.iter().filter_map(Value::as_str).find(|name| *name != "null"),
        _ => None,
    }
}

fn strings(value: &Value) -> impl Iterator<Item = &str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_schemars_emits_is_understood() {
        let cases = [
            (json!({ "type": "boolean" }), "true or false"),
            (json!({ "type": ["integer", "null"], "format": "uint64", "minimum": 0 }), "a whole number"),
            (json!({ "type": "string", "enum": ["a", "b"] }), "one of `a`, `b`"),
            (
                json!({ "oneOf": [{ "type": "string", "const": "a" }, { "type": "string", "const": "b" }] }),
                "one of `a`, `b`",
            ),
            (
                json!({ "type": "array", "items": { "type": "string", "x-artifact": "samples" } }),
                "a list of a reference to samples",
            ),
            (
                json!({ "type": "array", "items": { "type": "number" }, "minItems": 2, "maxItems": 2 }),
                "a list of 2: a number",
            ),
            (
                json!({ "type": "object", "additionalProperties": { "type": "string", "x-artifact": "prompts" } }),
                "a table of a reference to prompts",
            ),
            (json!({ "anyOf": [{ "type": "number" }, { "type": "object", "properties": {} }] }), "a number or a table"),
            (
                json!({ "anyOf": [{ "type": "string", "x-artifact": "model" }, { "type": "null" }] }),
                "a reference to model",
            ),
        ];
        for (schema, expected) in cases {
            assert_eq!(parse(&schema).unwrap().to_string(), expected, "{schema}");
        }
        assert!(parse(&json!({ "type": "null" })).is_err());
    }
}
