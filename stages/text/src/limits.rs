//! The limits of this crate, each defined once: what a tokenizer or a template from outside may cost.
//!
//! `docs/limits.md` has the table of all limits. Each comment names the largest value of known models, so that a reader
//! can see the margin. The limits cannot be raised, because no real model comes near them.

/// Bytes of `tokenizer.json`. Gemma 3's, the largest known, has 33 MB.
pub const TOKENIZER_BYTES: u64 = 64 << 20;

/// Bytes of `tokenizer_config.json` and of a file with a chat template. 1.2 MB is the largest known.
pub const CONFIG_BYTES: u64 = 16 << 20;

/// Ids of a tokenizer. 262,144 is the most known.
pub const TOKENS: usize = 4_000_000;

/// Bytes of a token in `tokenizer.json`. Code models have tokens of up to a thousand blanks.
pub const TOKEN_BYTES: usize = 4_096;

/// Added tokens, which are searched for in every text. Speech models add up to 30,000.
pub const ADDED_TOKENS: usize = 500_000;

/// How many times longer rewriting may make a text before it is split into tokens. Unicode's longest expansion is 18.
pub const TEXT_GROWTH: usize = 32;

/// Bytes that a rewritten text may always have, however short the original is.
pub const TEXT_FLOOR: usize = 64 << 10;

/// Retries of a tokenizer's pattern in one search: about a second.
pub const PATTERN_RETRIES: u64 = 20_000_000;

/// Bytes of a chat template. gpt-oss has 17 kB. Parsing time is quadratic in the length of a chain of operators: two
/// seconds at most.
pub const TEMPLATE_BYTES: usize = 64 << 10;

/// Fuel of a template, in steps (64 bytes cost one), in addition to that for the conversation's length. A turn takes a
/// few hundred.
pub const TEMPLATE_FUEL: u64 = 200_000;

/// Bytes of the conversation that add one step of fuel.
pub const BYTES_PER_FUEL: u64 = 4;

/// How many times longer than the conversation the rendered text may be, in addition to [`TEMPLATE_OUTPUT`].
pub const TEMPLATE_GROWTH: usize = 16;

/// Bytes that the rendered text may always have.
pub const TEMPLATE_OUTPUT: usize = 1 << 20;

/// Levels of nesting in a value that a template prints. Schemas of tools have about ten.
pub const VALUE_DEPTH: usize = 64;

/// Lists, tables and plain values in one value that a template prints.
pub const VALUE_PARTS: usize = 200_000;

/// Blanks of indentation for each level in `tojson(indent=…)`.
pub const INDENT: usize = 32;

/// Help for a file in a model's folder that is too large to be genuine.
pub(crate) const NO_SUCH_FILE: &str = "no real model has such a file; take the one that the model was published with";
