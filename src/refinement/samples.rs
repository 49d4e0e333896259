//! Rows of samples as the store has them: which are drawn for a person, and what of each is shown.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};

use anyhow::{Context, Result, anyhow, bail};
use serde_json::{Map, Value};
use store::{Digest, Member, Store};

use super::FILE_BYTES;
use crate::exit::Advice;

/// The file of rows in an artifact of samples.
const FILE: &str = "samples.jsonl";

/// Samples in the store.
pub(crate) struct Samples<'a> {
    store: &'a Store,
    member: Member,
}

/// Rows that were chosen among all.
pub(crate) struct Chosen {
    pub(crate) rows: Vec<Row>,
    /// The number of all rows.
    pub(crate) of: usize,
}

/// A row of samples.
#[derive(Debug)]
pub(crate) struct Row {
    /// Its line in the file of samples, from 1.
    pub(crate) number: usize,
    pub(super) fields: Map<String, Value>,
}

/// A text that is shown for reading.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// One line.
    pub(super) title: String,
    pub(super) text: String,
}

impl<'a> Samples<'a> {
    /// Finds the rows in an output; returns `None` if the output has another type.
    pub(crate) fn find(store: &'a Store, digest: &Digest) -> Result<Option<Self>> {
        let member = store.tree(digest)?.members.into_iter().find(|member| member.path.as_str() == FILE);
        Ok(member.map(|member| Self { store, member }))
    }

    /// Returns `limit` rows that `seed` draws (or all) in the order of the samples.
    ///
    /// The rows with the smallest digests of seed and content are drawn. So a larger limit adds rows, and more samples
    /// exchange few of the drawn rows.
    pub(crate) fn draw(&self, limit: Option<usize>, seed: u64) -> Result<Chosen> {
        let mut keys = Vec::new();
        self.each_line(|number, line| {
            let key = [format!("{seed}\n").as_bytes(), line].concat();
            keys.push((Digest::of(&key), number));
            Ok(())
        })?;
        let of = keys.len();
        keys.sort_unstable();
        keys.truncate(limit.unwrap_or(of));
        let numbers: BTreeSet<usize> = keys.into_iter().map(|(_, number)| number).collect();
        Ok(Chosen { rows: self.rows(&numbers)?, of })
    }

    /// Returns the rows with these numbers, as far as there are such rows.
    pub(crate) fn rows(&self, numbers: &BTreeSet<usize>) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        let mut bytes = 0;
        self.each_line(|number, line| {
            if numbers.contains(&number) {
                bytes += line.len() as u64;
                if bytes > FILE_BYTES {
                    return Err(too_large());
                }
                rows.push(Row::parse(number, line).with_context(|| format!("row {number} of the samples"))?);
            }
            Ok(())
        })?;
        Ok(rows)
    }

    /// Calls `with` with each line and its number. Blank lines are skipped, as readers of samples do.
    fn each_line(&self, mut with: impl FnMut(usize, &[u8]) -> Result<()>) -> Result<()> {
        let mut reader = BufReader::with_capacity(1 << 16, self.store.open_checked(&self.member.digest)?);
        let mut line = Vec::new();
        for number in 1.. {
            line.clear();
            if (&mut reader).take(FILE_BYTES + 1).read_until(b'\n', &mut line)? == 0 {
                break;
            }
            if line.len() as u64 > FILE_BYTES {
                return Err(too_large());
            }
            if !line.trim_ascii().is_empty() {
                with(number, line.trim_ascii())?;
            }
        }
        Ok(())
    }
}

/// Returns the error for rows that are more than a person's file may have.
pub(crate) fn too_large() -> anyhow::Error {
    let most = FILE_BYTES >> 20;
    Advice::new(format!("the rows take more than {most} MiB"), "choose fewer rows with `--limit N`").into()
}

impl Row {
    pub(super) fn parse(number: usize, line: &[u8]) -> Result<Self> {
        let fields: Map<String, Value> = serde_json::from_slice(line).context("not a JSON object")?;
        let is_prompt = |prompt: &Value| match prompt {
            Value::String(_) => true,
            Value::Array(turns) => turns.iter().all(Value::is_object),
            _ => false,
        };
        if !fields.get("prompt").is_some_and(is_prompt) {
            bail!("its `prompt` is neither a text nor a list of turns");
        }
        if !fields.get("completion").is_some_and(Value::is_string) {
            return Err(anyhow!("its `completion` is no text"));
        }
        Ok(Self { number, fields })
    }

    pub(super) fn completion(&self) -> &str {
        self.fields.get("completion").and_then(Value::as_str).expect("`parse` has checked it")
    }

    /// Returns what is shown for reading: the prompt, turn by turn, and what is known about the completion.
    pub(super) fn parts(&self) -> Vec<Part> {
        let mut parts = Vec::new();
        match &self.fields["prompt"] {
            Value::Array(turns) => parts.extend(turns.iter().filter_map(Value::as_object).flat_map(turn_parts)),
            text => parts.push(Part { title: "prompt".to_owned(), text: text_of(text) }),
        }
        let known = |field: &str| self.fields.get(field).filter(|value| !value.is_null());
        parts.extend(known("answer").map(|gold| Part { title: "gold answer".to_owned(), text: text_of(gold) }));
        parts.extend(known("grade").map(|grade| Part { title: "grade".to_owned(), text: grade.to_string() }));
        parts
    }
}

/// Returns the text of a turn, and one part for each of its other keys.
fn turn_parts(turn: &Map<String, Value>) -> Vec<Part> {
    let role = turn.get("role").map_or_else(|| "?".to_owned(), text_of);
    let part = |key: &str, value: &Value| {
        let title = if key == "content" { format!("prompt, {role}") } else { format!("prompt, {role}, {key}") };
        // A title is one line, whatever names a data set has.
        Part { title: title.escape_debug().to_string(), text: text_of(value) }
    };
    turn.iter().filter(|(key, _)| *key != "role").map(|(key, value)| part(key, value)).collect()
}

/// Returns a value as a person reads it.
fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        Value::Object(_) | Value::Array(_) => serde_json::to_string_pretty(value).expect("a value is JSON"),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}
