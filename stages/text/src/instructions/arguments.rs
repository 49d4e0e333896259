//! The arguments of an instruction, read from JSON, and the bounds on counts that they give.

use serde_json::{Map, Value};

/// Arguments by name. A null stands for an argument that is not there, as in tables with a column for each.
pub(super) struct Arguments(Map<String, Value>);

impl Arguments {
    pub(super) fn new(mut arguments: Map<String, Value>) -> Self {
        arguments.retain(|_, value| !value.is_null());
        Self(arguments)
    }

    /// Refuses an argument that the instruction does not have, for it would be ignored.
    pub(super) fn are_among(&self, known: &[&str]) -> Result<(), String> {
        match self.0.keys().find(|name| !known.contains(&name.as_str())) {
            Some(name) => Err(format!("no argument is called `{name}`")),
            None => Ok(()),
        }
    }

    fn value(&self, name: &str) -> Result<&Value, String> {
        self.0.get(name).ok_or_else(|| format!("the argument `{name}` is missing"))
    }

    /// Returns a text without the white space at its ends.
    pub(super) fn text(&self, name: &str) -> Result<&str, String> {
        match self.value(name)?.as_str().map(str::trim) {
            Some(text) if !text.is_empty() => Ok(text),
            _ => Err(format!("`{name}` is not a text")),
        }
    }

    pub(super) fn texts(&self, name: &str) -> Result<Vec<&str>, String> {
        let list = self.value(name)?.as_array().map(Vec::as_slice).unwrap_or_default();
        let texts: Option<Vec<_>> = list.iter().map(|text| text.as_str().filter(|text| !text.is_empty())).collect();
        texts.filter(|texts| !texts.is_empty()).ok_or_else(|| format!("`{name}` is not a list of texts"))
    }

    pub(super) fn letter(&self, name: &str) -> Result<char, String> {
        let mut letters = self.text(name)?.chars();
        match (letters.next(), letters.next()) {
            (Some(letter), None) => Ok(letter),
            _ => Err(format!("`{name}` is not one letter")),
        }
    }

    /// Returns a count. Tables that have nulls in a column of integers often hold `3` as `3.0`.
    pub(super) fn count(&self, name: &str) -> Result<usize, String> {
        let value = self.value(name)?;
        let whole = value.as_f64().filter(|float| float.fract() == 0.0 && (0.0..1e9).contains(float));
        let count = value.as_u64().or_else(|| whole.and_then(|float| format!("{float}").parse().ok()));
        count.and_then(|count| usize::try_from(count).ok()).ok_or_else(|| format!("`{name}` is not a count"))
    }

    /// Returns which of how many, counted from 1.
    pub(super) fn index(&self, nth: &str, num: &str) -> Result<(usize, usize), String> {
        let (index, count) = (self.count(nth)?, self.count(num)?);
        if (1..=count).contains(&index) {
            Ok((index, count))
        } else {
            Err(format!("`{nth}` is not between 1 and `{num}`"))
        }
    }

    /// Returns the bound that a relation and a count make.
    pub(super) fn relation(&self, relation: &str, count: &str) -> Result<Bound, String> {
        let (words, count) = (self.text(relation)?, self.count(count)?);
        match words {
            "less than" => Ok(Bound::LessThan(count)),
            "at least" => Ok(Bound::AtLeast(count)),
            "at most" => Ok(Bound::AtMost(count)),
            _ => Err(format!("`{relation}` is neither `less than`, `at least` nor `at most`")),
        }
    }
}

/// A bound on a count.
#[derive(Clone, Copy)]
pub(super) enum Bound {
    LessThan(usize),
    AtLeast(usize),
    AtMost(usize),
    /// A count and how far from it is near enough.
    Around(usize, usize),
}

impl Bound {
    pub(super) fn holds(self, count: usize) -> bool {
        match self {
            Self::LessThan(bound) => count < bound,
            Self::AtLeast(bound) => count >= bound,
            Self::AtMost(bound) => count <= bound,
            Self::Around(middle, tolerance) => count.abs_diff(middle) <= tolerance,
        }
    }
}
