//! JSON lines: a file is read row by row through the import map, and written one object a line.
//!
//! The idea to know: a [`Row`] is asked for *our* fields by name and finds out where they stand in the user's
//! object, so that a message can say which of the user's fields is missing and which are there.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use engine::stage::Input;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::Error;
use super::import::Import;

/// One line of a file, seen through the import map.
pub(super) struct Row<'a> {
    fields: Map<String, Value>,
    /// The import keys of the file.
    pub(super) import: &'a Import,
    /// The number of rows before it in the file, skipped ones included.
    pub(super) index: usize,
}

/// Reads every row of `input` by `parse`; `file` is the name inside a stage's folder.
pub(super) fn read_rows<A, T>(
    input: &Input<A>,
    file: &str,
    parse: impl Fn(&Row<'_>) -> Result<T, String>,
) -> Result<Vec<T>, Error> {
    let import = Import::of(input)?;
    let path = file_of(input.path(), file);
    let text = fs_err::read_to_string(&path)?;
    let mut rows = Vec::new();
    let mut first_bad = None;
    let (mut bad, mut total) = (0, 0);
    let numbered = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    for (index, (number, line)) in numbered.enumerate().skip(import.skip).take(import.limit.unwrap_or(usize::MAX)) {
        total += 1;
        match parse_line(line, &import, index).and_then(|row| parse(&row)) {
            Ok(row) => rows.push(row),
            Err(reason) => {
                bad += 1;
                first_bad.get_or_insert((number + 1, reason));
            }
        }
    }
    match first_bad {
        None => Ok(rows),
        Some((line, reason)) => Err(Error::Rows { file: path, line, reason, bad, total }),
    }
}

fn file_of(path: &Path, file: &str) -> PathBuf {
    if path.is_dir() { path.join(file) } else { path.to_owned() }
}

fn parse_line<'a>(line: &str, import: &'a Import, index: usize) -> Result<Row<'a>, String> {
    match serde_json::from_str(line.trim_start_matches('\u{feff}')) {
        Ok(Value::Object(fields)) => Ok(Row { fields, import, index }),
        Ok(_) => Err("not a JSON object".to_owned()),
        Err(error) => Err(format!("not JSON: {error}")),
    }
}

impl Row<'_> {
    /// Returns our field `name`, which must be there and not be blank.
    pub(super) fn text(&self, name: &str) -> Result<String, String> {
        match self.optional_text(name)? {
            Some(text) if text.trim().is_empty() => Err(format!("`{name}` is empty")),
            Some(text) => Ok(text),
            None => Err(self.missing(name)),
        }
    }

    /// Returns our field `name` if the row has it; a field that the user mapped must be there.
    pub(super) fn optional_text(&self, name: &str) -> Result<Option<String>, String> {
        let Some(mapped) = self.import.fields.get(name) else {
            let field = self.fields.get(name).or_else(|| self.messages(name)).filter(|value| !value.is_null());
            return field.map(|value| text_of(value, name, name)).transpose();
        };
        let texts = mapped.0.iter().map(|field| match self.fields.get(field) {
            None | Some(Value::Null) => Err(self.missing(field)),
            Some(value) => text_of(value, name, field),
        });
        Ok(Some(texts.collect::<Result<Vec<_>, _>>()?.join(" ")))
    }

    /// Returns our field `name` as it stands.
    pub(super) fn value(&self, name: &str) -> Option<&Value> {
        self.fields.get(name).filter(|value| !value.is_null())
    }

    /// Chats keep question and answer in one list.
    fn messages(&self, name: &str) -> Option<&Value> {
        matches!(name, "prompt" | "completion").then(|| self.fields.get("messages")).flatten()
    }

    fn missing(&self, name: &str) -> String {
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

/// Splits a worked solution at the last `mark` into working and gold answer; `field` is where it stands, for the message.
pub(super) fn split_gold<'a>(solution: &'a str, mark: &str, field: &str) -> Result<(&'a str, &'a str), String> {
    let (working, gold) =
        solution.rsplit_once(mark).ok_or_else(|| format!("no `{mark}` in `{field}`, as `answer-after` says"))?;
    Ok((working.trim(), gold.trim()))
}

/// Writes `rows` into `dir/file`, one object a line, and makes the folder.
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

/// Reads rows that [`write_lines`] wrote, as checkpoints do.
pub(crate) fn read_own_lines<T: DeserializeOwned>(file: &Path) -> Result<Vec<T>, Error> {
    let text = fs_err::read_to_string(file)?;
    let rows = text.lines().map(serde_json::from_str);
    rows.collect::<Result<_, _>>().map_err(|source| Error::Damaged { file: file.to_owned(), source })
}
