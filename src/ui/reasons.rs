//! A plan's statuses and reasons, in words.

use engine::dirty::DirtyReason;
use engine::plan::RowStatus;
use serde_json::Value;

/// Returns the word for a status; all words have the same width.
pub(crate) fn status_word(status: RowStatus) -> &'static str {
    match status {
        RowStatus::Fresh => "fresh ",
        RowStatus::Dirty => "dirty ",
        RowStatus::Extend { .. } => "extend",
        RowStatus::Maybe => "maybe ",
    }
}

/// Returns a reason in a few words.
pub(crate) fn reason(reason: &DirtyReason) -> String {
    let shown = |value: &Option<Value>| match value {
        None => "nothing".to_owned(),
        Some(Value::Null) => "none".to_owned(),
        Some(Value::Object(table)) => {
            let given = table.iter().filter(|(_, value)| !value.is_null());
            let given: Vec<String> = given.map(|(key, value)| format!("{key} = {value}")).collect();
            format!("{{ {} }}", given.join(", "))
        }
        Some(value) => value.to_string(),
    };
    match reason {
        DirtyReason::New => "has not run yet".to_owned(),
        // A table of many keys would fill the screen.
        DirtyReason::Changed { key, old: Some(table), new: None } if is_large(table) => format!("`{key}` is gone"),
        DirtyReason::Changed { key, old: None, new: Some(table) } if is_large(table) => format!("`{key}` is new"),
        DirtyReason::Changed { key, old, new } => format!("`{key}` {} → {}", shown(old), shown(new)),
        DirtyReason::Content { key, .. } => format!("`{key}` has other content"),
        DirtyReason::Version { old, new } => format!("its kind went from version {old} to {new}"),
        DirtyReason::Upstream { stage } => format!("after `{stage}`"),
        DirtyReason::NotFetched { input } => format!("`{input}` is not fetched yet"),
        DirtyReason::OutputsMissing => "its outputs are gone".to_owned(),
        DirtyReason::Forced => "forced".to_owned(),
    }
}

/// Returns whether a value is a table with more keys than are read at a glance.
fn is_large(value: &Value) -> bool {
    value.as_object().is_some_and(|table| table.len() > 4)
}
