//! The limits of this crate, each defined once: the sizes that a model's folder may claim.
//!
//! `docs/limits.md` has the table of all limits. Each comment names the largest value of known models. Sizes within
//! these bounds multiply without overflow. Claimed sizes are checked against the weights: nothing is allocated for a
//! size that the weights do not have.

/// Bytes of `config.json` and `generation_config.json`. Real ones have a few thousand.
pub const CONFIG_BYTES: u64 = 16 << 20;

/// Bytes of `model.safetensors.index.json`. DeepSeek-V3's has 9 MB.
pub const INDEX_BYTES: u64 = 64 << 20;

/// Files of a model's weights. DeepSeek-V3 has 163.
pub const SHARDS: usize = 10_000;

/// Bytes of the header of a safetensors file; the same limit as in the format's own library.
pub const HEADER_BYTES: u64 = 100_000_000;

/// Dimensions of a tensor.
pub const DIMENSIONS: usize = 8;

/// Layers. The known maximum is 126.
pub const LAYERS: i64 = 4_096;

/// Experts of a layer. Kimi K2 has 384.
pub const EXPERTS: i64 = 65_536;

/// Any other size: widths, heads, rows of the embedding. The greatest known is a vocabulary of 262,208.
pub const SIZE: i64 = 1 << 24;

/// Positions. Llama 4 has 10,485,760.
pub const POSITIONS: i64 = 1 << 40;

pub(crate) const NO_SUCH_FILE: &str = "no real model has such a file; take the one that the model was published with";
