//! The protocol of engine and worker: one JSON value per line, over the worker's stdin and stdout.
//!
//! ```text
//! engine                                   worker (`r1flow-worker run`)
//!   {"run": {protocol, kind, config, …}} ──▶
//!                                        ◀── {"hello": {"protocol": 4, "pid": 7}}
//!                                        ◀── {"progress": {"step": 3, "total": 60, "metrics": {…}}}   any number
//!                                        ◀── {"checkpoint": {"step": 40, "dir": "…/checkpoints/40"}}  any number
//!                                        ◀── {"rows": {"step": 640, "rows": 2560, "dir": "…/rows/640"}}  any number
//!                                        ◀── {"doing": {"what": "sampling", "part": [37, 64]}}       any number
//!                                        ◀── "alive"                                             now and then
//!   "stop"                               ──▶ checkpoint, then exit
//!                                        ◀── {"done": …} | {"stopped": …} | {"failed": …}             exactly one
//! ```
//! Both ignore any other line. The worker's stderr is its log, and so are other lines on its stdout. When stdin ends
//! the engine is gone, and the worker exits at once: a stage never outlives its engine. Four other commands answer and
//! exit. `r1flow-worker kinds` prints a [`KindList`](crate::kind::KindList). `r1flow-worker check` reads one
//! [`CheckRequest`](super::check::CheckRequest) per line, and prints a list with a [`Checked`](super::check::Checked)
//! for each, in order. `r1flow-worker tokens` reads a [`TokensRequest`](super::tokens::TokensRequest), and prints the
//! row. `r1flow-worker grade` reads a [`GradeRequest`](super::grade::GradeRequest), and prints a
//! [`GradeLine`](super::grade::GradeLine) for each row and one at the end. A worker need not know the last two.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::event::Level;
use crate::placement::Placement;

/// The version of the protocol; engine and worker must agree on it.
pub const PROTOCOL: u32 = 4;

/// A line from the engine to the worker.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ToWorker {
    /// The first line: what to do.
    Run(Box<RunRequest>),
    /// Save a checkpoint as soon as possible and exit.
    Stop,
}

/// One attempt at one stage.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RunRequest {
    /// [`PROTOCOL`].
    pub protocol: u32,
    /// The stage's kind, for example `grpo`.
    pub kind: String,
    /// The kind's version that the engine planned with.
    pub version: u32,
    /// The stage's name, for messages only.
    pub stage: String,
    /// The attempt's own folder: it exists, and nothing else writes there.
    pub dir: PathBuf,
    /// Every key of the stage, defaults filled in; each reference is an [`InputArtifact`] object.
    pub config: Map<String, Value>,
    /// How to run, never what: nothing here may change a result.
    pub machine: Machine,
    /// The checkpoint to start from.
    pub resume: Option<Resume>,
    /// Folders of rows that are known already, oldest first, to be read only.
    #[serde(default)]
    pub rows: Vec<PathBuf>,
    /// A folder for rows of outputs as they come, `OUTPUT.jsonl`, for people who look before the stage is done. It may
    /// not exist yet. Absent: they are not shown.
    #[serde(default)]
    pub growing: Option<PathBuf>,
}

/// What a reference in `config` becomes: which artifact it is, and its path.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct InputArtifact {
    /// The reference as written, for example `inputs.math` or `cold-start.model`.
    pub name: String,
    /// The artifact's type.
    pub artifact: crate::artifact::ArtifactType,
    /// Digest of the content, `b3:…`.
    pub digest: String,
    /// A file or folder, to be read only.
    pub path: PathBuf,
    /// For entries of `[inputs]`: how rows are read (`fields`, `answer-after`, …), empty otherwise.
    #[serde(default)]
    pub import: Map<String, Value>,
}

impl InputArtifact {
    /// Returns the JSON value that replaces the reference in a request.
    pub fn to_value(&self) -> Value {
        serde_json::to_value(self).expect("an artifact is plain data")
    }
}

/// The resources of an attempt, and when it writes checkpoints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Machine {
    /// CPU threads.
    pub threads: usize,
    /// What it computes on.
    pub placement: Placement,
    /// Seconds of work between two checkpoints.
    pub checkpoint_seconds: f64,
    /// Steps between two checkpoints, if given; whichever comes first.
    pub checkpoint_steps: Option<u64>,
    /// Steps after which a checkpoint is needed in any case, because other stages resume from there.
    #[serde(default)]
    pub checkpoint_at: Vec<u64>,
    /// Seconds within which the worker must send a message; [`FromWorker::Alive`] is enough.
    pub silence_seconds: f64,
}

/// A published checkpoint to continue from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Resume {
    /// Number of steps (or rows) done.
    pub step: u64,
    /// Its folder, to be read only.
    pub dir: PathBuf,
}

/// Why a stage with such keys cannot run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Refusal {
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

/// A line from the worker to the engine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FromWorker {
    /// The first line.
    Hello {
        /// The worker's [`PROTOCOL`].
        protocol: u32,
        /// Its process.
        pid: u32,
        /// The processor's instruction sets, and the settings that choose among them, if they can change bits.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        processor: Option<String>,
    },
    /// A step is done.
    Progress {
        /// Steps done so far, counted from the stage's beginning, also after a resume.
        step: u64,
        /// Steps in all.
        total: u64,
        /// What a step is: `step`, `row`.
        unit: String,
        /// Measurements of this step by TRL's names (`loss`, `reward`, `completions/mean_length`, …). NaN and
        /// infinities are `null`; the engine also takes the words that Python writes for them.
        #[serde(deserialize_with = "crate::event::numbers")]
        metrics: BTreeMap<String, f64>,
    },
    /// A complete checkpoint is in `dir`; the engine takes over the folder.
    Checkpoint {
        /// Steps done.
        step: u64,
        /// Its folder inside the attempt's.
        dir: PathBuf,
    },
    /// New rows are complete in `dir`; the engine takes over the folder.
    Rows {
        /// Rows done by this attempt, known ones included.
        step: u64,
        /// Rows in the folder.
        rows: u64,
        /// Their folder inside the attempt's.
        dir: PathBuf,
    },
    /// What the stage is doing at the moment; for people.
    Doing {
        /// A word, as in `sampling`.
        what: String,
        /// How much of it is done, and how much there is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        part: Option<(u64, u64)>,
    },
    /// The process is alive, whatever the stage does.
    Alive,
    /// Something a person should read.
    Note {
        /// How much it matters.
        level: Level,
        /// One sentence.
        message: String,
    },
    /// The stage is complete.
    Done {
        /// Output name → file or folder inside the attempt's.
        outputs: BTreeMap<String, PathBuf>,
        /// Counts and means worth showing, for example rows in and out of each filter.
        summary: Map<String, Value>,
    },
    /// The worker followed [`ToWorker::Stop`]; its last checkpoint has been sent.
    Stopped {
        /// Steps done.
        step: u64,
    },
    /// The stage cannot be completed.
    Failed {
        /// What happened.
        message: String,
        /// What to do about it.
        help: Option<String>,
    },
}
