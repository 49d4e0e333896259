//! Reads a stage's curve, as [`crate::curve`] writes it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Result};

use serde::Deserialize;

/// A step of a curve.
#[derive(Debug, Deserialize)]
pub(super) struct Step {
    pub(super) step: u64,
    #[serde(deserialize_with = "crate::event::numbers")]
    pub(super) metrics: BTreeMap<String, f64>,
}

/// Calls `take` with each step. A line that is no step is skipped.
pub(super) fn each_step(file: impl Read, mut take: impl FnMut(Step) -> Result<()>) -> Result<()> {
    let (mut lines, mut line) = (BufReader::new(file), Vec::new());
    while lines.read_until(b'\n', &mut line)? > 0 {
        if let Ok(step) = serde_json::from_slice(&line) {
            take(step)?;
        }
        line.clear();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_step_is_skipped() {
        let text = "{\"step\":1,\"metrics\":{\"loss\":0.5,\"reward\":null}}\nnoise\n{\"step\":2,\"metrics\":{}}\n{\"st";
        let mut told = Vec::new();
        let read = each_step(text.as_bytes(), |step| {
            told.push(format!("{} {:?}", step.step, step.metrics));
            Ok(())
        });
        assert_eq!(
            (read.is_ok(), told),
            (true, vec![r#"1 {"loss": 0.5, "reward": NaN}"#.to_owned(), "2 {}".to_owned()])
        );
    }
}
