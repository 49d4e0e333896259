//! The limits of this crate, each once: what a tokenizer or a template from outside may cost.
//!
//! `docs/limits.md` has the table of all limits. What real models have is named beside each, so that a reader can see
//! how far above it the limit lies; none can be raised, as nothing real comes near.

/// Bytes of `tokenizer.json`. Gemma 3's, the largest known, has 33 MB.
pub const TOKENIZER_BYTES: u64 = 64 << 20;

/// Bytes of `tokenizer_config.json` and of a file with a chat template. 1.2 MB is the largest known.
pub const CONFIG_BYTES: u64 = 16 << 20;

/// Ids of a tokenizer. 262,144 is the most known.
pub const TOKENS: usize = 4_000_000;

/// Bytes of a token as `tokenizer.json` writes it. Code models have up to a thousand blanks in one.
pub const TOKEN_BYTES: usize = 4_096;

/// Tokens beside the model's own that are looked for in every text. Speech models add up to 30,000.
pub const ADDED_TOKENS: usize = 500_000;

/// How many times longer a text may become before it is cut into tokens: Unicode's longest expansion is 18.
pub const TEXT_GROWTH: usize = 32;

/// Bytes that a text may always become, however short it is.
pub const TEXT_FLOOR: usize = 64 << 10;

/// How often a pattern of a tokenizer may try again in one search: about a second.
pub const PATTERN_RETRIES: u64 = 20_000_000;

/// Bytes of a chat template. gpt-oss has 17 kB. Parsing takes the square of a chain of operators: two seconds at most.
pub const TEMPLATE_BYTES: usize = 64 << 10;

/// Steps of work that a template may take, each worth 64 bytes, beside those that the conversation pays for. A turn
/// takes a few hundred.
pub const TEMPLATE_FUEL: u64 = 200_000;

/// Steps more for each four bytes of the conversation.
pub const BYTES_PER_FUEL: u64 = 4;

/// How many times longer than the conversation a rendered one may be, beside [`TEMPLATE_OUTPUT`].
pub const TEMPLATE_GROWTH: usize = 16;

/// Bytes that a rendered conversation may always have.
pub const TEMPLATE_OUTPUT: usize = 1 << 20;

/// How deep lists and tables that a template prints may lie in each other. Tools' schemas have about ten.
pub const VALUE_DEPTH: usize = 64;

/// Lists, tables and plain values that a template prints at once.
pub const VALUE_PARTS: usize = 200_000;

/// Blanks that `tojson(indent=…)` puts before a line for each level.
pub const INDENT: usize = 32;

/// What to do about a file of a model's folder that is too large to be one.
pub(crate) const NO_SUCH_FILE: &str = "no real model has such a file; take the one that the model was published with";
