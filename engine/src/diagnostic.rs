//! Diagnostics: mistakes in a workflow, each with its place. They are collected, never thrown.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Index of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(u32);

/// The texts that diagnostics point into.
#[derive(Clone, Debug, Default)]
pub struct Sources(Vec<Source>);

/// A text and its name.
#[derive(Clone, Debug)]
pub struct Source {
    /// A file, or `--set` for an argument.
    pub name: PathBuf,
    /// Its text.
    pub text: String,
}

impl Sources {
    /// Adds a source.
    pub fn add(&mut self, name: &Path, text: String) -> SourceId {
        self.0.push(Source { name: name.to_owned(), text });
        SourceId(self.0.len() as u32 - 1)
    }

    /// Returns a source.
    pub fn get(&self, id: SourceId) -> &Source {
        &self.0[id.0 as usize]
    }
}

/// A range of bytes in a source. Every key and every value has one, so offsets are 32 bits: in files of 4 GiB or more
/// they are wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The source.
    pub source: SourceId,
    start: u32,
    end: u32,
}

impl Span {
    /// Makes a place.
    pub fn new(source: SourceId, span: Range<usize>) -> Self {
        Self { source, start: span.start as u32, end: span.end as u32 }
    }

    /// Returns the range of bytes.
    pub fn range(&self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// How bad something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Good to know.
    Note,
    /// Probably a mistake.
    Warning,
    /// The stage cannot run.
    Error,
}

/// A mistake, or something else to know about a place: lower case, names in backticks.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// Where.
    pub span: Span,
    /// What is wrong.
    pub message: String,
    /// What is at that place, in a few words.
    pub label: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl Diagnostic {
    /// Makes a mistake.
    pub fn new(span: &Span, message: impl Into<String>, label: impl Into<String>) -> Self {
        Self::of(Severity::Error, span, message, label)
    }

    /// Makes a diagnostic.
    pub fn of(severity: Severity, span: &Span, message: impl Into<String>, label: impl Into<String>) -> Self {
        Self { severity, span: span.clone(), message: message.into(), label: label.into(), help: None }
    }

    /// Adds advice.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds advice if there is any.
    #[must_use]
    pub fn with_optional_help(mut self, help: Option<String>) -> Self {
        self.help = help;
        self
    }
}

/// Sorts diagnostics by place, the worst first at each, and keeps one of those that say the same: a mistake in a family
/// is found once per variant.
pub fn tidy(diagnostics: &mut Vec<Diagnostic>) {
    let place = |one: &Diagnostic| (one.span.clone(), std::cmp::Reverse(one.severity));
    diagnostics.sort_by_cached_key(place);
    let mut said = BTreeSet::new();
    diagnostics.retain(|diagnostic| said.insert((diagnostic.span.clone(), without_variants(&diagnostic.message))));
}

/// Returns a message with `zero` in place of `zero/small`.
fn without_variants(message: &str) -> String {
    let parts = message.split('`').enumerate();
    parts.map(|(at, part)| if at % 2 == 1 { part.split('/').next().unwrap_or(part) } else { part }).collect()
}

/// Returns "did you mean `x`?" for the known name nearest to `name`, or the list of names if none is near.
pub fn suggest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let mut known: Vec<&str> = known.into_iter().collect();
    known.sort_unstable();
    known.dedup();
    let near = known.iter().map(|candidate| (strsim::damerau_levenshtein(name, candidate), *candidate)).min();
    match near {
        Some((distance, candidate)) if distance <= 1 + candidate.len() / 4 => {
            Some(format!("did you mean `{candidate}`?"))
        }
        Some(_) if known.len() <= 24 => Some(format!("known: {}", quoted(&known))),
        _ => None,
    }
}

/// Returns a number of things for people, as in `3 rows`.
pub fn count(number: usize, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

/// Returns the verb for a number of things: `is` or `are`.
pub fn are(number: usize) -> &'static str {
    if number == 1 { "is" } else { "are" }
}

/// Returns names in backticks, joined by commas.
pub fn quoted<T: AsRef<str>>(names: &[T]) -> String {
    names.iter().map(|name| format!("`{}`", name.as_ref())).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_or_all() {
        assert_eq!(suggest("group-sise", ["group-size", "steps"]).unwrap(), "did you mean `group-size`?");
        assert_eq!(suggest("xyz", ["group-size", "steps"]).unwrap(), "known: `group-size`, `steps`");
        assert_eq!(suggest("xyz", []), None);
    }
}
