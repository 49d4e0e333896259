//! Grades as text.

use engine::worker::grade::{GradeExplanation, GradedRow, GradedVerdict};

use crate::ui::{self, Style, Table, count, cut};
use crate::views::grades::{Confusion, Spread, Summary};

/// Columns where the result goes to no terminal.
const WIDTH: usize = 80;

/// Prints a row with its explanation.
pub(super) fn row(row: &GradedRow) {
    let label = match (row.label, row.correct) {
        (Some(label), Some(correct)) if label != correct => format!(", labelled {}", right(label)),
        _ => String::new(),
    };
    ui::line(&format!("row {}: {}{label}", row.index, verdict(row)));
    let Some(explanation) = &row.explanation else { return };
    let GradeExplanation { prompt, found, place, read, gold, .. } = explanation;
    if !prompt.is_empty() {
        part("prompt", prompt);
    }
    if let Some(written) = &row.gold {
        part("gold", &with_reading(written, gold));
    }
    match found {
        Some(text) => part("found", &format!("{}, {place}", with_reading(text, read))),
        None => part("found", place),
    }
}

/// Prints a part of a row in one line.
fn part(name: &str, text: &str) {
    ui::line(&cut(&format!("  {name:6}  {}", one_line(text)), width()));
}

/// Returns a text, and how it was read if that differs.
fn with_reading(text: &str, read: &[String]) -> String {
    let written = cut(&one_line(text), width() / 2);
    if read.is_empty() || read.iter().any(|read| read.strip_prefix("words: ").unwrap_or(read) == text.trim()) {
        return written;
    }
    format!("{written} (read as {})", read.join(" or "))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn width() -> usize {
    ui::room().unwrap_or(WIDTH)
}

fn verdict(row: &GradedRow) -> String {
    let (text, style) = match row.verdict {
        Some(GradedVerdict::Correct) if row.correct == Some(true) => ("right", Style::Good),
        Some(GradedVerdict::Correct) => ("right, but unfinished or not in the form", Style::Warn),
        Some(GradedVerdict::Wrong) => ("wrong", Style::Bad),
        Some(GradedVerdict::AnswerUnparsed) => ("answer unparsed", Style::Bad),
        Some(GradedVerdict::GoldUnparsed) => ("gold unparsed", Style::Warn),
        None => ("not judged", Style::Dim),
    };
    ui::styled(text, style)
}

fn right(label: bool) -> &'static str {
    if label { "right" } else { "wrong" }
}

/// Prints the figures of all rows.
pub(super) fn summary(summary: &Summary) {
    let Summary { rows, right, right_but_not_in_form, wrong, answer_unparsed, gold_unparsed, .. } = summary;
    let mut table = Table::new(["", "rows", "share"]);
    for (name, number, is_shown) in [
        ("all", rows, true),
        ("right", right, true),
        ("right, but unfinished or not in the form", right_but_not_in_form, *right_but_not_in_form > 0),
        ("wrong", wrong, true),
        ("answer unparsed", answer_unparsed, true),
        ("gold unparsed", gold_unparsed, true),
        ("no gold answer", &summary.without_gold, summary.without_gold > 0),
        ("format ok", &summary.format, true),
    ] {
        if is_shown {
            table.push(vec![name.to_owned(), number.to_string(), share(*number, *rows)]);
        }
    }
    ui::table(&table);
    let mut table = Table::new(["reward", "mean", "least", "most", "rows"]);
    let named = summary.rewards.iter().map(|(name, spread)| (name.as_str(), spread));
    for (name, spread) in named.chain([("total", &summary.total)]) {
        let Spread { rows, mean, least, most, .. } = spread;
        let figure = |value: &Option<f64>| value.map_or_else(|| "-".to_owned(), ui::number);
        table.push(vec![name.to_owned(), figure(mean), figure(least), figure(most), rows.to_string()]);
    }
    ui::line("");
    ui::table(&table);
}

/// Prints how labels agree with judgements.
pub(super) fn confusion(confusion: &Confusion, label: &str) {
    let mut table = Table::new([label, "judged right", "judged wrong"]);
    for (name, judged) in [("right", &confusion.label_right), ("wrong", &confusion.label_wrong)] {
        table.push(vec![name.to_owned(), judged.judged_right.to_string(), judged.judged_wrong.to_string()]);
    }
    ui::line("");
    ui::table(&table);
    let (agreeing, rows) = (confusion.agreeing(), confusion.rows());
    ui::line(&format!("judged as labelled: {agreeing} of {} ({})", count(rows, "row"), share(agreeing, rows)));
    if confusion.left_out > 0 {
        ui::note(&format!("without a label or a gold answer: {}", count(confusion.left_out, "row")));
    }
}

fn share(number: usize, rows: usize) -> String {
    if rows == 0 { "-".to_owned() } else { format!("{:.1} %", 100.0 * number as f64 / rows as f64) }
}
