//! Structure: whether an answer is in pieces that can be read, and its marks of form mean something.
//!
//! | piece | counts where |
//! |---|---|
//! | paragraph, item of a list | its first 120 words, and it is not one that was there before |
//! | heading, row of a table, line of code | its first 120 words |
//!
//! | mark | is good where |
//! |---|---|
//! | heading | at least 25 words follow before the next of its level |
//! | item of a list | it has a word, was not there before, and is one of two or more in its list |
//! | table | it has a rule, and rows of equally many cells, at least one of them with a word below the rule |

use std::collections::HashSet;

use super::{beginning, ratio, size, words};

/// Words of a paragraph or an item, in thirds.
const MAX_PIECE: usize = 120 * 3;
/// Words below a heading, in thirds.
const MIN_SECTION: usize = 25 * 3;

/// The level of a heading that is a bold line: below the others.
const LEVEL_OF_BOLD: usize = 7;

/// Returns how well an answer is structured, from 0 to 1: the share of its words in pieces that can be read, times the
/// share of its marks that are good (1 without marks).
///
/// It pays for paragraphs instead of walls, and takes for headings over a sentence, empty or single items, repeated
/// pieces, and tables that do not line up. Marks are not paid for: a short answer needs none, and lists where there is
/// nothing to list gain nothing. Length alone gains nothing either, as it is a share. An answer without words earns 0.
pub fn structure(answer: &str) -> f64 {
    let mut form = Form::default();
    let mut is_code = false;
    for line in beginning(answer).lines() {
        if line.trim_start().starts_with("```") {
            form.end_piece();
            is_code = !is_code;
        } else if is_code {
            form.add_free(line);
        } else {
            form.add(line);
        }
    }
    form.end_piece();
    form.close_sections(0);
    if form.all == 0 {
        return 0.0;
    }
    let marks = if form.marks == 0 { 1.0 } else { ratio(form.good_marks, form.marks) };
    ratio(form.readable, form.all) * marks
}

#[derive(Default)]
struct Form {
    /// Sizes in thirds of words.
    all: usize,
    readable: usize,
    marks: usize,
    good_marks: usize,
    /// The paragraph or item under way.
    piece: String,
    seen: HashSet<Vec<u64>>,
    /// Level and start of each heading whose section goes on.
    sections: Vec<(usize, usize)>,
    list: List,
    table: Table,
}

#[derive(Default)]
struct List {
    num_good: usize,
    /// The number of the last item, 0 for a bullet.
    number: u32,
}

#[derive(Default)]
struct Table {
    rows: Vec<usize>,
    has_rule: bool,
    has_words: bool,
}

impl Form {
    fn add(&mut self, line: &str) {
        let text = line.trim();
        if text.is_empty() {
            self.end_piece();
        } else if let Some((level, title)) = heading(text) {
            self.close_sections(level);
            self.add_free(title);
            self.sections.push((level, self.all));
        } else if text.starts_with('|') {
            self.add_row(text);
        } else if let Some((number, item)) = item(text) {
            self.add_item(number, item);
        } else {
            // What is indented, or lies between two numbers, belongs to an item.
            if self.piece.is_empty() && self.list.number == 0 && !line.starts_with("  ") {
                self.end_list();
            }
            self.end_table();
            self.piece.push(' ');
            self.piece.push_str(text);
        }
    }

    fn add_item(&mut self, number: u32, item: &str) {
        self.end_piece();
        // Bullets may be below a number.
        if number > 0 && number != self.list.number + 1 {
            self.end_list();
        }
        self.list.number = self.list.number.max(number);
        self.marks += 1;
        let ids = ids(item);
        self.list.num_good += usize::from(!ids.is_empty() && !self.seen.contains(&ids));
        self.piece.push_str(item);
    }

    /// Adds text that counts as it is.
    fn add_free(&mut self, text: &str) {
        let size = size(&words(text));
        self.all += size;
        self.readable += size.min(MAX_PIECE);
    }

    fn add_row(&mut self, line: &str) {
        self.table.rows.push(line.trim_matches('|').split('|').count());
        if line.chars().all(|c| "|-: ".contains(c)) {
            self.table.has_rule = true;
        } else if self.table.has_rule {
            self.table.has_words |= !words(line).is_empty();
        }
        self.add_free(line);
    }

    /// Ends the paragraph or item under way.
    fn end_piece(&mut self) {
        self.end_table();
        let piece = std::mem::take(&mut self.piece);
        let size = size(&words(&piece));
        self.all += size;
        if size > 0 && self.seen.insert(ids(&piece)) {
            self.readable += size.min(MAX_PIECE);
        }
    }

    fn end_list(&mut self) {
        self.end_piece();
        let list = std::mem::take(&mut self.list);
        self.good_marks += if list.num_good > 1 { list.num_good } else { 0 };
    }

    fn end_table(&mut self) {
        let table = std::mem::take(&mut self.table);
        let Some(width) = table.rows.first() else { return };
        self.marks += 1;
        let is_even = table.rows.iter().all(|row| row == width);
        self.good_marks += usize::from(table.has_rule && table.has_words && is_even);
    }

    /// Closes the sections of `level` and below it.
    fn close_sections(&mut self, level: usize) {
        self.end_list();
        while let Some((of, start)) = self.sections.pop_if(|(of, _)| *of >= level) {
            // A bold line at the end is an answer, not a heading.
            let is_last = level == 0 && of == LEVEL_OF_BOLD && start == self.all;
            self.marks += usize::from(!is_last);
            self.good_marks += usize::from(!is_last && self.all - start >= MIN_SECTION);
        }
    }
}

/// Returns what tells a piece from others: its words.
fn ids(text: &str) -> Vec<u64> {
    words(text).iter().map(|word| word.id).collect()
}

/// Returns the level and title of a heading: `## Title`, or a line that is bold as a whole.
fn heading(line: &str) -> Option<(usize, &str)> {
    let level = line.bytes().take_while(|byte| *byte == b'#').count();
    if (1..LEVEL_OF_BOLD).contains(&level) && line[level..].starts_with(' ') {
        return Some((level, &line[level..]));
    }
    let title = line.strip_prefix("**")?.trim_end_matches(':').strip_suffix("**")?;
    (!title.contains("**")).then_some((LEVEL_OF_BOLD, title))
}

/// Returns the number and text of an item of a list, 0 for a bullet.
fn item(line: &str) -> Option<(u32, &str)> {
    let is_apart = |rest: &str| rest.is_empty() || rest.starts_with(' ');
    if let Some(rest) = line.strip_prefix(['-', '*', '+', '•']) {
        return is_apart(rest).then_some((0, rest));
    }
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    let number = line[..digits].parse().ok().filter(|number| *number < 1_000)?;
    let rest = line[digits..].strip_prefix(['.', ')', '、'])?;
    (is_apart(rest) || rest.starts_with(|c: char| c >= '\u{2e80}')).then_some((number, rest))
}
