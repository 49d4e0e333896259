//! Compares what a person has edited with the samples, and makes the rows of an input.

use std::collections::BTreeMap;

use engine::diagnostic::{Diagnostic, SourceId, Span};
use serde::Serialize;
use serde_json::{Value, json};

use super::Verdict;
use super::parse::{FileRow, RowsFile, Section, lines};
use super::samples::{Part, Row};

/// The most characters of the samples that a message repeats.
const QUOTED: usize = 60;

/// How many rows got which verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Counts {
    /// Taken unchanged.
    pub(crate) accepted: usize,
    /// Taken as the person has edited them.
    pub(crate) edited: usize,
    pub(crate) dropped: usize,
    pub(crate) todo: usize,
}

/// What came back from a person.
#[derive(Debug, Default)]
pub(crate) struct Refined {
    /// The rows that were taken, as JSON lines in the order of the samples.
    pub(crate) lines: String,
    pub(crate) counts: Counts,
    /// The rows still to do whose completion was edited.
    pub(crate) edited_todo: Vec<usize>,
    /// The number of rows of which an editor has changed the ends of lines, and nothing else.
    pub(crate) restored: usize,
}

/// Compares a file with the rows that it was made of.
pub(crate) fn compare(
    file: &RowsFile<'_>,
    source: SourceId,
    samples: &BTreeMap<usize, Row>,
    mistakes: &mut Vec<Diagnostic>,
) -> Refined {
    let mut refined = Refined::default();
    let mut taken = BTreeMap::new();
    for row in &file.rows {
        let Some(original) = samples.get(&row.number) else {
            let message = format!("the samples have no row {}", row.number);
            mistakes.push(Diagnostic::new(&row.place, message, "this row").with_help("undo the change of the number"));
            continue;
        };
        compare_parts(file, source, row, original, mistakes);
        let (Some(section), Some(verdict)) = (&row.completion, row.verdict) else { continue };
        let completion = written(file, section.body);
        let is_edited = !is_same(file, &completion, original.completion());
        match (verdict, is_edited) {
            (Verdict::Drop, _) => refined.counts.dropped += 1,
            (Verdict::Todo, _) => {
                refined.counts.todo += 1;
                refined.edited_todo.extend(is_edited.then_some(row.number));
            }
            (Verdict::Accept, true) => {
                refined.counts.edited += 1;
                taken.insert(row.number, line_of(file, original, Some(&completion)));
            }
            (Verdict::Accept, false) => {
                refined.counts.accepted += 1;
                refined.restored += usize::from(section.body != original.completion());
                taken.insert(row.number, line_of(file, original, None));
            }
        }
        let learnt = if is_edited { &completion } else { original.completion() };
        if verdict == Verdict::Accept && learnt.trim().is_empty() {
            let message = format!("row {} is accepted, and its completion is empty", row.number);
            let help = "write a completion, or `drop` the row";
            mistakes.push(Diagnostic::new(&section.place, message, "nothing follows").with_help(help));
        }
    }
    refined.lines = taken.into_values().collect();
    refined
}

/// Reports parts for reading that are not as they were.
fn compare_parts(
    file: &RowsFile<'_>,
    source: SourceId,
    row: &FileRow<'_>,
    original: &Row,
    mistakes: &mut Vec<Diagnostic>,
) {
    let expected = original.parts();
    let help = "undo the change: only verdicts and completions are edited";
    let titles = |parts: &[Part]| parts.iter().map(|part| part.title.trim().to_owned()).collect::<Vec<_>>();
    if !row.parts.iter().map(|part| part.words).eq(titles(&expected)) {
        let message = format!("the parts of row {} are not those that were written", row.number);
        let listed: Vec<String> = titles(&expected).iter().map(|title| format!("`{title}`")).collect();
        let help = format!("before its completion come {}: {help}", listed.join(", "));
        mistakes.push(Diagnostic::new(&row.place, message, "this row").with_help(help));
        return;
    }
    for (section, part) in row.parts.iter().zip(&expected) {
        if let Some((place, was)) = first_change(file, source, section, &part.text) {
            let message = format!("`{}` of row {} was changed", part.title, row.number);
            mistakes.push(Diagnostic::new(&place, message, was).with_help(help));
        }
    }
}

/// Returns where a part for reading begins to differ from what was written, and what was there.
fn first_change(file: &RowsFile<'_>, source: SourceId, section: &Section<'_>, part: &str) -> Option<(Span, String)> {
    if is_same(file, &written(file, section.body), part) {
        return None;
    }
    let mut before = part.split('\n');
    for (at, line) in lines(section.body) {
        let was = before.next();
        let line = line.strip_suffix('\n').unwrap_or(line);
        if was.is_none_or(|was| !is_same(file, line, was)) {
            let start = section.start + at;
            let label = was.map_or_else(|| "this line is new".to_owned(), |was| format!("was `{}`", shortened(was)));
            return Some((Span::new(source, start..start + line.len()), label));
        }
    }
    let was = before.next().unwrap_or_default();
    Some((section.place.clone(), format!("below it, `{}` is missing", shortened(was))))
}

fn shortened(text: &str) -> String {
    let short: String = text.chars().take(QUOTED).collect();
    if short.len() < text.len() { format!("{short}…") } else { short }
}

/// Returns a text without the carriage returns that an editor has added.
fn written(file: &RowsFile<'_>, body: &str) -> String {
    if !file.has_carriage_returns {
        return body.to_owned();
    }
    body.strip_suffix('\r').unwrap_or(body).replace("\r\n", "\n")
}

/// Returns whether two texts are the same except for what an editor changes by itself when it saves: carriage returns
/// at the ends of lines, and blanks there if it has removed those of the head.
fn is_same(file: &RowsFile<'_>, one: &str, other: &str) -> bool {
    let bare: fn(&str) -> &str = if file.keeps_blanks { |line| line.trim_end_matches('\r') } else { str::trim_end };
    one.split('\n').map(bare).eq(other.split('\n').map(bare))
}

/// Returns a row of the input; an edited one has no grade, because another text was graded.
fn line_of(file: &RowsFile<'_>, original: &Row, edited: Option<&str>) -> String {
    let mut fields = original.fields.clone();
    if let Some(edited) = edited {
        fields.insert("completion".to_owned(), edited.into());
        fields.shift_remove("grade");
    }
    let verdict = if edited.is_some() { "edited" } else { "accepted" };
    let from = json!({ "samples": file.samples, "row": original.number, "verdict": verdict });
    fields.insert("refined".to_owned(), from);
    format!("{}\n", Value::Object(fields))
}
