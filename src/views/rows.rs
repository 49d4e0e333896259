//! Which rows of a data set are shown: those that meet conditions, the first ones or some drawn by a seed.

use std::collections::BTreeSet;
use std::io::{Read, Result};
use std::str::FromStr;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::pieces::Pieces;

/// A condition on a row, as in `reward<0.2` or `grade.correct=false`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Condition {
    path: Vec<String>,
    operator: &'static str,
    value: Value,
}

/// In the order in which they are looked for.
const OPERATORS: [&str; 6] = ["<=", ">=", "!=", "=", "<", ">"];

impl FromStr for Condition {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let found = OPERATORS.iter().filter_map(|operator| Some((text.find(operator)?, *operator)));
        // Of two at the same place, `<=` and `<`, the longer one comes first.
        let (at, operator) = found
            .min_by_key(|(at, _)| *at)
            .ok_or("expected a field, one of = != < <= > >=, and a value: `reward<0.2`")?;
        let (path, value) = (text[..at].trim(), text[at + operator.len()..].trim());
        if path.is_empty() {
            return Err("no field is named before the sign".to_owned());
        }
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
        Ok(Self { path: path.split('.').map(str::to_owned).collect(), operator, value })
    }
}

impl Condition {
    /// Makes the condition that a field is this value.
    pub(crate) fn is(field: &str, value: Value) -> Self {
        Self { path: vec![field.to_owned()], operator: "=", value }
    }

    /// Returns the field's value in a row.
    fn value<'a>(&self, row: &'a Value) -> Option<&'a Value> {
        self.path.iter().try_fold(row, |value, step| match value {
            Value::Array(items) => items.get(step.parse::<usize>().ok()?),
            value => value.get(step),
        })
    }

    fn holds(&self, row: &Value) -> bool {
        let Some(found) = self.value(row) else { return self.operator == "!=" };
        match (found.as_f64(), self.value.as_f64()) {
            (Some(found), Some(value)) => match self.operator {
                "<" => found < value,
                "<=" => found <= value,
                ">" => found > value,
                ">=" => found >= value,
                "!=" => found.total_cmp(&value).is_ne(),
                _ => found.total_cmp(&value).is_eq(),
            },
            _ => match self.operator {
                "=" => *found == self.value,
                "!=" => *found != self.value,
                _ => false,
            },
        }
    }
}

/// Which rows are wanted.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// What each of them meets.
    pub(crate) conditions: Vec<Condition>,
    /// Most rows.
    pub(crate) most: usize,
    /// Draws them by this seed in place of taking the first.
    pub(crate) seed: Option<u64>,
}

/// Rows that were found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Found {
    /// All rows.
    pub(crate) rows: usize,
    /// Those that meet the conditions.
    pub(crate) fitting: usize,
    /// The numbers of those that are wanted, from 0.
    pub(crate) wanted: BTreeSet<usize>,
    /// Fields of conditions that no row has.
    pub(crate) absent: Vec<String>,
    /// Fields that rows have, if one is absent.
    pub(crate) fields: BTreeSet<String>,
}

/// The most fields that are collected.
const FIELDS: usize = 100;

/// Finds the rows that are wanted among JSON lines. Without conditions no line is parsed.
pub(crate) fn find(file: impl Read, wanted: &Wanted) -> Result<Found> {
    let mut found = Found::default();
    // The rows with the least numbers that are drawn for them.
    let mut drawn = BTreeSet::new();
    let mut absent: Vec<&Condition> = wanted.conditions.iter().collect();
    each_line(file, !wanted.conditions.is_empty(), |index, line| {
        found.rows += 1;
        let row = line.map(|line| serde_json::from_slice(line).unwrap_or(Value::Null));
        if let Some(row) = row.as_ref().filter(|_| !absent.is_empty()) {
            absent.retain(|condition| condition.value(row).is_none());
            add_fields(row, "", &mut found.fields);
        }
        if !row.is_none_or(|row| wanted.conditions.iter().all(|condition| condition.holds(&row))) {
            return;
        }
        found.fitting += 1;
        let number = wanted.seed.map_or([0; 32], |seed| {
            Sha256::new().chain_update(seed.to_le_bytes()).chain_update((index as u64).to_le_bytes()).finalize().into()
        });
        drawn.insert((number, index));
        if drawn.len() > wanted.most {
            drawn.pop_last();
        }
    })?;
    found.wanted = drawn.into_iter().map(|(_, index)| index).collect();
    found.absent = absent.iter().filter(|_| found.rows > 0).map(|condition| condition.path.join(".")).collect();
    Ok(found)
}

/// Adds the fields of a row, those of tables in it as `grade.correct`.
fn add_fields(row: &Value, above: &str, fields: &mut BTreeSet<String>) {
    for (name, value) in row.as_object().into_iter().flatten() {
        if value.is_object() {
            add_fields(value, &format!("{above}{name}."), fields);
        } else if fields.len() < FIELDS {
            fields.insert(format!("{above}{name}"));
        }
    }
}

/// Calls `take` with the number of each line, and with the line if it `is_read`.
pub(super) fn each_line(file: impl Read, is_read: bool, mut take: impl FnMut(usize, Option<&[u8]>)) -> Result<()> {
    let mut pieces = Pieces::of(file);
    let (mut index, mut line) = (0, Vec::new());
    while let Some(piece) = pieces.next()? {
        if is_read {
            line.extend_from_slice(piece.bytes);
        }
        if piece.is_last {
            take(index, is_read.then_some(line.as_slice()));
            index += 1;
            line.clear();
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: &str =
        "{\"reward\": 0.1, \"part\": {\"ok\": true}}\n{\"reward\": 0.5, \"part\": {\"ok\": false}}\n{\"reward\": 1}\n";

    fn found(conditions: &[&str], most: usize, seed: Option<u64>) -> (usize, Vec<usize>) {
        let conditions = conditions.iter().map(|text| text.parse().unwrap()).collect();
        let found = find(ROWS.as_bytes(), &Wanted { conditions, most, seed }).unwrap();
        assert_eq!(found.rows, 3);
        (found.fitting, found.wanted.into_iter().collect())
    }

    #[test]
    fn a_field_that_no_row_has_is_told_with_those_that_there_are() {
        let absent = |text: &str| {
            let wanted = Wanted { conditions: vec![text.parse().unwrap()], most: 1, seed: None };
            let found = find(ROWS.as_bytes(), &wanted).unwrap();
            (found.absent, found.fields.into_iter().collect::<Vec<_>>().join(" "))
        };
        let all = "part.ok reward".to_owned();
        assert_eq!(absent("rewrad<1"), (vec!["rewrad".to_owned()], all.clone()));
        assert_eq!(absent("part.okay!=true"), (vec!["part.okay".to_owned()], all));
        assert_eq!(absent("part.ok=true").0, Vec::<String>::new());
        let none = Wanted { conditions: vec!["a=1".parse().unwrap()], most: 1, seed: None };
        assert_eq!(find(b"".as_slice(), &none).unwrap().absent, Vec::<String>::new(), "there are no rows");
    }

    #[test]
    fn rows_meet_conditions() {
        assert_eq!(found(&[], 2, None), (3, vec![0, 1]));
        assert_eq!(found(&["reward<0.5"], 9, None), (1, vec![0]));
        assert_eq!(found(&["reward <= 0.5"], 9, None), (2, vec![0, 1]));
        assert_eq!(found(&["reward>=0.5", "reward!=0.5"], 9, None), (1, vec![2]));
        assert_eq!(found(&["reward=1.0"], 9, None), (1, vec![2]));
        assert_eq!(found(&["part.ok=false"], 9, None), (1, vec![1]));
        assert_eq!(found(&["part.ok!=false"], 9, None), (2, vec![0, 2]), "a field that is not there is another value");
        assert_eq!(found(&["part.ok>0"], 9, None), (0, vec![]));
        for (text, expected) in [("reward", "expected a field"), ("<3", "no field")] {
            assert!(text.parse::<Condition>().unwrap_err().contains(expected), "{text}");
        }
    }

    #[test]
    fn a_seed_draws_the_same_rows_again() {
        let draws: BTreeSet<Vec<usize>> = (0..20).map(|seed| found(&[], 1, Some(seed)).1).collect();
        assert_eq!(draws.len(), 3, "each row is drawn by some seed");
        assert_eq!(found(&[], 2, Some(7)), found(&[], 2, Some(7)));
    }
}
