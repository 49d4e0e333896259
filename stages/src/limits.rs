//! The limits of this crate, each defined once: what files of rows and keys of stages may contain.
//!
//! `docs/limits.md` has the table of all limits. Keys of an input can raise the limits of rows. The limits of stages'
//! keys are far above what machines can do: they only keep sums and products from overflowing, and lists from filling
//! memory.

/// MiB of a row in its file, and of its text in memory; an input's `row-mib` raises it.
pub const ROW_MIB: u64 = 16;

/// MiB of all rows of one input, uncompressed; an input's `total-mib` raises it.
pub const TOTAL_MIB: u64 = 8 << 10;

/// Like [`TOTAL_MIB`], for rows that are read one at a time and not kept: samples that are trained on.
pub const PASSING_MIB: u64 = 64 << 10;

/// Bytes that each row counts in addition to its text: the memory that even an empty row takes.
pub const ROW_COST: u64 = 256;

/// A file that must be in memory as a whole (a JSON array, CSV) may have at most 1 / `WHOLE_SHARE` of [`TOTAL_MIB`].
pub const WHOLE_SHARE: u64 = 4;

/// Reading stops after this many bad rows.
pub const BAD_ROWS: usize = 100_000;

/// Columns of a table. The widest known data set has 2,000.
pub const COLUMNS: usize = 16_384;

/// Rows of a Parquet file that are in memory at a time.
pub const PARQUET_ROWS: usize = 64;

/// Levels of nesting in a column of a table.
pub const NESTING: usize = 64;

/// Files of a data set.
pub const FILES: usize = 1_000_000;

/// Levels of nested folders in a data set.
pub const FOLDERS: usize = 32;

/// Bytes of a metadata document as `save_to_disk` writes it, and of a report.
pub const DOCUMENT_BYTES: u64 = 64 << 20;

/// Bytes of a text that is an input: a template, a system text.
pub const TEXT_BYTES: u64 = 1 << 20;

/// Updates, and everything that is counted in updates.
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

/// Likeliest tokens stored at a position.
pub const TOP_K: usize = 1_000_000;

/// Exemplars before a prompt.
pub const SHOTS: usize = 10_000;

/// Rank of adapters.
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
