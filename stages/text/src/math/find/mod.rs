//! Finds the final answer in a text.
//!
//! Tried in order: boxes, the line after `####`, the statement after "the answer is" and its like in several languages,
//! the whole text if it is one expression, the last expression of the last sentence that has one. A statement that
//! hedges ("4 or 5" is a list, "not 5", "5. Or 6") is refused.

mod boxes;
mod clean;
mod phrase;
mod prose;

use super::node::Node;
use super::parse::{Mode, Parser};
use super::read;
use super::token::{Commas, tokens};
pub(crate) use clean::clean;

/// The longest answer in words, in bytes.
const LONGEST_WORDS: usize = 200;

/// An answer in a text.
#[derive(Clone, Debug)]
pub(super) struct Found {
    /// What stands there.
    pub(super) text: String,
    pub(super) how: How,
    /// How it can be read; several readings where commas may separate thousands or numbers.
    pub(super) readings: Vec<Node>,
}

/// How an answer was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    Box,
    Marker,
    Statement,
    Whole,
    Last,
}

impl How {
    pub(super) fn description(self) -> &'static str {
        match self {
            Self::Box => "in a box",
            Self::Marker => "after ####",
            Self::Statement => "after \"the answer is\" or its like",
            Self::Whole => "the whole text",
            Self::Last => "the last expression of the text",
        }
    }
}

/// Why no answer is taken from a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// There is none.
    Nothing,
    /// It is denied, or several are offered one after another, or something behind it changes it.
    Refused(&'static str),
}

/// Takes a remark on how sure the answer is off the end of a text: `7 (80% sure)`.
fn without_confidence(text: &str) -> &str {
    let trimmed = text.trim_end().trim_end_matches('.');
    let Some(open) = trimmed.rfind('(').filter(|_| trimmed.ends_with(')')) else { return text };
    let remark = trimmed[open..].to_lowercase();
    let is_confidence = ["sure", "confiden", "certain", "把握", "置信"].iter().any(|word| remark.contains(word));
    if is_confidence && !trimmed[..open].trim().is_empty() { &trimmed[..open] } else { text }
}

/// Finds the answer of a cleaned text.
pub(super) fn find(text: &str) -> Result<Found, Missing> {
    let text = without_confidence(text);
    if let Some(marked) = marked(text) {
        return marked;
    }
    if let Some(found) = whole(text) {
        return Ok(found);
    }
    let words = Found { text: text.trim().to_owned(), how: How::Whole, readings: Vec::new() };
    prose::last(text).or_else(|missing| match missing {
        // A few words may be an answer in words.
        Missing::Nothing if (1..=LONGEST_WORDS).contains(&words.text.len()) => Ok(words),
        missing => Err(missing),
    })
}

/// Finds an answer that the text marks as such.
pub(super) fn marked(text: &str) -> Option<Result<Found, Missing>> {
    match boxes::find(text) {
        // A final answer that is stated after the box takes its place.
        Some((end, boxed)) => match phrase::find_final(&text[end..]) {
            Some(Ok(found)) => Some(Ok(found)),
            _ => Some(boxed),
        },
        None => marker(text).or_else(|| phrase::find(text)),
    }
}

/// Takes the line after the last `####`.
fn marker(text: &str) -> Option<Result<Found, Missing>> {
    let (_, after) = text.rsplit_once("####")?;
    let line = after.trim().lines().next().unwrap_or_default().trim();
    if line.is_empty() {
        return Some(Err(Missing::Nothing));
    }
    let readings = read::readings(line);
    if readings.is_empty() {
        return Some(prose::first(line, How::Marker).or_else(|missing| match missing {
            Missing::Nothing => Ok(Found { text: line.to_owned(), how: How::Marker, readings }),
            refused @ Missing::Refused(_) => Err(refused),
        }));
    }
    Some(Ok(Found { text: line.to_owned(), how: How::Marker, readings }))
}

/// Takes a text that is one expression.
fn whole(text: &str) -> Option<Found> {
    let text = text.trim();
    let readings = read::readings(text);
    (!readings.is_empty()).then(|| Found { text: text.to_owned(), how: How::Whole, readings })
}

/// Parses the beginning of a text in prose, and returns the node and the parser behind it.
pub(super) fn begin(text: &str) -> Option<Parser> {
    tokens(text, Commas::Thousands).map(|tokens| Parser::new(tokens, Mode::Prose))
}
