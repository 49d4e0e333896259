//! The sizes of multi-head latent attention: DeepSeek's keys of `config.json`.

use super::Error;
use super::keys::{Keys, key_error};

/// The sizes of multi-head latent attention, named as in `config.json`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Latent {
    /// Rank of the queries' low-rank projection; `None` for a single projection.
    pub q_lora_rank: Option<i64>,
    /// Width of the latent that keys and values of all heads are made from.
    pub kv_lora_rank: i64,
    /// Width of a query and key head without positions.
    pub qk_nope_head_dim: i64,
    /// Width of the rotated part; each query head has its own, and all key heads share one.
    pub qk_rope_head_dim: i64,
    /// Width of a value head.
    pub v_head_dim: i64,
    /// Whether pairs of neighbouring channels are rotated; otherwise a pair is a channel of the first half and one of
    /// the second.
    pub rope_interleave: bool,
}

impl Latent {
    pub(crate) fn parse(keys: &Keys) -> Result<Self, Error> {
        // transformers has a default of 1,536 for an absent key, while `null` means none.
        if !keys.0.contains_key("q_lora_rank") {
            return Err(key_error("q_lora_rank", "missing; `null` stands for none".to_owned()));
        }
        Ok(Self {
            q_lora_rank: keys.get("q_lora_rank").map(|_| keys.count("q_lora_rank")).transpose()?,
            kv_lora_rank: keys.count("kv_lora_rank")?,
            qk_nope_head_dim: keys.count("qk_nope_head_dim")?,
            qk_rope_head_dim: keys.count("qk_rope_head_dim")?,
            v_head_dim: keys.count("v_head_dim")?,
            rope_interleave: keys.flag_or("rope_interleave", true)?,
        })
    }

    /// Width of a query or key head.
    pub(crate) fn qk_head_dim(&self) -> i64 {
        self.qk_nope_head_dim + self.qk_rope_head_dim
    }

    /// Numbers that a token stores in a layer's cache: its latent and the key that all heads share.
    pub(crate) fn cached_width(&self) -> i64 {
        self.kv_lora_rank + self.qk_rope_head_dim
    }
}
