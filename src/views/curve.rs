//! The curve of a stage: a file with a JSON line for each step, read line by line whatever its length.

use std::collections::BTreeMap;
use std::io::{Read, Result};
use std::ops::ControlFlow;

use serde::Deserialize;
use serde_json::Value;

use crate::pieces::{Piece, Pieces};

/// A step of a curve.
#[derive(Debug, Deserialize)]
pub(crate) struct Step {
    /// What was measured.
    pub(crate) metrics: BTreeMap<String, Value>,
}

/// Calls `take` with every step and its line until `take` breaks off. Returns the number of lines that hold no step.
pub(crate) fn each_step(file: impl Read, mut take: impl FnMut(&[u8], Step) -> ControlFlow<()>) -> Result<usize> {
    let mut lines = Pieces::of(file);
    let mut spoilt = 0;
    // A line in pieces is too long for a step.
    let mut is_within = false;
    while let Some(Piece { bytes, is_last }) = lines.next()? {
        let step = if is_within || !is_last { None } else { serde_json::from_slice::<Step>(bytes).ok() };
        if let Some(step) = step {
            if take(bytes, step).is_break() {
                break;
            }
        } else if is_last && (is_within || !bytes.is_empty()) {
            spoilt += 1;
        }
        is_within = !is_last;
    }
    Ok(spoilt)
}

/// Returns a measured value as a number. JSON has no word for NaN, so workers write it as text.
pub(crate) fn number(value: &Value) -> f64 {
    value.as_f64().or_else(|| value.as_str()?.parse().ok()).unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_taken_and_the_rest_is_counted() {
        let text =
            b"{\"step\":1,\"metrics\":{\"loss\":1.5}}\nnoise\n\n{\"step\":2,\"metrics\":{\"loss\":\"NaN\"}}\n{\"st";
        let read = |most: usize| {
            let mut losses = Vec::new();
            let spoilt = each_step(text.as_slice(), |_, step| {
                losses.push(number(&step.metrics["loss"]));
                if losses.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            });
            (format!("{losses:?}"), spoilt.unwrap())
        };
        assert_eq!(read(3), ("[1.5, NaN]".to_owned(), 2));
        assert_eq!(read(1), ("[1.5]".to_owned(), 0));
    }
}
