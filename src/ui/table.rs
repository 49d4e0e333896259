//! Tables in plain text: columns padded to their widest cell, no lines. On a terminal they are fitted to its width.
//!
//! | too wide is | and becomes |
//! |---|---|
//! | a text in the last column | several lines, without a broken word |
//! | the table | several tables below each other, each with the first column |
//! | a single cell | cut, with `…` at the cut |

use std::ops::Range;

use super::{Style, styled};
use unicode_width::UnicodeWidthStr;

/// Spaces between two columns.
const GAP: usize = 2;
/// The least width of a text that is broken into lines.
const NARROWEST: usize = 24;

/// A table that grows by rows.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new<'a>(header: impl IntoIterator<Item = &'a str>) -> Self {
        Self { header: header.into_iter().map(str::to_owned).collect(), rows: Vec::new() }
    }

    pub(crate) fn push(&mut self, row: Vec<String>) {
        self.rows.push(row);
    }

    /// Returns the table's lines, of `room` columns at most if there is a limit.
    pub(crate) fn render(&self, room: Option<usize>) -> String {
        let mut widths: Vec<usize> = (0..self.header.len()).map(|column| self.width(column)).collect();
        let Some(room) = room else { return self.render_columns(0..widths.len(), &widths) };
        let last = widths.len() - 1;
        let before: usize = widths[..last].iter().map(|width| width + GAP).sum();
        if before + widths[last] > room && before + NARROWEST <= room && self.has_text(last) {
            widths[last] = room - before;
        }
        for width in &mut widths {
            *width = (*width).min(room);
        }
        let tables = folded(&widths, room).into_iter().map(|columns| self.render_columns(columns, &widths));
        tables.collect::<Vec<_>>().join("\n")
    }

    fn width(&self, column: usize) -> usize {
        let all = std::iter::once(&self.header).chain(&self.rows);
        all.filter_map(|row| row.get(column)).map(|cell| cell.width()).max().unwrap_or(0)
    }

    fn has_text(&self, column: usize) -> bool {
        self.rows.iter().filter_map(|row| row.get(column)).any(|cell| cell.contains(' '))
    }

    /// Returns the lines of the first column and those of `columns`.
    fn render_columns(&self, columns: Range<usize>, widths: &[usize]) -> String {
        let repeated = usize::from(columns.start > 0);
        let shown: Vec<usize> = (0..repeated).chain(columns).collect();
        let mut text = String::new();
        for (at, row) in std::iter::once(&self.header).chain(&self.rows).enumerate() {
            for line in lines(row, &shown, widths) {
                text.push_str(&if at == 0 { styled(&line, Style::Dim) } else { line });
                text.push('\n');
            }
        }
        text
    }
}

/// Returns the columns of each table, when no line may be wider than `room`. All but the first table repeat column 0.
fn folded(widths: &[usize], room: usize) -> Vec<Range<usize>> {
    let (mut tables, mut begin, mut used) = (Vec::new(), 0, 0);
    for (column, width) in widths.iter().enumerate() {
        let is_too_wide = used + GAP + width > room;
        // A table has at least one column beside the repeated one.
        if is_too_wide && column > begin.max(1) {
            tables.push(begin..column);
            (begin, used) = (column, widths[0]);
        }
        used += width + if column == 0 { 0 } else { GAP };
    }
    tables.push(begin..widths.len());
    tables
}

/// Returns the lines of a row: one, or more if its last cell is broken into lines.
fn lines(row: &[String], shown: &[usize], widths: &[usize]) -> Vec<String> {
    let (mut line, mut rest) = (String::new(), Vec::new());
    for (index, column) in shown.iter().enumerate() {
        let (cell, width) = (row.get(*column).map_or("", String::as_str), widths[*column]);
        let is_last = index + 1 == shown.len();
        let cell = if is_last && cell.width() > width && width >= NARROWEST {
            let indent = line.width();
            let mut broken = textwrap::wrap(cell, width).into_iter();
            let first = broken.next().unwrap_or_default().into_owned();
            rest = broken.map(|more| format!("{:indent$}{more}", "")).collect();
            first
        } else {
            cut(cell, width)
        };
        line.push_str(&cell);
        line.extend(std::iter::repeat_n(' ', (width + GAP).saturating_sub(cell.width())));
    }
    let first = line.trim_end().to_owned();
    std::iter::once(first).chain(rest).collect()
}

/// Returns a text that is cut in its middle if it is wider than `width`.
pub(crate) fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let half = |chars: &mut dyn Iterator<Item = char>, room: usize| {
        let mut used = 0;
        let fits = |c: &char| {
            used += unicode_width::UnicodeWidthChar::width(*c).unwrap_or(0);
            used <= room
        };
        chars.take_while(fits).collect::<String>()
    };
    let room = width.saturating_sub(1);
    let begin = half(&mut text.chars(), room - room / 2);
    let end: String = half(&mut text.chars().rev(), room / 2).chars().rev().collect();
    format!("{begin}…{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(header: &[&str], rows: &[&[&str]]) -> Table {
        let mut table = Table::new(header.iter().copied());
        for row in rows {
            table.push(row.iter().map(|cell| (*cell).to_owned()).collect());
        }
        table
    }

    #[test]
    fn columns_line_up() {
        let table = table(&["stage", "n"], &[&["zero", "1"], &["größer", "22"], &["它是", "3"]]);
        assert_eq!(table.render(None), "stage   n\nzero    1\ngrößer  22\n它是    3\n");
        assert_eq!(table.render(Some(10)), table.render(None));
    }

    #[test]
    fn a_text_is_broken_between_words() {
        let table = table(&["key", ""], &[&["lr", "Peak learning rate, after the warm-up."], &["n", "Rows."]]);
        let expected = "key\nlr   Peak learning rate, after\n     the warm-up.\nn    Rows.\n";
        assert_eq!(table.render(Some(31)), expected);
    }

    #[test]
    fn a_wide_table_becomes_two() {
        let table = table(&["stage", "accuracy", "format", "seconds"], &[&["zero", "0.5", "1.0", "2"]]);
        let expected = "stage  accuracy\nzero   0.5\n\nstage  format  seconds\nzero   1.0     2\n";
        assert_eq!(table.render(Some(22)), expected);
    }

    #[test]
    fn what_finds_no_room_at_all_is_cut() {
        assert_eq!(cut("abcdefghij", 7), "abc…hij");
        assert_eq!((cut("abc", 3).as_str(), cut("它是什么", 5).as_str()), ("abc", "它…么"));
        let table = table(&["file"], &[&["model-00001-of-00002.safetensors"]]);
        assert_eq!(table.render(Some(11)), "file\nmodel…nsors\n");
    }
}
