//! Finds a field of a row by its path, and reads its value as a text or a number.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::dataset::quoted;

/// Returns the user's field `path`, if it is not null: a field of that name, else a path through objects and lists,
/// `reward_model.ground_truth` or `answers.0`; `field@json` parses a text as JSON. Names may have dots of their own.
pub(super) fn field<'a>(fields: &'a Map<String, Value>, path: &str) -> Result<Option<Cow<'a, Value>>, String> {
    // `expand` makes fields that are named by a path.
    if let Some(value) = fields.get(path) {
        return Ok(Some(Cow::Borrowed(value)).filter(|value| !value.is_null()));
    }
    let found = find(&|name: &str| fields.get(name).map(Cow::Borrowed), path)?;
    let found = found.ok_or_else(|| missing(fields, path))?;
    Ok(Some(found).filter(|value| !value.is_null()))
}

/// Follows a path; the longest name that exists is taken at each step, and shorter ones if that leads nowhere.
fn find<'a>(child_of: &dyn Fn(&str) -> Option<Cow<'a, Value>>, path: &str) -> Result<Option<Cow<'a, Value>>, String> {
    let dots = path.match_indices('.').map(|(at, _)| at);
    for end in std::iter::once(path.len()).chain(dots.collect::<Vec<_>>().into_iter().rev()) {
        let (step, rest) = (&path[..end], path.get(end + 1..));
        let (name, is_json) = step.strip_suffix("@json").map_or((step, false), |name| (name, true));
        let Some(value) = child_of(name) else { continue };
        let value = match value.as_ref() {
            Value::String(text) if is_json => {
                Cow::Owned(parse_json(text).map_err(|error| format!("`{step}` is {error}"))?)
            }
            _ => value,
        };
        let found = match (rest, value) {
            (None, value) => Some(value),
            (Some(rest), Cow::Borrowed(value)) => find(&|name: &str| child(value, name).map(Cow::Borrowed), rest)?,
            (Some(rest), Cow::Owned(value)) => find(&|name: &str| child(&value, name).cloned().map(Cow::Owned), rest)?,
        };
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// Parses JSON in a text; an integer beyond 64 bits keeps its digits, as a text.
pub(super) fn parse_json(text: &str) -> Result<Value, String> {
    serde_json::from_slice(&quoted(text.as_bytes())).map_err(|error| format!("no JSON: {error}"))
}

/// Returns a value, parsed if it is JSON in a text: formats whose cells can only be text have it so.
pub(super) fn parsed(value: &Value) -> Result<Cow<'_, Value>, String> {
    match value {
        Value::String(text) => parse_json(text).map(Cow::Owned),
        value => Ok(Cow::Borrowed(value)),
    }
}

fn child<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    match value {
        Value::Array(items) => items.get(name.parse::<usize>().ok()?),
        other => other.get(name),
    }
}

/// Help for a field that a row lacks.
pub(super) const MAP: &str = "map yours onto ours with `fields`";

pub(super) fn missing(fields: &Map<String, Value>, name: &str) -> String {
    if fields.contains_key(name) {
        return format!("`{name}` is empty");
    }
    let there = fields.keys().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
    format!("no field `{name}`; there are {there}: {MAP}")
}

/// Returns the text of the value of field `field`.
pub(super) fn text_of(value: &Value, field: &str) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(_) | Value::Bool(_) => Ok(value.to_string()),
        Value::Array(items) if items.len() == 1 => text_of(&items[0], field),
        Value::Array(items) => {
            let count = items.len();
            Err(format!(
                "`{field}` is a list of {count}, not a text; one item is `{field}.0`, and `expand` makes a row of each"
            ))
        }
        Value::Null | Value::Object(_) => Err(format!("`{field}` is no text")),
    }
}

/// Returns the finite number in the value of field `field`.
pub(super) fn number_of(value: &Value, field: &str) -> Result<f64, String> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    number.filter(|number| number.is_finite()).ok_or_else(|| format!("`{field}` is no number"))
}
