//! Rows: reads a dataset row by row through the import keys, and writes JSON lines.
//!
//! A [`RawRow`] returns *our* fields by name and finds them in the user's object, so that an error can name the user's
//! field that is missing and list those that exist.

use std::borrow::Cow;
use std::io::{BufWriter, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use engine::diagnostic::{are, count};
use engine::stage::Input;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::fields::{field, missing, text_of};
use super::import::{Import, OnBadRow};
use super::select::Selection;
use super::{Error, Location, dataset};
use crate::limits;

/// One row of a dataset, read through the import keys.
pub(super) struct RawRow<'a> {
    pub(super) fields: Map<String, Value>,
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
    // Rows of the files so far, rows made of them, and those that are good and bad.
    let (mut index, mut made, mut good, mut bad) = (0, 0, 0, 0);
    let budget = budget(import.row_mib, import.total_mib);
    let mut selection = Selection::new(&import, &budget);
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
            let parsed = record.fields.and_then(|fields| selection.of(fields, first)).map(|chosen| {
                made += chosen.len();
                chosen.iter().map(&parse).collect::<Vec<Result<T, String>>>()
            });
            for row in parsed.unwrap_or_else(|reason| vec![Err(reason)]) {
                match row {
                    Ok(row) => {
                        good += 1;
                        let is_taken = first_bad.is_none() || import.on_bad_row == OnBadRow::LeaveOut;
                        if is_taken && take(row).is_break() {
                            return Ok(ControlFlow::Break(()));
                        }
                    }
                    Err(reason) => {
                        bad += 1;
                        first_bad.get_or_insert_with(|| (file.clone(), record.location, reason));
                    }
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
        "`{name}`: {bad} of {} {} left out, the first in `{}` {location}: {reason}",
        count(total, "row"),
        are(bad),
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

    /// Returns the user's field `path`, if it is not null.
    pub(super) fn field(&self, path: &str) -> Result<Option<Cow<'_, Value>>, String> {
        field(&self.fields, path)
    }

    pub(super) fn missing(&self, name: &str) -> String {
        missing(&self.fields, name)
    }
}

/// Splits a worked solution at the last `mark` into working and gold answer; `field` is its field's name, for the
/// error.
pub(super) fn split_gold<'a>(solution: &'a str, mark: &str, field: &str) -> Result<(&'a str, &'a str), String> {
    let (working, gold) =
        solution.rsplit_once(mark).ok_or_else(|| format!("no `{mark}` in `{field}`, as `answer-after` says"))?;
    if gold.trim().is_empty() {
        return Err(format!("nothing is after the last `{mark}` in `{field}`, as `answer-after` says"));
    }
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
