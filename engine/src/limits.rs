//! The limits of the language, each once: what a workflow file may ask of the engine before anything is made of it.
//!
//! `docs/limits.md` has the table of all limits. What a stage may be asked for its kind says, in its schema.

/// Stages of a workflow, variants of `each` counted. None can raise it: plans are made in a second for a tenth of it.
pub const STAGES: usize = 100_000;

/// Bytes of a workflow file, and of each that it extends.
pub const FILE_BYTES: u64 = 64 << 20;

/// Seconds of any duration in `run`: ten years.
pub const SECONDS: u64 = 3_650 * 86_400;

/// What a stage may need of a pool.
pub const NEEDS: i64 = 1_000_000_000;

/// Steps between two checkpoints.
pub const STEPS: i64 = 1_000_000_000;

/// MiB of a row, or of all rows of an input, that an input's keys may ask for.
pub const MIB: i64 = 1 << 24;

/// Bytes of a file's name, by the file systems in use.
pub(crate) const FILE_NAME: usize = 255;

/// Bytes of a stage's name. It names files, of which its curve has the longest suffix; a folder of attempts has `-` and a
/// number.
pub const STAGE_NAME: usize = FILE_NAME - ".metrics.jsonl".len();
