//! The limits of workflow files, each defined once and checked when a file is loaded.
//!
//! `docs/limits.md` has the table of all limits. Limits of a kind's own keys are in the schema of the kind.

/// Most stages of a workflow, variants of `each` included. No option raises it; planning a tenth of it takes a second.
pub const STAGES: usize = 100_000;

/// Most bytes of a workflow file, and of each file that it extends.
pub const FILE_BYTES: u64 = 64 << 20;

/// Longest duration in `run`, in seconds: ten years.
pub const SECONDS: u64 = 3_650 * 86_400;

/// Most that a stage may need of a pool.
pub const NEEDS: i64 = 1_000_000_000;

/// Most steps between two checkpoints.
pub const STEPS: i64 = 1_000_000_000;

/// Most MiB that a key may set: for a row or all rows of an input, or for a log.
pub const MIB: i64 = 1 << 24;

/// Most bytes of a file's name on common file systems.
pub(crate) const FILE_NAME: usize = 255;

/// Most bytes of a stage's name. Its files are named after it: the curve has the longest suffix, and the folder of an
/// attempt adds `-` and a number.
pub const STAGE_NAME: usize = FILE_NAME - ".metrics.jsonl".len();
