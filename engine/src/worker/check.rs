//! What a worker finds about a stage before it starts: the question to `r1flow-worker check`, and its answer.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::diagnostic::Severity;
use crate::placement::Device;

/// A stage to be checked.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct CheckRequest {
    /// The stage's kind.
    pub kind: String,
    /// The kind's version.
    pub version: u32,
    /// Every key of the stage, defaults filled in. Each reference is an
    /// [`InputArtifact`](super::protocol::InputArtifact) without a digest. It has a path if it is an input on this
    /// machine. The output of another stage has the path of the input that it will be like, if the other stage's kind
    /// says so (`outputs_like`), else none.
    pub config: Map<String, Value>,
    /// The device that the stage will compute on.
    #[serde(default)]
    pub device: Device,
}

/// The answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Checked {
    /// What a person should know.
    pub findings: Vec<Finding>,
    /// The memory that the stage will hold at its peak, if that can be estimated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<ExpectedMemory>,
}

impl Checked {
    /// Returns whether the stage cannot run.
    pub fn is_refused(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Error)
    }
}

/// Something that a worker has found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The reference that it is about, as written: `inputs.math`. Absent: the stage itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    #[serde(default)]
    pub help: Option<String>,
}

/// An estimate of memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ExpectedMemory {
    /// The peak, in bytes.
    pub bytes: u64,
    /// How it can be lowered.
    pub cures: String,
}
