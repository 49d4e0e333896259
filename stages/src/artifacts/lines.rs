//! Rows: reads a dataset row by row through the import keys, and writes JSON lines.
//!
//! A [`RawRow`] returns *our* fields by name and finds them in the user's object, so that an error can name the user's
//! field that is missing and list those that exist.

use std::borrow::Cow;
use std::io::{BufWriter, Write};
use std::path::Path;

use engine::stage::Input;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::import::Import;
use super::{Error, dataset};
use crate::limits;

/// One row of a dataset, read through the import keys.
pub(super) struct RawRow<'a> {
    fields: Map<String, Value>,
    /// The import keys of the dataset.
    pub(super) import: &'a Import,
    /// The number of rows before it in the dataset, skipped ones included.
    pub(super) index: usize,
}

/// Reads every row of `input` by `parse`; `file` is the name inside a stage's folder.
///
/// Bad rows are counted, and the error names the first: a silently skipped row would go unnoticed.
pub(super) fn read_rows<A, T>(
    input: &Input<A>,
    file: &str,
    parse: impl Fn(&RawRow<'_>) -> Result<T, String>,
) -> Result<Vec<T>, Error> {
    let import = Import::of(input)?;
    let end = import.limit.map_or(usize::MAX, |limit| import.skip.saturating_add(limit));
    let mut rows = Vec::new();
    let mut first_bad = None;
    let (mut bad, mut index) = (0, 0);
    let budget = dataset::Budget::new(import.row_mib, import.total_mib);
    for file in dataset::files(input.path(), file, import.split.as_deref())? {
        let mut records = dataset::records(&file, &budget)?;
        // Rows beyond the limit are not read.
        while index < end
            && bad < limits::BAD_ROWS
            && let Some(record) = records.next().transpose()?
        {
            let row = record.fields.map(|fields| RawRow { fields, import: &import, index });
            index += 1;
            if index <= import.skip {
                continue;
            }
            match row.and_then(|row| parse(&row)) {
                Ok(row) => rows.push(row),
                Err(reason) => {
                    bad += 1;
                    first_bad.get_or_insert_with(|| (file.clone(), record.location, reason));
                }
            }
        }
    }
    match first_bad {
        None => Ok(rows),
        Some((file, location, reason)) => Err(Error::Rows { file, location, reason, bad, total: rows.len() + bad }),
    }
}

impl RawRow<'_> {
    /// Returns our field `name`, which must exist and not be blank.
    pub(super) fn text(&self, name: &str) -> Result<String, String> {
        match self.optional_text(name)? {
            Some(text) if text.trim().is_empty() => Err(format!("`{name}` is empty")),
            Some(text) => Ok(text),
            None => Err(self.missing(name)),
        }
    }

    /// Returns our field `name` if the row has it; a field that the user mapped must exist.
    pub(super) fn optional_text(&self, name: &str) -> Result<Option<String>, String> {
        let Some(mapped) = self.import.fields.get(name) else {
            if let Some(value) = self.value(name) {
                return text_of(value, name, name).map(Some);
            }
            let messages = self.messages(name)?;
            return messages.map(|messages| text_of(&messages, name, "messages")).transpose();
        };
        let texts = mapped.iter().map(|field| match self.fields.get(field) {
            None | Some(Value::Null) => Err(self.missing(field)),
            Some(value) => text_of(value, name, field),
        });
        Ok(Some(texts.collect::<Result<Vec<_>, _>>()?.join(" ")))
    }

    /// Returns our field `name`, unmapped and unconverted, if it is not null.
    pub(super) fn value(&self, name: &str) -> Option<&Value> {
        self.fields.get(name).filter(|value| !value.is_null())
    }

    /// Returns the list `messages`, in which chat datasets have both prompt and completion. Formats whose cells can
    /// only be text have the list as JSON.
    fn messages(&self, name: &str) -> Result<Option<Cow<'_, Value>>, String> {
        match self.value("messages").filter(|_| matches!(name, "prompt" | "completion")) {
            Some(Value::String(text)) => match serde_json::from_str(text) {
                Ok(list @ Value::Array(_)) => Ok(Some(Cow::Owned(list))),
                _ => Err("`messages` is text, expected a list of messages in JSON".to_owned()),
            },
            other => Ok(other.map(Cow::Borrowed)),
        }
    }

    fn missing(&self, name: &str) -> String {
        if self.fields.contains_key(name) {
            return format!("`{name}` is empty");
        }
        let there = self.fields.keys().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
        format!("no field `{name}`; there are {there}: map yours onto ours with `fields`")
    }
}

/// Returns the text of the value of field `field`, which becomes our field `name`.
fn text_of(value: &Value, name: &str, field: &str) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(_) | Value::Bool(_) => Ok(value.to_string()),
        Value::Array(turns) => {
            let role = if name == "prompt" { "user" } else { "assistant" };
            let turn = turns.iter().rev().find(|turn| turn.get("role").and_then(Value::as_str) == Some(role));
            turn.and_then(|turn| turn.get("content")).and_then(Value::as_str).map(str::to_owned).ok_or_else(|| {
                format!("`{field}` is a list without a message of role `{role}`, expected text or messages")
            })
        }
        Value::Null | Value::Object(_) => Err(format!("`{field}` is no text")),
    }
}

/// Splits a worked solution at the last `mark` into working and gold answer; `field` is its field's name, for the
/// error.
pub(super) fn split_gold<'a>(solution: &'a str, mark: &str, field: &str) -> Result<(&'a str, &'a str), String> {
    let (working, gold) =
        solution.rsplit_once(mark).ok_or_else(|| format!("no `{mark}` in `{field}`, as `answer-after` says"))?;
    Ok((working.trim(), gold.trim()))
}

/// Creates the folder `dir`, and writes `rows` into `dir/file`, one object on each line.
pub(crate) fn write_lines<T: Serialize>(dir: &Path, file: &str, rows: &[T]) -> Result<(), Error> {
    fs_err::create_dir_all(dir)?;
    let mut out = BufWriter::new(fs_err::File::create(dir.join(file))?);
    for row in rows {
        serde_json::to_writer(&mut out, row).map_err(std::io::Error::from)?;
        out.write_all(b"\n")?;
    }
    out.flush()?;
    Ok(())
}

/// Reads rows that [`write_lines`] wrote.
pub(crate) fn read_own_lines<T: DeserializeOwned>(file: &Path) -> Result<Vec<T>, Error> {
    let text = fs_err::read_to_string(file)?;
    let rows = text.lines().map(serde_json::from_str);
    rows.collect::<Result<_, _>>().map_err(|source| Error::Damaged { file: file.to_owned(), source })
}
