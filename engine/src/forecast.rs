//! Forecasts what a stage that must run will cost, from the records of earlier runs.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};
use store::{Digest, Record, Store};

use crate::action::{Action, shape};
use crate::dirty::DirtyReason;
use crate::workflow::StageDecl;

/// What running a stage is expected to cost; absent figures are unknown.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Forecast {
    /// Wall time in seconds.
    pub seconds: Option<f64>,
    /// GPUs times hours; absent also if no GPU is used.
    pub gpu_hours: Option<f64>,
    /// Bytes of its outputs.
    pub bytes: Option<u64>,
    /// What the figures are based on.
    pub confidence: Confidence,
}

/// What a forecast is based on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Confidence {
    /// Nothing: no stage of the kind has run.
    Unknown,
    /// Other stages of the kind.
    Low,
    /// This stage with other keys or another number of steps.
    Medium,
    /// This stage with the same keys.
    High,
}

/// The records of earlier runs.
#[derive(Debug)]
pub(crate) struct PastRuns {
    by_stage: HashMap<String, Vec<Record>>,
    /// Shapes of the actions that have run, by kind; filled on first use.
    shapes: HashMap<String, HashSet<Digest>>,
}

impl PastRuns {
    pub(crate) fn read(store: &Store) -> Result<Self, store::Error> {
        Ok(Self { by_stage: store.records_by_stage()?, shapes: HashMap::new() })
    }

    /// Returns the newest record of a stage of this name and kind: of this workflow, else of any, so that a variant of
    /// a workflow shows how it differs from the original.
    pub(crate) fn last(&self, stage: &StageDecl, workflow: &str) -> Option<&Record> {
        let past = self.by_stage.get(&stage.name.0).map(Vec::as_slice).unwrap_or_default();
        let of_kind = || past.iter().filter(|record| record.kind == stage.kind);
        of_kind().find(|record| record.workflow == workflow).or_else(|| of_kind().next())
    }

    /// Returns whether a stage of the kind has run with the same keys, whatever its input artifacts were.
    pub(crate) fn has_run_with(&mut self, store: &Store, action: &Action) -> Result<bool, store::Error> {
        let kind = action.document["kind"].as_str().unwrap_or_default();
        if !self.shapes.contains_key(kind) {
            let mut shapes = HashSet::new();
            for record in self.by_stage.values().flatten().filter(|record| record.kind == kind) {
                shapes.extend(store.action(&record.fingerprint)?.as_ref().map(shape));
            }
            self.shapes.insert(kind.to_owned(), shapes);
        }
        Ok(self.shapes[kind].contains(&shape(&action.document)))
    }

    /// Returns the forecast of a stage that has `done` steps already and takes `gpus`.
    pub(crate) fn forecast(
        &self,
        store: &Store,
        last: Option<&Record>,
        (action, reasons): (&Action, &[DirtyReason]),
        done: u64,
        gpus: u64,
    ) -> Result<Forecast, store::Error> {
        let (seconds, bytes, confidence) = if let Some(last) = last {
            let is_other =
                |reason: &DirtyReason| matches!(reason, DirtyReason::Changed { .. } | DirtyReason::Version { .. });
            let is_same = done == 0 && !reasons.iter().any(is_other);
            let confidence = if is_same { Confidence::High } else { Confidence::Medium };
            (scaled(store, last, action, done)?, Some(bytes(last)), confidence)
        } else {
            self.by_kind(store, action, done)?
        };
        let gpu_hours = seconds.filter(|_| gpus > 0).map(|seconds| seconds * gpus as f64 / 3_600.0);
        Ok(Forecast { seconds, gpu_hours, bytes, confidence })
    }

    /// Returns the medians of all stages of the kind.
    fn by_kind(
        &self,
        store: &Store,
        action: &Action,
        done: u64,
    ) -> Result<(Option<f64>, Option<u64>, Confidence), store::Error> {
        let kind = action.document["kind"].as_str().unwrap_or_default();
        let others: Vec<&Record> = self.by_stage.values().flatten().filter(|record| record.kind == kind).collect();
        let mut times = Vec::with_capacity(others.len());
        for other in &others {
            times.extend(scaled(store, other, action, done)?);
        }
        times.sort_by(f64::total_cmp);
        let mut sizes: Vec<u64> = others.iter().map(|other| bytes(other)).collect();
        sizes.sort_unstable();
        let confidence = if others.is_empty() { Confidence::Unknown } else { Confidence::Low };
        Ok((times.get(times.len() / 2).copied(), sizes.get(sizes.len() / 2).copied(), confidence))
    }
}

/// Returns a record's wall time, scaled from its number of steps to the number that is left to do. Without an extent
/// key it is the record's time.
fn scaled(store: &Store, record: &Record, action: &Action, done: u64) -> Result<Option<f64>, store::Error> {
    let before = store.action(&record.fingerprint)?.and_then(|document| action.extent_in(&document));
    let (Some(before), Some(now)) = (before, action.extent()) else { return Ok(Some(record.seconds)) };
    Ok((before > 0).then(|| record.seconds / before as f64 * now.saturating_sub(done) as f64))
}

fn bytes(record: &Record) -> u64 {
    record.outputs.values().map(|output| output.bytes).sum()
}
