//! The final table of a workflow's evaluations.

use super::{Table, note};
use crate::views::scores::{Comparison, Figure, Scores, Unreadable};

/// Returns reports side by side as a table.
pub(crate) fn scores_table(comparison: &Comparison) -> Table {
    let columns = comparison.columns.iter().map(String::as_str);
    let mut table = Table::new(["stage"].into_iter().chain(columns).chain(["seconds"]));
    for row in &comparison.rows {
        let mut cells = vec![row.stage.clone()];
        cells.extend(row.figures.iter().map(figure));
        cells.push(row.seconds.map_or_else(|| "-".to_owned(), |seconds| format!("{seconds:.1}")));
        table.push(cells);
    }
    table
}

/// Notes which reports are left out.
pub(crate) fn note_unreadable(scores: &Scores) {
    for unreadable in &scores.unreadable {
        let Unreadable { stage, error } = unreadable;
        note(&format!("the report of `{stage}` cannot be read and is left out: {error:#}"));
    }
}

fn figure(figure: &Figure) -> String {
    match (figure.value, figure.error) {
        (Some(value), Some(error)) => format!("{value:.3} ± {error:.3}"),
        (Some(value), None) if value.abs() >= 2.0 => format!("{value:.1}"),
        (Some(value), None) => format!("{value:.3}"),
        (None, _) => "-".to_owned(),
    }
}
