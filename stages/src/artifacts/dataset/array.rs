//! A JSON array of objects, with any white space; it is held in memory.

use std::borrow::Cow;
use std::io::Read;

use super::budget::Budget;
use super::digits::quoted;
use super::format::BYTE_ORDER_MARK;
use super::{Broken, Location, Record, Records, not_json, object, whole};

pub(super) fn read(text: impl Read, budget: &Budget) -> Result<Records, Broken> {
    let bytes = whole(text, budget)?;
    let bytes = match quoted(&bytes) {
        Cow::Borrowed(_) => bytes,
        Cow::Owned(quoted) => quoted,
    };
    let budget = budget.clone();
    let start = if bytes.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
    Ok(Box::new(Elements { bytes, budget, at: start, row: 0, is_over: false }))
}

struct Elements {
    bytes: Vec<u8>,
    budget: Budget,
    /// Index of the next byte: a bracket, a comma, or the end.
    at: usize,
    /// Elements so far.
    row: u64,
    is_over: bool,
}

impl Iterator for Elements {
    type Item = Result<Record, Broken>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let element = self.element();
        self.is_over = !matches!(element, Ok(Some(_)));
        element.map_err(|reason| Broken::from(Location::Row(self.row + 1), reason)).transpose()
    }
}

impl Elements {
    fn element(&mut self) -> Result<Option<Record>, String> {
        let is_first = self.row == 0;
        match self.mark() {
            Some(b'[') if is_first => {}
            Some(b',') if !is_first => {}
            Some(b']') if !is_first => return self.end(),
            None => return Err("the array ends too early".to_owned()),
            Some(other) => return Err(format!("`{}` where a comma or `]` is due", char::from(other))),
        }
        if is_first && self.peek() == Some(b']') {
            self.mark();
            return self.end();
        }
        // One byte more than a row may have, so that parsing a longer row fails at the end of the slice.
        let rest = &self.bytes[self.at..];
        let most = usize::try_from(self.budget.row).unwrap_or(usize::MAX);
        let shown = &rest[..rest.len().min(most.saturating_add(1))];
        let mut values = serde_json::Deserializer::from_slice(shown).into_iter();
        let value = values.next().ok_or("the array ends too early")?;
        let value = value.map_err(|error| {
            let is_cut = error.is_eof() && shown.len() < rest.len();
            if is_cut { self.budget.too_long() } else { not_json(error) }
        })?;
        let fields = object(value);
        self.at += values.byte_offset();
        self.row += 1;
        Ok(Some(Record { location: Location::Row(self.row), fields }))
    }

    /// Refuses anything after the array, which would otherwise be ignored.
    fn end(&mut self) -> Result<Option<Record>, String> {
        match self.peek() {
            None => Ok(None),
            Some(_) => Err("something follows the array".to_owned()),
        }
    }

    fn mark(&mut self) -> Option<u8> {
        let mark = self.peek();
        self.at += usize::from(mark.is_some());
        mark
    }

    fn peek(&mut self) -> Option<u8> {
        let rest = &self.bytes[self.at..];
        self.at += rest.len() - rest.trim_ascii_start().len();
        self.bytes.get(self.at).copied()
    }
}
