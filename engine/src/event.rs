//! Events: what happens in a run, as data. The history on disk and the lines on a terminal are made from the same
//! events.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use store::Digest;

use crate::placement::Device;

/// The version of the events on disk: a reader skips lines of a version or kind that it does not know.
///
/// 2: each line ends with a checksum of itself, the start of a run has its `--set` and `--device`, the start of an
/// attempt its fingerprint.
pub const VERSION: u32 = 2;

/// How much a note matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Shown only on request.
    Detail,
    /// Good to know.
    Info,
    /// Probably a mistake.
    Warn,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// An `apply` has begun.
    RunStarted {
        /// The workflow's name.
        workflow: String,
        /// Its file: relative to the folder that contains the store if it is below that folder, else absolute.
        file: String,
        /// Its `--set` arguments.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        sets: Vec<String>,
        /// Its `--device`.
        device: Device,
        /// Stages in the graph.
        stages: usize,
        /// The engine's process.
        pid: u32,
        /// Inputs from a hub, by name: the id and the commit that it resolved to.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        inputs: BTreeMap<String, String>,
    },
    /// A stage's outputs are in the store already.
    Fresh {
        /// The stage.
        stage: String,
        /// Its fingerprint.
        fingerprint: Digest,
    },
    /// Another process works on the same stage, or on steps that this stage shares; this process waits for it.
    Waiting {
        /// The stage.
        stage: String,
    },
    /// An attempt has begun.
    Started {
        /// The stage.
        stage: String,
        /// Its kind.
        kind: String,
        /// Its fingerprint.
        fingerprint: Digest,
        /// 1 for the first.
        attempt: u32,
        /// Steps of the checkpoint that it resumes from.
        resumed_from: Option<u64>,
    },
    /// A step is done. Not kept in the history: the stage's `metrics.jsonl` has it.
    Progress {
        /// The stage.
        stage: String,
        /// Steps done.
        step: u64,
        /// Steps in all.
        total: u64,
        /// `step` or `row`.
        unit: String,
        /// Measurements; NaN and infinities are `null` in JSON.
        #[serde(deserialize_with = "numbers")]
        metrics: BTreeMap<String, f64>,
    },
    /// What a stage is doing at the moment, for example before its first step. Not kept in the history.
    Doing {
        /// The stage.
        stage: String,
        /// A word, as in `sampling`.
        what: String,
        /// How much of it is done, and how much there is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        part: Option<(u64, u64)>,
    },
    /// How many steps the stage has in all; once for each attempt.
    Extent {
        /// The stage.
        stage: String,
        /// Steps in all.
        total: u64,
        /// `step` or `row`.
        unit: String,
    },
    /// A checkpoint is in the store.
    Checkpoint {
        /// The stage.
        stage: String,
        /// Steps done.
        step: u64,
    },
    /// Something a person should read.
    Note {
        /// The stage.
        stage: String,
        /// How much it matters.
        level: Level,
        /// One sentence.
        message: String,
    },
    /// A stage is complete and in the store.
    Done {
        /// The stage.
        stage: String,
        /// Its fingerprint.
        fingerprint: Digest,
        /// Wall time of this attempt.
        seconds: f64,
    },
    /// An attempt failed and another one follows.
    Retrying {
        /// The stage.
        stage: String,
        /// Why.
        message: String,
        /// Seconds to wait.
        delay: f64,
    },
    /// A stage cannot be completed.
    Failed {
        /// The stage.
        stage: String,
        /// Why.
        message: String,
        /// What to do about it.
        help: Option<String>,
        /// The path of its log.
        log: Option<String>,
    },
    /// An upstream stage failed or was stopped.
    Blocked {
        /// The stage.
        stage: String,
        /// The upstream stage.
        by: String,
    },
    /// A stage was asked to stop and did; its checkpoint is in the store.
    Stopped {
        /// The stage.
        stage: String,
        /// Steps done.
        step: u64,
    },
    /// The `apply` has ended.
    RunFinished {
        /// Stages that ran to their end.
        ran: usize,
        /// Stages that were fresh.
        fresh: usize,
        /// Stages that failed.
        failed: usize,
        /// Stages that were stopped or blocked.
        left: usize,
        /// Wall time.
        seconds: f64,
    },
}

/// A line of a history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// [`VERSION`].
    pub v: u32,
    /// RFC 3339, UTC.
    pub time: String,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// Deserialises metrics; null becomes NaN.
pub(crate) fn numbers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, f64>, D::Error> {
    let numbers = BTreeMap::<String, Option<f64>>::deserialize(deserializer)?;
    Ok(numbers.into_iter().map(|(name, number)| (name, number.unwrap_or(f64::NAN))).collect())
}
