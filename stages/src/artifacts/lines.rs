//! Rows: reads a dataset row by row through the import keys, and writes JSON lines.
//!
//! A [`RawRow`] returns *our* fields by name and finds them in the user's object, so that an error can name the user's
//! field that is missing and list those that exist.

use std::borrow::Cow;
use std::io::{BufWriter, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use engine::stage::Input;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use text::conversation::{THOUGHT, answer, split, turns};
use text::{Message, Prompt};

use super::fields::{field, missing, text_of};
use super::import::{Import, OnBadRow};
use super::select::Selection;
use super::{Error, Location, dataset, transcript};
use crate::limits;

/// One row of a dataset, read through the import keys.
pub(super) struct RawRow<'a> {
    fields: Map<String, Value>,
    /// The import keys of the dataset.
    pub(super) import: &'a Import,
    /// The number of rows before it in the dataset, skipped ones included; with `expand`, of those made so far.
    pub(super) index: usize,
    /// Limits the bytes that a row may unpack.
    pub(super) budget: &'a dataset::Budget,
}

/// Reads every row of `input` by `parse` into memory; `file` is the name inside a stage's folder.
pub(super) fn read_rows<A, T>(
    input: &Input<A>,
    file: &str,
    parse: impl Fn(&RawRow<'_>) -> Result<T, String>,
) -> Result<Vec<T>, Error> {
    let mut rows = Vec::new();
    let _ = read(input, file, dataset::Budget::new, parse, &mut |row| {
        rows.push(row);
        ControlFlow::Continue(())
    })?;
    Ok(rows)
}

/// Reads the rows of `input` one at a time, and calls `take` with each until it breaks. Returns whether it did.
pub(super) fn each_row<A, T>(
    input: &Input<A>,
    file: &str,
    parse: impl Fn(&RawRow<'_>) -> Result<T, String>,
    take: &mut dyn FnMut(T) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, Error> {
    read(input, file, dataset::Budget::one_at_a_time, parse, take)
}

/// Reads rows until `take` breaks.
///
/// Bad rows are counted, and the error names the first: a silently skipped row would go unnoticed. If bad rows fail the
/// input, no row is taken after the first.
fn read<A, T>(
    input: &Input<A>,
    file: &str,
    budget: fn(Option<u64>, Option<u64>) -> dataset::Budget,
    parse: impl Fn(&RawRow<'_>) -> Result<T, String>,
    take: &mut dyn FnMut(T) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, Error> {
    let import = Import::of(input)?;
    let end = import.limit.map_or(usize::MAX, |limit| import.skip.saturating_add(limit));
    let mut first_bad = None;
    let mut selection = Selection::new(&import);
    // Rows of the files so far, rows made of them, and those that are good and bad.
    let (mut index, mut made, mut good, mut bad) = (0, 0, 0, 0);
    let budget = budget(import.row_mib, import.total_mib);
    for file in dataset::files(input.path(), file, import.config.as_deref(), import.split.as_deref())? {
        let mut records = dataset::records(&file, &budget)?;
        // Rows beyond the limit are not read.
        while index < end
            && (bad < limits::BAD_ROWS || import.on_bad_row == OnBadRow::LeaveOut)
            && let Some(record) = records.next().transpose()?
        {
            index += 1;
            if index <= import.skip {
                continue;
            }
            let first = if import.expand.is_empty() { index - 1 } else { made };
            let parsed = record.fields.and_then(|fields| selection.of(fields)).and_then(|chosen| {
                made += chosen.len();
                let numbered = chosen.into_iter().zip(first..);
                let raw = numbered.map(|(fields, index)| RawRow { fields, import: &import, index, budget: &budget });
                raw.map(|row| parse(&row)).collect::<Result<Vec<T>, String>>()
            });
            match parsed {
                Ok(parsed) => {
                    good += parsed.len();
                    if first_bad.is_none() || import.on_bad_row == OnBadRow::LeaveOut {
                        for row in parsed {
                            if take(row).is_break() {
                                return Ok(ControlFlow::Break(()));
                            }
                        }
                    }
                }
                Err(reason) => {
                    bad += 1;
                    first_bad.get_or_insert_with(|| (file.clone(), record.location, reason));
                }
            }
        }
    }
    selection.tell(input, index.saturating_sub(import.skip), bad);
    let total = good + bad;
    first_bad.map_or(Ok(()), |first| tell_bad(input.name(), import.on_bad_row, (bad, total), first))?;
    Ok(ControlFlow::Continue(()))
}

/// Fails because of rows that cannot be read, or logs how many they are.
fn tell_bad(
    name: &str,
    on_bad_row: OnBadRow,
    (bad, total): (usize, usize),
    (file, location, reason): (PathBuf, Location, String),
) -> Result<(), Error> {
    if on_bad_row == OnBadRow::Fail {
        return Err(Error::Rows { file, location, reason, bad, total });
    }
    tracing::warn!(
        "`{name}`: {bad} of {total} rows are left out, the first in `{}` {location}: {reason}",
        file.display()
    );
    Ok(())
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

    /// Returns our field `name` if the row has it; a field that the user mapped must exist. Of several mapped fields,
    /// those that are null or empty are left out, but not all of them.
    pub(super) fn optional_text(&self, name: &str) -> Result<Option<String>, String> {
        let Some(mapped) = self.import.fields.get(name) else {
            return self.value(name).map(|value| text_of(value, name)).transpose();
        };
        let mut texts = Vec::new();
        let fields: Vec<&str> = mapped.iter().collect();
        for field in &fields {
            match self.field(field)? {
                Some(value) => texts.push(text_of(&value, field)?),
                None if fields.len() > 1 => {}
                None => return Err(self.missing(field)),
            }
        }
        texts.retain(|text| fields.len() == 1 || !text.is_empty());
        if texts.is_empty() { Err(self.missing(fields[0])) } else { Ok(Some(texts.join(" "))) }
    }

    /// Returns the value of our field `name` under the user's name for it, if it is not null.
    pub(super) fn mapped(&self, name: &str) -> Result<Option<Cow<'_, Value>>, String> {
        match self.import.fields.get(name).map(|fields| fields.iter().collect::<Vec<_>>()).as_deref() {
            None => Ok(self.value(name).map(Cow::Borrowed)),
            Some([field]) => self.field(field),
            Some(_) => Err(format!("`fields` maps several fields onto `{name}`, which is read from one")),
        }
    }

    /// Returns our field `name`, unmapped and unconverted, if it is not null.
    pub(super) fn value(&self, name: &str) -> Option<&Value> {
        self.fields.get(name).filter(|value| !value.is_null())
    }

    /// Returns what the model is asked: a text, or the turns of a conversation before its last assistant's turn.
    pub(super) fn prompt(&self) -> Result<Prompt, String> {
        let prompt = match self.conversation("prompt")? {
            None => self.text("prompt").map(Prompt::from),
            Some(mut turns) => {
                turns.pop_if(|turn| turn.role == "assistant");
                let asks = turns.iter().any(|turn| turn.role == "user");
                if asks { Ok(Prompt::of_turns(turns)) } else { Err("the conversation has no user's turn".to_owned()) }
            }
        };
        self.with_all_beside(prompt?)
    }

    /// Returns a prompt with what its row has beside it: a system text, if it has none yet, and values for the chat
    /// template's own variables, under our name or TRL's.
    fn with_all_beside(&self, prompt: Prompt) -> Result<Prompt, String> {
        let mut args = self.import.template_args.values();
        let of_row =
            [self.value("prompt").and_then(|prompt| prompt.get("template-args")), self.value("chat_template_kwargs")];
        for values in of_row.into_iter().flatten() {
            let values = values.as_object().ok_or("the values for the chat template are no object")?;
            args.extend(
                values.iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| (name.clone(), value.clone())),
            );
        }
        let mut turns = prompt.turns();
        if let Some(system) = self.optional_text("system")?.filter(|text| !text.is_empty())
            && turns.first().is_none_or(|turn| turn.role != "system")
        {
            turns.to_mut().insert(0, Message::new("system", system));
        }
        Ok(Prompt::of_turns(turns.into_owned()).with_template_args(args))
    }

    /// Returns our field `name`: a text, or the last turn of a conversation, which must be the assistant's.
    pub(super) fn completion(&self, name: &str) -> Result<String, String> {
        match self.conversation(name)? {
            Some(turns) => answer(&turns).map_err(|reason| format!("`{name}`: {reason}")),
            None => self.text(name),
        }
    }

    /// Does the same for the user's field `path`.
    pub(super) fn completion_at(&self, path: &str) -> Result<String, String> {
        let value = self.field(path)?.ok_or_else(|| self.missing(path))?;
        match self.turns_of(&value, path)? {
            Some(turns) => answer(&turns).map_err(|reason| format!("`{path}`: {reason}")),
            None => text_of(&value, path)
                .and_then(|text| if text.trim().is_empty() { Err(format!("`{path}` is empty")) } else { Ok(text) }),
        }
    }

    /// Returns what the model is asked; if the row has no field for it, the turns before the completion in our field
    /// `name`.
    pub(super) fn prompt_before(&self, name: &str) -> Result<Prompt, String> {
        let has_prompt = ["prompt", "messages", "conversations"].iter().any(|field| self.value(field).is_some());
        match self.conversation(name)? {
            Some(turns) if !has_prompt && !self.import.fields.contains_key("prompt") => {
                self.with_all_beside(split(turns)?.0)
            }
            _ => self.prompt(),
        }
    }

    /// Returns a prompt and its completion: two fields, perhaps with a third for the thought, or a conversation that
    /// ends with the assistant's turn.
    pub(super) fn exchange(&self) -> Result<(Prompt, String), String> {
        let has_completion = self.import.fields.contains_key("completion") || self.value("completion").is_some();
        let (mut turns, is_text) = match self.conversation("prompt")? {
            Some(turns) => (turns, false),
            // Some chat sets have the first question beside the whole conversation.
            None if !has_completion && let Some(turns) = self.chat()? => (turns, false),
            None => (vec![Message::new("user", self.text("prompt")?)], true),
        };
        let has_answer = turns.last().is_some_and(|turn| turn.role == "assistant");
        if let Some(more) = self.conversation("completion")? {
            turns.extend(more);
        } else if is_text || (has_completion && !has_answer) {
            let mut turn = Message::new("assistant", self.text("completion")?);
            turn.more.extend(self.optional_text("thought")?.map(|thought| (THOUGHT.to_owned(), thought.into())));
            turns.push(turn);
        }
        let (prompt, completion) = split(turns)?;
        Ok((self.with_all_beside(prompt)?, completion))
    }

    /// Returns the turns in our field `name` if it is a list; for the prompt, else those of the row's chat.
    fn conversation(&self, name: &str) -> Result<Option<Vec<Message>>, String> {
        let mapped = self.import.fields.get(name).map(|fields| fields.iter().collect::<Vec<_>>());
        let own = match mapped.as_deref() {
            Some([field]) => self.field(field)?,
            Some(_) => None,
            None => self.value(name).map(Cow::Borrowed),
        };
        match own.as_deref() {
            Some(Value::Object(written)) if let Some(list @ Value::Array(_)) = written.get("messages") => {
                self.turns_of(list, name)
            }
            Some(value) => self.turns_of(value, name),
            None if name == "prompt" && mapped.is_none() => self.chat(),
            None => Ok(None),
        }
    }

    /// Returns the turns in a value if it is a list, or a text with `turn-marks`.
    fn turns_of(&self, value: &Value, name: &str) -> Result<Option<Vec<Message>>, String> {
        match (value, &self.import.turn_marks) {
            (Value::Array(list), _) => turns_of_list(list, name).map(Some),
            (Value::String(text), Some(marks)) => {
                transcript::turns(text, marks).map_err(|reason| format!("`{name}`: {reason}"))
            }
            _ => Ok(None),
        }
    }

    /// Returns the turns in `messages`, or in ShareGPT's `conversations`.
    fn chat(&self) -> Result<Option<Vec<Message>>, String> {
        self.messages()?.map(|list| turns_of_list(&list, "prompt")).transpose()
    }

    /// Returns the list of turns of a chat dataset. Formats whose cells can only be text have the list as JSON.
    fn messages(&self) -> Result<Option<Vec<Value>>, String> {
        for name in ["messages", "conversations"] {
            match self.value(name) {
                None => {}
                Some(Value::Array(list)) => return Ok(Some(list.clone())),
                Some(Value::String(text)) => {
                    let list = serde_json::from_str(text);
                    return list
                        .map(Some)
                        .map_err(|_| format!("`{name}` is text, expected a list of messages in JSON"));
                }
                Some(_) => return Err(format!("`{name}` is no list of messages")),
            }
        }
        Ok(None)
    }

    /// Returns the user's field `path`, if it is not null.
    pub(super) fn field(&self, path: &str) -> Result<Option<Cow<'_, Value>>, String> {
        field(&self.fields, path)
    }

    fn missing(&self, name: &str) -> String {
        missing(&self.fields, name)
    }
}

/// Parses the turns of our field `name`.
fn turns_of_list(list: &[Value], name: &str) -> Result<Vec<Message>, String> {
    turns(list).map_err(|reason| format!("`{name}`: {reason}"))
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
