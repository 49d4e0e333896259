//! Parses the file that a person has edited, without the store. Every mistake gets its line.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use engine::diagnostic::{Diagnostic, SourceId, Span, suggest};
use store::Digest;

use super::Verdict;
use crate::ui;

/// The most rows that a message names.
const NAMED: usize = 8;

/// The file that a person has edited.
#[derive(Debug)]
pub(crate) struct RowsFile<'a> {
    pub(crate) samples: Digest,
    pub(crate) rows: Vec<FileRow<'a>>,
    /// Whether blanks at line ends are still there; some editors remove them.
    pub(super) keeps_blanks: bool,
    /// Whether an editor has changed all line breaks to those of Windows.
    pub(super) has_carriage_returns: bool,
}

/// A row of the file.
#[derive(Debug)]
pub(crate) struct FileRow<'a> {
    pub(crate) number: usize,
    /// `None` for a mistake, which has been reported.
    pub(super) verdict: Option<Verdict>,
    /// Its first line.
    pub(super) place: Span,
    pub(super) parts: Vec<Section<'a>>,
    pub(super) completion: Option<Section<'a>>,
}

/// A delimiter line and the text up to the next one.
#[derive(Clone, Debug)]
pub(super) struct Section<'a> {
    /// The line.
    pub(super) place: Span,
    /// What follows the delimiter.
    pub(super) words: &'a str,
    pub(super) body: &'a str,
    /// Where the body begins in the file.
    pub(super) start: usize,
}

/// Parses a file. Returns `None` if it does not say which samples it has; that is a mistake, too.
pub(crate) fn parse<'a>(text: &'a str, source: SourceId, mistakes: &mut Vec<Diagnostic>) -> Option<RowsFile<'a>> {
    let Some(head) = lines(text).find_map(Head::of) else {
        let message = "there is no line `@@@ samples b3:…, N rows`";
        let help = "name a file that `r1flow refine … --to` wrote, and leave its first lines as they are";
        let first = text.find('\n').unwrap_or(text.len());
        mistakes
            .push(Diagnostic::new(&Span::new(source, 0..first), message, "expected a file of rows").with_help(help));
        return None;
    };
    let mut reader = Reader {
        source,
        delimiter: head.delimiter,
        count: head.count,
        open: None,
        rows: Vec::new(),
        positions: BTreeSet::new(),
        lines: BTreeMap::new(),
        is_lost: false,
        end: None,
        mistakes,
    };
    let all = sections(text, source, head.delimiter);
    // The first is the head itself.
    let last = all.last().map(|section| section.place.clone());
    all.into_iter().skip(1).for_each(|section| reader.section(section));
    if let Some(last) = last {
        reader.finish(&last);
    }
    Some(RowsFile {
        samples: head.samples,
        rows: reader.rows,
        keeps_blanks: head.keeps_blanks,
        has_carriage_returns: head.has_carriage_returns,
    })
}

/// The line that names the samples.
struct Head<'a> {
    delimiter: &'a str,
    samples: Digest,
    count: usize,
    keeps_blanks: bool,
    has_carriage_returns: bool,
}

impl<'a> Head<'a> {
    fn of((_, line): (usize, &'a str)) -> Option<Self> {
        let (delimiter, words) = line.split_once(' ').filter(|(word, _)| word.starts_with("@@@"))?;
        let (samples, count) = words.trim_end().strip_prefix("samples ")?.split_once(", ")?;
        let line = line.trim_end_matches('\n');
        Some(Self {
            delimiter,
            samples: samples.parse().ok()?,
            count: count.strip_suffix(" rows").or_else(|| count.strip_suffix(" row"))?.parse().ok()?,
            keeps_blanks: line.trim_end_matches('\r').ends_with("  "),
            has_carriage_returns: line.ends_with('\r'),
        })
    }
}

/// Returns lines with their line breaks, and where each begins.
pub(super) fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.split_inclusive('\n').scan(0, |at, line| {
        let start = *at;
        *at += line.len();
        Some((start, line))
    })
}

/// Returns the delimiter lines with their texts.
fn sections<'a>(text: &'a str, source: SourceId, delimiter: &str) -> Vec<Section<'a>> {
    let found: Vec<(usize, &str)> = lines(text).filter(|(_, line)| line.starts_with(delimiter)).collect();
    let ends = found.iter().skip(1).map(|(start, _)| *start).chain([text.len()]);
    let section = |((at, line), end): (&(usize, &'a str), usize)| {
        let start = at + line.len();
        let body = &text[start..end];
        Section {
            place: Span::new(source, *at..at + line.trim_end().len()),
            words: line[delimiter.len()..].trim(),
            // The line break before the next delimiter line belongs to that line.
            body: body.strip_suffix('\n').unwrap_or(body),
            start,
        }
    };
    found.iter().zip(ends).map(section).collect()
}

/// What a delimiter line says.
enum Line<'a> {
    Row(RowLine<'a>),
    EndOfRow(usize),
    EndOfRows(usize),
    Completion,
    Title,
}

/// The first line of a row.
struct RowLine<'a> {
    position: usize,
    count: usize,
    number: usize,
    verdict: &'a str,
}

impl<'a> Line<'a> {
    fn of(words: &'a str) -> Self {
        let number = |before: &str, after: &str| words.strip_prefix(before)?.strip_suffix(after)?.trim().parse().ok();
        if let Some(row) = RowLine::of(words) {
            return Self::Row(row);
        }
        match (number("end of row ", ""), number("end of ", " rows").or_else(|| number("end of ", " row"))) {
            (Some(number), _) => Self::EndOfRow(number),
            (_, Some(count)) => Self::EndOfRows(count),
            _ if words == "completion" => Self::Completion,
            _ => Self::Title,
        }
    }
}

impl<'a> RowLine<'a> {
    fn of(words: &'a str) -> Option<Self> {
        let (position, rest) = words.split_once(" of ")?;
        let (count, rest) = rest.split_once(", row ")?;
        let (number, verdict) = rest.split_once(':')?;
        let (position, count) = (position.trim().parse().ok()?, count.trim().parse().ok()?);
        Some(Self { position, count, number: number.trim().parse().ok()?, verdict: verdict.trim() })
    }
}

/// Puts sections together to rows.
struct Reader<'a, 'm> {
    source: SourceId,
    delimiter: &'a str,
    /// The number of rows that were written.
    count: usize,
    open: Option<FileRow<'a>>,
    rows: Vec<FileRow<'a>>,
    /// Which of the rows that were written are there.
    positions: BTreeSet<usize>,
    /// Which lines of the samples are there.
    lines: BTreeMap<usize, Span>,
    /// Whether lines belong to no row, which has been reported.
    is_lost: bool,
    end: Option<Span>,
    mistakes: &'m mut Vec<Diagnostic>,
}

impl<'a> Reader<'a, '_> {
    fn mistake(&mut self, place: &Span, message: impl Into<String>, label: &str, help: impl Into<String>) {
        self.mistakes.push(Diagnostic::new(place, message, label).with_help(help));
    }

    fn section(&mut self, section: Section<'a>) {
        let delimiter = self.delimiter;
        if self.end.is_some() {
            let help = format!(
                "`{delimiter} end of {}` is the last line: move the rows before it",
                ui::count(self.count, "row")
            );
            return self.mistake(&section.place, "there is more after the end of the rows", "after the end", help);
        }
        match (Line::of(section.words), self.open.as_mut()) {
            (Line::Row(line), _) => self.begin(line, &section),
            (Line::EndOfRows(count), _) => {
                self.close();
                self.end = Some(section.place.clone());
                if count != self.count {
                    let message = format!("the file was written with {}", ui::count(self.count, "row"));
                    let help = "undo the change of this line";
                    self.mistake(&section.place, message, "another number", help);
                }
                self.no_text(&section);
            }
            (Line::EndOfRow(number), Some(row)) => {
                if number != row.number {
                    let message = format!("row {} ends as row {number}", row.number);
                    self.mistake(
                        &section.place,
                        message,
                        "another number",
                        "undo the change of one of the two numbers",
                    );
                }
                self.end_row();
                self.no_text(&section);
            }
            (Line::Completion, Some(row)) if row.completion.is_none() => row.completion = Some(section),
            (Line::Title, Some(row)) if row.completion.is_none() => row.parts.push(section),
            (_, Some(row)) => {
                let message = format!("this line does not belong to the completion of row {}", row.number);
                let help = format!(
                    "remove it, or put a blank before it if it is text: a line of a completion must not begin with `{delimiter}`"
                );
                self.mistake(&section.place, message, "a delimiter line", help);
            }
            (_, None) => self.lost(&section.place),
        }
    }

    fn begin(&mut self, line: RowLine<'a>, section: &Section<'a>) {
        self.close();
        self.is_lost = false;
        let RowLine { position, count, number, verdict } = line;
        let place = &section.place;
        if count != self.count || !(1..=count).contains(&position) {
            let message = format!(
                "there is no row {position} of {count}: the file was written with {}",
                ui::count(self.count, "row")
            );
            self.mistake(place, message, "other numbers", "undo the change of the numbers");
        } else if !self.positions.insert(position) {
            let message = format!("row {position} of {count} is there twice");
            self.mistake(place, message, "the second time", "remove one of the two");
        } else if self.lines.insert(number, place.clone()).is_some() {
            let message = format!("two rows claim to be row {number} of the samples");
            self.mistake(place, message, "the second", "undo the change of the number");
        }
        let known = Verdict::of(verdict);
        if known.is_none() {
            let message = format!("row {number} has no verdict: `{}` is none", verdict.escape_debug());
            let help = suggest(&verdict.to_lowercase(), Verdict::WORDS).unwrap_or_default();
            let place = self.verdict_place(section, verdict);
            self.mistake(&place, message, "expected `todo`, `accept` or `drop`", help);
        }
        let place = place.clone();
        self.open = Some(FileRow { number, verdict: known, place, parts: Vec::new(), completion: None });
        self.no_text(section);
    }

    fn verdict_place(&self, section: &Section<'a>, verdict: &str) -> Span {
        let Range { start, end } = section.place.range();
        Span::new(self.source, if verdict.is_empty() { start..end } else { end - verdict.len()..end })
    }

    /// Ends a row whose last line is there.
    fn end_row(&mut self) {
        let Some(row) = self.open.take() else { return };
        if row.completion.is_none() {
            let message = format!("row {} has no line `{} completion`", row.number, self.delimiter);
            self.mistake(&row.place, message, "this row", "put the line back before the completion");
        }
        self.rows.push(row);
    }

    /// Ends a row whose last line is missing.
    fn close(&mut self) {
        let Some(row) = &self.open else { return };
        let (place, line) = (row.place.clone(), format!("`{} end of row {}`", self.delimiter, row.number));
        let help = format!("put {line} back after the completion");
        self.mistake(&place, format!("the line {line} is missing"), "this row", help);
        self.end_row();
    }

    /// Reports a text where none may be.
    fn no_text(&mut self, section: &Section<'a>) {
        let Some((at, line)) = lines(section.body).find(|(_, line)| !line.trim().is_empty()) else { return };
        let start = section.start + at;
        let place = Span::new(self.source, start..start + line.trim_end().len());
        let help = format!("a completion is what lies between `{0} completion` and `{0} end of row …`", self.delimiter);
        self.mistake(&place, "this text belongs to no completion", "would be lost", help);
    }

    fn lost(&mut self, place: &Span) {
        if !self.is_lost {
            self.is_lost = true;
            let help =
                format!("a row begins with `{} N of {}, row R: todo`: put that line back", self.delimiter, self.count);
            self.mistake(place, "this line belongs to no row", "outside of the rows", help);
        }
    }

    fn finish(&mut self, last: &Span) {
        self.close();
        let help = "put it back; a row that is not wanted gets the verdict `drop`";
        let Some(end) = self.end.clone() else {
            let there = self.rows.len();
            let message = format!(
                "the file is cut: it has {there} of {}, and its last line is missing",
                ui::count(self.count, "row")
            );
            let end = ui::count(self.count, "row");
            let help = format!("copy the rest, to the line `{} end of {end}`", self.delimiter);
            return self.mistake(last, message, "the last part that is there", help);
        };
        let missing: Vec<usize> = (1..=self.count).filter(|position| !self.positions.contains(position)).collect();
        if !missing.is_empty() {
            let named: Vec<String> =
                missing.iter().take(NAMED).map(|position| format!("`{position} of {}`", self.count)).collect();
            let more =
                if missing.len() > NAMED { format!(" and {} more", missing.len() - NAMED) } else { String::new() };
            let message = format!("rows are missing: {}{more}", named.join(", "));
            self.mistake(&end, message, "all rows come before this line", help);
        }
    }
}
