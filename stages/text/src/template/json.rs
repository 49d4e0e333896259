//! The filter `tojson`: JSON as Python's `json.dumps` writes it, with its options `indent`, `separators`, `sort_keys` and
//! `ensure_ascii`, which transformers sets to false.

use std::fmt::Write;

use minijinja::ErrorKind;
use minijinja::value::Kwargs;
use serde::Serialize;
use serde_json::{Value, json};

use crate::limits::INDENT;

/// Formats a value that is known to be small enough.
pub(super) fn python(value: &minijinja::Value, options: &Kwargs) -> Result<String, minijinja::Error> {
    let invalid = |error: serde_json::Error| minijinja::Error::new(ErrorKind::BadSerialization, error.to_string());
    let indent: Option<usize> = options.get("indent")?;
    let is_ascii: Option<bool> = options.get("ensure_ascii")?;
    let is_sorted: Option<bool> = options.get("sort_keys")?;
    let separators: Option<Vec<String>> = options.get("separators")?;
    options.assert_all_used()?;
    let mut value = serde_json::to_value(value).map_err(invalid)?;
    if is_sorted == Some(true) {
        value.sort_all_objects();
    }
    let text = match (indent, separators.as_deref()) {
        (None, None) => separated(&value, ", ", ": "),
        (None, Some([items, keys])) => separated(&value, items, keys),
        (Some(indent), None) => indented(&value, indent)?,
        (_, Some(_)) => {
            let message = "`tojson` takes two `separators`, and these not with `indent`";
            return Err(minijinja::Error::new(ErrorKind::InvalidOperation, message));
        }
    };
    Ok(if is_ascii == Some(true) { ascii(&text) } else { text })
}

fn indented(value: &Value, indent: usize) -> Result<String, minijinja::Error> {
    if indent > INDENT {
        let message = format!("`tojson(indent={indent})`: at most {INDENT} blanks; help: lower `indent`");
        return Err(minijinja::Error::new(ErrorKind::InvalidOperation, message));
    }
    let indent = " ".repeat(indent);
    let formatter = serde_json::ser::PrettyFormatter::with_indent(indent.as_bytes());
    let mut bytes = Vec::new();
    let written = value.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, formatter));
    written.map_err(|error| minijinja::Error::new(ErrorKind::BadSerialization, error.to_string()))?;
    Ok(String::from_utf8(bytes).expect("serde_json writes UTF-8"))
}

fn separated(value: &Value, items: &str, keys: &str) -> String {
    match value {
        Value::Array(values) => {
            format!("[{}]", values.iter().map(|value| separated(value, items, keys)).collect::<Vec<_>>().join(items))
        }
        Value::Object(entries) => {
            let entries =
                entries.iter().map(|(key, value)| format!("{}{keys}{}", json!(key), separated(value, items, keys)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(items))
        }
        Value::Number(number) if number.is_f64() => float(number.as_f64().unwrap_or(f64::NAN)),
        plain => plain.to_string(),
    }
}

/// Formats a float as Python does: the fewest digits that give it back, with an exponent of two digits or more below
/// 1e-4 and from 1e16.
pub(super) fn float(value: f64) -> String {
    let scientific = format!("{value:e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return value.to_string() };
    match exponent.parse::<i32>() {
        Ok(power @ (..-4 | 16..)) => {
            format!("{mantissa}e{}{:02}", if power < 0 { '-' } else { '+' }, power.unsigned_abs())
        }
        _ if value.fract() == 0.0 => format!("{value:.1}"),
        _ => value.to_string(),
    }
}

/// Escapes what is not ASCII, as UTF-16.
fn ascii(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii() {
            escaped.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(escaped, "\\u{unit:04x}").expect("a text can be written to");
            }
        }
    }
    escaped
}
