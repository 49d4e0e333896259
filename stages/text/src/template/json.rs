//! The filter `tojson`: JSON as Python's `json.dumps` writes it, with a space after `:` and `,`, and with `indent` if
//! it is given.

use minijinja::ErrorKind;
use minijinja::value::Kwargs;
use serde::Serialize;
use serde_json::{Value, json};

use crate::limits::INDENT;

/// Formats a value that is known to be small enough.
pub(super) fn python(value: &minijinja::Value, options: &Kwargs) -> Result<String, minijinja::Error> {
    let invalid = |error: serde_json::Error| minijinja::Error::new(ErrorKind::BadSerialization, error.to_string());
    let indent: Option<usize> = options.get("indent")?;
    let _: Option<bool> = options.get("ensure_ascii")?;
    options.assert_all_used()?;
    let value = serde_json::to_value(value).map_err(invalid)?;
    let Some(indent) = indent else { return Ok(spaced(&value)) };
    if indent > INDENT {
        let message = format!("`tojson(indent={indent})`: at most {INDENT} blanks; help: lower `indent`");
        return Err(minijinja::Error::new(ErrorKind::InvalidOperation, message));
    }
    let indent = " ".repeat(indent);
    let formatter = serde_json::ser::PrettyFormatter::with_indent(indent.as_bytes());
    let mut bytes = Vec::new();
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, formatter)).map_err(invalid)?;
    Ok(String::from_utf8(bytes).expect("serde_json writes UTF-8"))
}

fn spaced(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(spaced).collect::<Vec<_>>().join(", ")),
        Value::Object(entries) => {
            let entries = entries.iter().map(|(key, value)| format!("{}: {}", json!(key), spaced(value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
        plain => plain.to_string(),
    }
}
