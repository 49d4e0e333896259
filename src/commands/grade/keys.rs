//! The options of `r1flow grade` that are keys of a workflow: how rows are read, and rewards.

use std::collections::BTreeMap;

use anyhow::{Result, anyhow};
use engine::artifact::ArtifactType;
use engine::kind::ImportKey;
use serde::Deserialize;
use serde_json::{Map, Value};
use toml::de::ValueDeserializer;

use crate::exit::{Advice, no_such};

/// Returns the keys of an input that `--with`, `--where` and `--limit` give.
pub(super) fn import(
    known: &BTreeMap<String, ImportKey>,
    with: &[String],
    conditions: &[String],
    limit: Option<usize>,
) -> Result<Map<String, Value>> {
    let mut import = Map::new();
    for written in with {
        let (path, value) = pair("--with", written, "verify=number")?;
        let key = path.split('.').next().unwrap_or(path);
        let is_for_prompts = |import: &ImportKey| import.inputs.contains(&ArtifactType::Prompts);
        if !known.get(key).is_some_and(is_for_prompts) {
            let names = known.iter().filter(|(_, import)| is_for_prompts(import)).map(|(name, _)| name.as_str());
            return Err(no_such("key for `--with`", key, names));
        }
        add(&mut import, nested(path, value), written, "--with")?;
    }
    for written in conditions {
        let (field, value) = pair("--where", written, "level=3")?;
        if let Some(field) = field.strip_suffix(['<', '>', '!']) {
            let help = format!("a range is its two ends, `--where '{field}=[1, 3]'`");
            return Err(Advice::new(format!("`--where {written}`: expected a field and its value"), help).into());
        }
        let condition = Map::from_iter([(field.to_owned(), value)]);
        add(&mut import, Map::from_iter([("where".to_owned(), Value::Object(condition))]), written, "--where")?;
    }
    if let Some(limit) = limit {
        add(&mut import, Map::from_iter([("limit".to_owned(), limit.into())]), &limit.to_string(), "--limit")?;
    }
    Ok(import)
}

/// Returns the table of rewards that `--reward` gives.
pub(super) fn rewards(written: &[String]) -> Result<Map<String, Value>> {
    let mut rewards = Map::new();
    for written in written {
        let (name, keys) = if written.contains('=') {
            pair("--reward", written, "length={max-tokens=512}")?
        } else {
            (written.as_str(), Value::Object(Map::new()))
        };
        if rewards.insert(name.trim().to_owned(), keys).is_some() {
            return Err(anyhow!("`--reward {written}`: `{name}` is given twice"));
        }
    }
    Ok(rewards)
}

/// Splits a key from its value.
fn pair<'a>(option: &str, written: &'a str, example: &str) -> Result<(&'a str, Value)> {
    let help = || format!("for example `{option} {example}`");
    let (key, text) =
        written
            .split_once('=')
            .filter(|(key, text)| !key.trim().is_empty() && !text.trim().is_empty())
            .ok_or_else(|| Advice::new(format!("`{option} {written}`: expected a key, `=` and a value"), help()))?;
    let value = value(text.trim())
        .map_err(|reason| Advice::new(format!("`{option} {written}`: the value is no TOML: {reason}"), help()))?;
    Ok((key.trim(), value))
}

/// Parses a value in TOML; a bare word is a text.
fn value(text: &str) -> Result<Value, String> {
    let parsed = ValueDeserializer::parse(text).and_then(Value::deserialize);
    match parsed {
        Ok(value) => Ok(value),
        Err(_) if !text.starts_with(['"', '\'', '[', '{']) => Ok(Value::String(text.to_owned())),
        Err(error) => Err(error.message().to_owned()),
    }
}

/// Returns a table with the value at the end of a dotted path.
fn nested(path: &str, value: Value) -> Map<String, Value> {
    match path.split_once('.') {
        None => Map::from_iter([(path.to_owned(), value)]),
        Some((key, rest)) => Map::from_iter([(key.to_owned(), Value::Object(nested(rest, value)))]),
    }
}

/// Adds keys to a table, within the tables that both have.
fn add(table: &mut Map<String, Value>, more: Map<String, Value>, written: &str, option: &str) -> Result<()> {
    for (key, value) in more {
        match (table.get_mut(&key), value) {
            (None, value) => drop(table.insert(key, value)),
            (Some(Value::Object(there)), Value::Object(more)) => add(there, more, written, option)?,
            _ => return Err(anyhow!("`{option} {written}`: `{key}` is given twice")),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn known() -> BTreeMap<String, ImportKey> {
        let of = |inputs: &[&str], kind: &str| json!({ "type": [kind, "null"], "default": null, "x-inputs": inputs });
        let properties = json!({
            "verify": of(&["prompts"], "string"), "limit": of(&["prompts"], "integer"),
            "fields": of(&["prompts"], "string"), "where": of(&["prompts"], "string"),
            "prefer": of(&["preferences"], "string"),
        });
        let list =
            engine::kind::KindList { protocol: 4, kinds: Vec::new(), imports: json!({ "properties": properties }) };
        engine::kind::Kinds::parse(list).unwrap().imports().clone()
    }

    fn read(with: &[&str], conditions: &[&str], limit: Option<usize>) -> Result<Value, String> {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        import(&known(), &owned(with), &owned(conditions), limit).map(Value::Object).map_err(|error| error.to_string())
    }

    #[test]
    fn keys_are_merged_and_bare_words_are_texts() {
        let with = ["verify=number", "fields.prompt=question", r#"fields={completion="output"}"#];
        assert_eq!(
            read(&with, &["a.b=[1, 3]", "subject=physics"], Some(5)).unwrap(),
            json!({
                "verify": "number", "fields": { "prompt": "question", "completion": "output" },
                "where": { "a.b": [1, 3], "subject": "physics" }, "limit": 5,
            })
        );
        assert_eq!(value("####").unwrap(), json!("####"));
        assert_eq!(value("0.5").unwrap(), json!(0.5));
        assert_eq!(value("true").unwrap(), json!(true));
    }

    #[test]
    fn mistakes_are_named() {
        for (with, conditions, limit, expected) in [
            (&["verify2=number"][..], &[][..], None, "there is no key `verify2` for `--with`: did you mean `verify`?"),
            (&["verify"], &[], None, "`--with verify`: expected a key, `=` and a value"),
            (
                &["prefer=x"],
                &[],
                None,
                "there is no key `prefer` for `--with`: known: `fields`, `limit`, `verify`, `where`",
            ),
            (&["limit=1"], &[], Some(2), "`--limit 2`: `limit` is given twice"),
            (&["verify=number", "verify=choice"], &[], None, "`--with verify=choice`: `verify` is given twice"),
            (&[], &["level>=3"], None, "`--where level>=3`: expected a field and its value"),
        ] {
            assert_eq!(read(with, conditions, limit).unwrap_err(), expected);
        }
        let broken = read(&["fields={prompt"], &[], None).unwrap_err();
        assert!(broken.starts_with("`--with fields={prompt`: the value is no TOML: "), "{broken}");
    }

    #[test]
    fn rewards_are_names_weights_or_tables() {
        let read = |written: &[&str]| rewards(&written.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
        assert_eq!(
            Value::Object(read(&["accuracy", "format=0.5", "length={max-tokens=512}"]).unwrap()),
            json!({ "accuracy": {}, "format": 0.5, "length": { "max-tokens": 512 } })
        );
        assert_eq!(
            read(&["format", "format=2"]).unwrap_err().to_string(),
            "`--reward format=2`: `format` is given twice"
        );
    }
}
