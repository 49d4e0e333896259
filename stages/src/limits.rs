//! The limits of this crate, each once: what a file of rows and a key of a stage may ask for.
//!
//! `docs/limits.md` has the table of all limits. Those of rows can be raised by keys of the input; those of keys are so
//! far above what machines do that they only keep sums and products from overflowing, and lists from filling memory.

/// Bytes of a row as its file has it, and of its text once read; an input's `row-mib` raises it.
pub const ROW_MIB: u64 = 16;

/// Bytes of rows that are read of one input, once unpacked; an input's `total-mib` raises it.
pub const TOTAL_MIB: u64 = 8 << 10;

/// Bytes that a row counts for beside its own: what it takes in memory however short it is.
pub const ROW_COST: u64 = 256;

/// Bytes of a file of rows that must be in memory whole: a JSON array, CSV. A part of [`TOTAL_MIB`], as it has one.
pub const WHOLE_SHARE: u64 = 4;

/// Rows that cannot be read, after which no more are looked at.
pub const BAD_ROWS: usize = 100_000;

/// Columns of a table. The widest known data set has 2,000.
pub const COLUMNS: usize = 16_384;

/// Rows of Parquet that are in memory at a time.
pub const PARQUET_ROWS: usize = 64;

/// How often a column of a table may be nested.
pub const NESTING: usize = 64;

/// Files of a data set.
pub const FILES: usize = 1_000_000;

/// How deep folders of a data set may lie in each other.
pub const FOLDERS: usize = 32;

/// Bytes of a document beside rows, as `save_to_disk` writes it, and of a report.
pub const DOCUMENT_BYTES: u64 = 64 << 20;

/// Updates, and anything that is counted in them.
pub const STEPS: u64 = 1_000_000_000;

/// Passes over data.
pub const EPOCHS: f64 = 1e6;

/// Tokens of a row, a completion or a pass.
pub const TOKENS: usize = 1_000_000_000;

/// Rows of an update, or sampled side by side.
pub const BATCH: usize = 1_000_000;

/// Completions of one prompt.
pub const COMPLETIONS: usize = 100_000;

/// Completions that are in memory at a time: prompts times completions times updates.
pub const ROLLOUT: u64 = 10_000_000;

/// Rows that `tasks` makes, or that any key counts.
pub const ROWS: usize = 10_000_000;

/// Anything else that is counted.
pub const COUNT: usize = 1_000_000_000;

/// Tokens that are named at a place.
pub const TOP_K: usize = 1_000_000;

/// Exemplars before a prompt.
pub const SHOTS: usize = 10_000;

/// Width of adapters.
pub const RANK: i64 = 65_536;

/// Layers of a new model.
pub const LAYERS: i64 = 1_024;

/// Heads of a new model.
pub const HEADS: i64 = 4_096;

/// Widths of a new model.
pub const WIDTH: i64 = 1 << 20;

/// Tokens of a tokenizer that is trained.
pub const VOCABULARY: usize = 1_000_000;

/// Weights of a new model.
pub const PARAMETERS: u64 = 100_000_000_000;

/// What to do about a document that is too large.
pub(crate) const NO_SUCH_FILE: &str = "no real one is so large; is it the file that is meant?";
