//! Which rows of a dataset are read: `expand`, `where`, `part` and `unique` of an input, in this order.

use std::borrow::Cow;
use std::collections::HashSet;

use engine::stage::Input;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};

use super::dataset::Budget;
use super::fields::{field, number_of};
use super::import::{Import, OnBadRow};
use super::lines::RawRow;

/// What a field must be for its row to be read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "a value, a list of values, or the two ends of a range")]
pub(super) enum Condition {
    /// This value.
    Is(Scalar),
    /// Within these two numbers, ends included.
    Within([Number; 2]),
    /// One of these values.
    OneOf(#[schemars(length(min = 1))] Vec<Scalar>),
}

/// A value of a field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum Scalar {
    Flag(bool),
    Number(Number),
    Text(String),
}

impl Condition {
    fn holds(&self, value: &Value) -> bool {
        match self {
            Self::Is(expected) => expected.is(value),
            Self::Within([low, high]) => {
                let ends = low.as_f64().zip(high.as_f64());
                number_of(value, "").ok().zip(ends).is_some_and(|(value, (low, high))| (low..=high).contains(&value))
            }
            Self::OneOf(values) => values.iter().any(|expected| expected.is(value)),
        }
    }
}

impl Scalar {
    fn is(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Flag(expected), Value::Bool(value)) => expected == value,
            (Self::Number(expected), Value::Number(value)) => expected.as_f64() == value.as_f64(),
            (Self::Text(expected), Value::String(value)) => expected == value,
            // A table of texts has texts in all its cells.
            (Self::Flag(expected), Value::String(value)) => value.eq_ignore_ascii_case(&expected.to_string()),
            (Self::Number(expected), Value::String(value)) => value.trim().parse().ok() == expected.as_f64(),
            _ => false,
        }
    }
}

/// Chooses rows by the keys of an input.
pub(super) struct Selection<'a> {
    import: &'a Import,
    budget: &'a Budget,
    seen: HashSet<blake3::Hash>,
    counts: Counts,
}

/// The rows that were chosen, and those that each key left out.
#[derive(Default)]
struct Counts {
    chosen: usize,
    unlike_where: usize,
    outside_part: usize,
    not_unique: usize,
}

impl<'a> Selection<'a> {
    pub(super) fn new(import: &'a Import, budget: &'a Budget) -> Self {
        Self { import, budget, seen: HashSet::new(), counts: Counts::default() }
    }

    /// Returns the rows that are read of one row of a file, with numbers from `first` on; an error for a field that a
    /// key names and the row lacks.
    pub(super) fn of(&mut self, row: Map<String, Value>, first: usize) -> Result<Vec<RawRow<'a>>, String> {
        let mut chosen = Vec::new();
        for fields in expanded(row, &self.import.expand)? {
            let row = RawRow { fields, import: self.import, index: first + chosen.len(), budget: self.budget };
            if !self.matches(&row.fields)? {
                self.counts.unlike_where += 1;
            } else if !self.is_in_part(&row)? {
                self.counts.outside_part += 1;
            } else if !self.is_new(&row.fields)? {
                self.counts.not_unique += 1;
            } else {
                self.counts.chosen += 1;
                chosen.push(row);
            }
        }
        Ok(chosen)
    }

    /// Writes to the log and to the stage's summary how many of `read` rows each key left out, `bad` ones besides.
    pub(super) fn tell<A>(&self, input: &Input<A>, read: usize, bad: usize) {
        let Counts { chosen, unlike_where, outside_part, not_unique } = self.counts;
        let keys = [
            ("expanded", chosen + unlike_where + outside_part + not_unique, !self.import.expand.is_empty()),
            ("left-out-by-where", unlike_where, !self.import.r#where.is_empty()),
            ("left-out-by-part", outside_part, self.import.part.is_some()),
            ("left-out-by-unique", not_unique, self.import.unique.is_some()),
            ("bad", bad, self.import.on_bad_row == OnBadRow::LeaveOut),
        ];
        let told: Vec<_> = keys.into_iter().filter(|(.., has_key)| *has_key).collect();
        if told.is_empty() && self.import.prefer.is_none() {
            return;
        }
        input.count("rows", read);
        for (what, count, _) in &told {
            input.count(what, *count);
        }
        let told = told.iter().map(|(what, count, _)| format!(", {what} {count}")).collect::<Vec<_>>().concat();
        tracing::info!("`{}`: rows {read}{told}", input.name());
    }

    fn matches(&self, row: &Map<String, Value>) -> Result<bool, String> {
        for (path, condition) in &self.import.r#where {
            if !field(row, path)?.is_some_and(|value| condition.holds(&value)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn is_in_part(&self, row: &RawRow<'_>) -> Result<bool, String> {
        let Some([from, to]) = self.import.part else { return Ok(true) };
        let place = place(&row.question()?);
        Ok(from <= place && place < to)
    }

    fn is_new(&mut self, row: &Map<String, Value>) -> Result<bool, String> {
        let Some(path) = &self.import.unique else { return Ok(true) };
        let value = field(row, path)?.unwrap_or(Cow::Owned(Value::Null));
        Ok(self.seen.insert(blake3::hash(value.to_string().as_bytes())))
    }
}

/// Returns the place of a question, at least 0 and below 1. It may never change: it decides what is held out.
fn place(question: &str) -> f64 {
    // A name of its own, so that no other choice by a hash of the prompt is bound to this one.
    let digest = blake3::hash(format!("part\n{}", question.trim()).as_bytes());
    let first = u64::from_le_bytes(digest.as_bytes()[..8].try_into().expect("a digest is longer"));
    // As many bits as a double has, so that no place is rounded up to 1.
    (first >> 11) as f64 / (1_u64 << 53) as f64
}

/// Makes a row of each item of the lists in these fields, which have equally many. A path is a field of its own in the
/// new rows.
fn expanded(row: Map<String, Value>, fields: &[String]) -> Result<Vec<Map<String, Value>>, String> {
    let mut lists = Vec::new();
    for name in fields {
        match field(&row, name)?.as_deref() {
            Some(Value::Array(items)) => lists.push((name, items.clone())),
            Some(_) => return Err(format!("`{name}` is no list, as `expand` needs")),
            None => return Err(format!("`{name}`, which `expand` names, is empty")),
        }
    }
    let Some((first, items)) = lists.first() else { return Ok(vec![row]) };
    if let Some((other, others)) = lists.iter().find(|(_, others)| others.len() != items.len()) {
        let (count, others) = (items.len(), others.len());
        return Err(format!("`{first}` has {count} items and `{other}` has {others}: `expand` needs equally many"));
    }
    let rows = (0..items.len()).map(|index| {
        let mut row = row.clone();
        for (name, items) in &lists {
            row.insert((*name).clone(), items[index].clone());
        }
        row
    });
    Ok(rows.collect())
}
