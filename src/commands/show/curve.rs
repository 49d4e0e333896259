//! A stage's curve, read line by line: whatever its length, what is kept of it is a line of blocks for each metric.

use std::collections::BTreeMap;
use std::io::Read;

use anyhow::Result;
use serde::Deserialize;
use serde_json::Value;

use crate::pieces::{Piece, Pieces};
use crate::ui::{self, Sparkline, Table, count};

/// Metrics that are drawn; a file with more is no curve of ours.
const DRAWN: usize = 1_000;

/// Bytes that are printed at once.
const AT_ONCE: usize = 1 << 16;

/// A step of a curve.
#[derive(Deserialize)]
struct Step {
    metrics: BTreeMap<String, Value>,
}

/// Draws a curve as a table, a metric a row.
pub(super) fn draw(file: impl Read) -> Result<()> {
    let mut curves: BTreeMap<String, Sparkline> = BTreeMap::new();
    each(file, |_, step| {
        for (name, value) in step.metrics {
            if let Some(curve) = curves.get_mut(&name) {
                curve.add(height(&value));
            } else if curves.len() < DRAWN {
                curves.insert(name, Sparkline::of(height(&value)));
            }
        }
    })?;
    if curves.is_empty() {
        return Ok(());
    }
    let mut table = Table::new(["metric", "first", "last", "curve"]);
    for (name, curve) in curves {
        table.push(vec![name, format!("{:.4}", curve.first), format!("{:.4}", curve.last), curve.draw()]);
    }
    ui::table(&table);
    Ok(())
}

/// Prints a curve as the elements of a JSON array, a step a line.
pub(super) fn print_json(file: impl Read) -> Result<()> {
    let mut written = String::new();
    let mut is_empty = true;
    let read = each(file, |line, _| {
        written.push_str(if is_empty { "\n    " } else { ",\n    " });
        written.push_str(&String::from_utf8_lossy(line));
        is_empty = false;
        if written.len() > AT_ONCE {
            ui::json(&written);
            written.clear();
        }
    });
    written.push_str(if is_empty { "" } else { "\n  " });
    ui::json(&written);
    read
}

/// Calls `take` with every step and the line it stands in, and says how many lines are none.
fn each(file: impl Read, mut take: impl FnMut(&[u8], Step)) -> Result<()> {
    let mut lines = Pieces::of(file);
    let (mut spoilt, mut is_within) = (0, false);
    while let Some(Piece { bytes, is_last }) = lines.next()? {
        let step = if is_within || !is_last { None } else { serde_json::from_slice::<Step>(bytes).ok() };
        match step {
            Some(step) => take(bytes, step),
            None if is_last && (is_within || !bytes.is_empty()) => spoilt += 1,
            None => {}
        }
        is_within = !is_last;
        if !ui::has_reader() {
            break;
        }
    }
    if spoilt > 0 {
        let are = if spoilt == 1 { "is" } else { "are" };
        ui::note(&format!("{} of the curve {are} torn or no step, and left out", count(spoilt, "line")));
    }
    Ok(())
}

/// What is no number has no height: JSON has no word for NaN, so workers write it in theirs.
fn height(value: &Value) -> f64 {
    value.as_f64().or_else(|| value.as_str()?.parse().ok()).unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_taken_and_the_rest_is_left() {
        let text =
            b"{\"step\":1,\"metrics\":{\"loss\":1.5}}\nnoise\n\n{\"step\":2,\"metrics\":{\"loss\":\"NaN\"}}\n{\"st";
        let mut losses = Vec::new();
        each(text.as_slice(), |_, step| losses.push(height(&step.metrics["loss"]))).unwrap();
        assert_eq!(format!("{losses:?}"), "[1.5, NaN]");
    }
}
