//! JSON schemas to keys: the subset that schemars emits for a kind's structs, with the marks of [`super`].
//!
//! What the absence of a key means is part of every fingerprint. So each key is required, has a default, or may be
//! null. A mark that would have no effect is an error.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::ImportKey;
use super::key::{DefaultBy, KeySpec, KeyType, Length, Role, When};

/// A key, and why the engine cannot use it.
pub(super) type Mistake = (String, String);

/// Parses the properties of an object schema.
pub(super) fn properties(schema: &Value) -> Result<BTreeMap<String, KeySpec>, Mistake> {
    let required: BTreeSet<&str> = strings(&schema["required"]).collect();
    let Some(properties) = schema["properties"].as_object() else { return Ok(BTreeMap::new()) };
    let mut keys = BTreeMap::new();
    for (name, property) in properties {
        let spec = key(property, required.contains(name.as_str())).map_err(|reason| (name.clone(), reason))?;
        keys.insert(name.clone(), spec);
    }
    Ok(keys)
}

/// Parses the schema of import keys: each may be absent, and names the types of input that it is for.
pub(super) fn imports(schema: &Value) -> Result<BTreeMap<String, ImportKey>, Mistake> {
    let mut imports = BTreeMap::new();
    for (name, spec) in properties(schema)? {
        let property = &schema["properties"][&name];
        let is_path = property["x-path"] == true;
        let types = strings(&property["x-inputs"]).map(str::parse);
        let inputs = types.collect::<Result<Vec<_>, ()>>().unwrap_or_default();
        let reason = match spec.role {
            _ if inputs.is_empty() => "`x-inputs` names no types of input that it is for",
            _ if spec.default.is_none() => "an import key has a default, or may be null",
            _ if is_path && spec.ty != KeyType::Text => "the value of a key with `x-path` is text",
            Role::Result | Role::Neutral => {
                let reads = property["x-reads"].as_str().map(str::to_owned);
                imports.insert(name, ImportKey { spec, inputs, reads, is_path });
                continue;
            }
            Role::Extent | Role::Rows => "the `x-role` of an import key is `result` or `neutral`",
        };
        return Err((name, reason.to_owned()));
    }
    Ok(imports)
}

fn key(property: &Value, is_in_list: bool) -> Result<KeySpec, String> {
    // The schema's own list cannot have keys that have an effect only sometimes, nor keys that serde gives a default.
    let required = is_in_list || property["x-required"] == true;
    let default_by = parse_default_by(&property["x-default-by"]);
    let default = match property.get("default").filter(|default| !default.is_null()) {
        _ if required || default_by.is_some() => None,
        None => is_nullable(property).then_some(Value::Null),
        default => default.cloned(),
    };
    if !required && default.is_none() && default_by.is_none() {
        return Err("it may be absent, and its absence has no meaning: give it a default, or let it be null".to_owned());
    }
    let omits_default = property["x-omit-default"] == true;
    if omits_default && required {
        return Err("it has `x-omit-default`, but no default that could be left out".to_owned());
    }
    let spec = KeySpec {
        doc: property["description"].as_str().unwrap_or("").replace('\n', " "),
        ty: parse(property)?,
        default,
        default_by,
        required,
        role: parse_role(&property["x-role"])?,
        when: parse_when(&property["x-when"]),
        omits_default,
        short: property["x-short"].as_str().map(str::to_owned),
    };
    match &spec.short {
        Some(short) if !is_enough(short, &spec.ty) => {
            Err(format!("`x-short` says `{short}`, but its table has no such key, or needs others"))
        }
        _ => Ok(spec),
    }
}

/// Checks the marks in which keys of one table refer to each other.
pub(super) fn check_beside(keys: &BTreeMap<String, KeySpec>) -> Result<(), Mistake> {
    for (name, spec) in keys {
        let mistake = |reason: String| Err((name.clone(), reason));
        if let Some(when) = spec.when.as_ref().filter(|when| !keys.contains_key(&when.key)) {
            return mistake(format!("`x-when` names `{}`, which is no key beside it", when.key));
        }
        if let Some(by) = &spec.default_by {
            let other = keys.get(&by.key).filter(|other| other.default_by.is_none()).map(|other| &other.ty);
            let is_whole = |words: &[String]| words.iter().all(|word| by.values.contains_key(word));
            if !matches!(other, Some(KeyType::OneOf(words)) if is_whole(words)) {
                return mistake(format!("`x-default-by` has no default for each word of a key `{}` beside it", by.key));
            }
        }
    }
    Ok(())
}

/// Returns whether a table has the key `short` and requires no other.
fn is_enough(short: &str, ty: &KeyType) -> bool {
    match ty {
        KeyType::Table(keys) => {
            keys.contains_key(short) && keys.iter().all(|(key, spec)| key == short || !spec.required)
        }
        KeyType::AnyOf(types) => types.iter().any(|ty| is_enough(short, ty)),
        _ => false,
    }
}

fn parse_role(role: &Value) -> Result<Role, String> {
    match role.as_str() {
        None | Some("result") => Ok(Role::Result),
        Some("neutral") => Ok(Role::Neutral),
        Some("extent") => Ok(Role::Extent),
        Some("rows") => Ok(Role::Rows),
        Some(other) => Err(format!("`x-role` is `{other}`: `result`, `neutral`, `extent` and `rows` are known")),
    }
}

/// Parses `{"task": {"sums": "clean"}}`.
fn parse_default_by(mark: &Value) -> Option<DefaultBy> {
    let (key, values) = mark.as_object()?.iter().next()?;
    let values = values.as_object()?.iter().map(|(word, default)| (word.clone(), default.clone()));
    Some(DefaultBy { key: key.clone(), values: values.collect() })
}

/// Returns whether a key may be null, which is then its default.
fn is_nullable(schema: &Value) -> bool {
    let members = ["anyOf", "oneOf"].into_iter().filter_map(|union| schema[union].as_array()).flatten();
    schema["type"] == "null" || strings(&schema["type"]).any(|name| name == "null") || { members }.any(is_nullable)
}

/// Parses `{"method": ["logits"]}`.
fn parse_when(condition: &Value) -> Option<When> {
    let (key, values) = condition.as_object()?.iter().next()?;
    Some(When { key: key.clone(), values: strings(values).map(str::to_owned).collect() })
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
        Some("number") => Ok(KeyType::Number {
            min: schema["minimum"].as_f64(),
            above: schema["exclusiveMinimum"].as_f64(),
            max: schema["maximum"].as_f64(),
        }),
        Some("string") => Ok(KeyType::Text),
        Some("array") => {
            let bound = |name: &str| schema[name].as_u64().map(|bound| bound as usize);
            let length = Length { least: bound("minItems").unwrap_or(0), most: bound("maxItems") };
            Ok(KeyType::List(Box::new(parse(&schema["items"])?), length))
        }
        Some("object") if schema["additionalProperties"].is_object() && schema.get("properties").is_none() => {
            Ok(KeyType::MapOf(Box::new(parse(&schema["additionalProperties"])?)))
        }
        Some("object") => table(schema).map_err(|(key, reason)| format!("`{key}`: {reason}")),
        other => Err(format!("its schema has type {other:?}, which this engine does not know")),
    }
}

fn table(schema: &Value) -> Result<KeyType, Mistake> {
    let keys = properties(schema)?;
    check_beside(&keys)?;
    match keys.iter().find(|(_, spec)| spec.role != Role::Result) {
        Some((key, _)) => {
            Err((key.clone(), "`x-role` is for the keys of a stage, not for those of a table".to_owned()))
        }
        None => Ok(KeyType::Table(keys)),
    }
}

/// Parses a union. With null it is an optional value; one of single words is an enumeration with a doc for each.
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
            (json!({ "type": "array", "items": { "type": "string", "x-artifact": "samples" } }), "a list of samples"),
            (
                json!({ "type": "array", "items": { "type": "number" }, "minItems": 2, "maxItems": 2 }),
                "a list of 2 numbers",
            ),
            (json!({ "type": "array", "items": { "type": "string" }, "minItems": 1 }), "a list of texts, at least 1"),
            (
                json!({ "type": "object", "additionalProperties": { "type": "string", "x-artifact": "prompts" } }),
                "a table of prompts",
            ),
            (
                json!({ "type": "array", "items": { "type": "string", "x-artifact": "reward-model" } }),
                "a list of reward-models",
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

    #[test]
    fn what_the_absence_of_a_key_means_is_said() {
        let keys = |key: Value| properties(&json!({ "properties": { "a": key } }));
        let union = json!({ "anyOf": [{ "type": "number" }, { "type": "null" }] });
        for said in [
            json!({ "type": "boolean", "default": false }),
            json!({ "type": ["integer", "null"] }),
            json!({ "type": "integer", "x-required": true, "x-when": { "b": ["c"] } }),
            union,
        ] {
            assert!(keys(said.clone()).is_ok(), "{said}");
        }
        for nested in [json!({ "type": "boolean" }), json!({ "enum": ["constant", "cosine"] })] {
            for unsaid in [nested.clone(), json!({ "type": "object", "default": {}, "properties": { "b": nested } })] {
                let (key, reason) = keys(unsaid.clone()).unwrap_err();
                assert!(key == "a" && reason.contains("give it a default, or let it be null"), "{unsaid}: {reason}");
            }
        }
        assert!(properties(&json!({ "required": ["a"], "properties": { "a": { "type": "boolean" } } })).is_ok());
        let default = |key: Value| keys(key).unwrap()["a"].default.clone();
        assert_eq!(default(json!({ "type": ["integer", "null"] })), Some(Value::Null));
        assert_eq!(default(json!({ "type": ["integer", "null"], "default": 3 })), Some(json!(3)));
        assert_eq!(default(json!({ "type": "integer", "x-required": true, "default": 3 })), None);
    }

    #[test]
    fn an_import_key_says_which_inputs_it_is_for() {
        let parsed = |key: Value| imports(&json!({ "properties": { "limit": key } }));
        let good = json!({ "type": ["integer", "null"], "x-inputs": ["prompts", "samples"], "x-role": "neutral" });
        let found = parsed(good).unwrap().remove("limit").unwrap();
        assert_eq!((found.inputs.len(), found.spec.role, found.spec.default), (2, Role::Neutral, Some(Value::Null)));
        let reader = json!({ "type": ["string", "null"], "x-inputs": ["prompts"], "x-reads": "README.md" });
        assert_eq!(parsed(reader).unwrap()["limit"].reads.as_deref(), Some("README.md"));
        for (bad, expected) in [
            (json!({ "type": ["integer", "null"] }), "`x-inputs` names no types"),
            (json!({ "type": ["integer", "null"], "x-inputs": ["prompt"] }), "`x-inputs` names no types"),
            (json!({ "type": "integer", "x-required": true, "x-inputs": ["prompts"] }), "an import key has a default"),
            (json!({ "type": ["integer", "null"], "x-inputs": ["prompts"], "x-role": "rows" }), "the `x-role`"),
            (
                json!({ "type": ["integer", "null"], "x-inputs": ["model"], "x-path": true }),
                "the value of a key with `x-path` is text",
            ),
        ] {
            let (key, reason) = parsed(bad.clone()).unwrap_err();
            assert!(key == "limit" && reason.starts_with(expected), "{bad}: {reason}");
        }
    }

    /// Returns the error for keys of one table, if there is one.
    fn refused(keys: &Value) -> Option<String> {
        let found = properties(&json!({ "properties": keys })).and_then(|keys| check_beside(&keys));
        found.err().map(|(key, reason)| format!("{key}: {reason}"))
    }

    #[test]
    fn a_mark_that_cannot_be_followed_is_refused() {
        let word = json!({ "enum": ["sums", "chat"], "default": "sums" });
        let style = |defaults: Value| json!({ "type": "string", "x-default-by": { "task": defaults } });
        let short = |keys: Value, required: Value| {
            let table = json!({ "type": "object", "properties": keys, "required": required });
            json!({ "x-short": "w", "anyOf": [{ "type": "number" }, table, { "type": "null" }] })
        };
        let number = json!({ "type": "number" });
        let nested = json!({ "type": "integer", "default": 0, "x-role": "neutral" });
        for (keys, expected) in [
            (json!({ "a": { "type": "integer", "default": 0, "x-omit-default": true } }), None),
            (json!({ "a": { "type": ["object", "null"], "x-omit-default": true } }), None),
            (
                json!({ "a": { "type": "integer", "x-required": true, "x-omit-default": true } }),
                Some("a: it has `x-omit-default`, but no default"),
            ),
            (
                json!({ "a": { "type": "integer", "default": 0, "x-role": "nuetral" } }),
                Some("a: `x-role` is `nuetral`"),
            ),
            (
                json!({ "a": { "type": "object", "default": {}, "properties": { "b": nested } } }),
                Some("a: `b`: `x-role` is for the keys of a stage"),
            ),
            (json!({ "a": short(json!({ "w": number, "v": { "type": ["integer", "null"] } }), json!(["w"])) }), None),
            (
                json!({ "a": short(json!({ "w": number, "v": number }), json!(["w", "v"])) }),
                Some("a: `x-short` says `w`"),
            ),
            (json!({ "a": short(json!({ "v": number }), json!(["v"])) }), Some("a: `x-short` says `w`")),
            (json!({ "task": word, "style": style(json!({ "sums": "a", "chat": "b" })) }), None),
            (
                json!({ "task": word, "style": style(json!({ "sums": "a" })) }),
                Some("style: `x-default-by` has no default"),
            ),
            (json!({ "style": style(json!({})) }), Some("style: `x-default-by` has no default")),
            (
                json!({ "a": { "type": "integer", "default": 0, "x-when": { "b": ["c"] } } }),
                Some("a: `x-when` names `b`, which is no key beside it"),
            ),
        ] {
            match (refused(&keys), expected) {
                (None, None) => {}
                (Some(found), Some(expected)) => assert!(found.starts_with(expected), "{found}"),
                (found, _) => panic!("{keys}: {found:?}"),
            }
        }
    }
}
