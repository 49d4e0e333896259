//! Makes configurations: of a new model, from text, from a folder.
//!
//! It is here and not in `config`, because each architecture reads its own keys (`Architecture::read`) and `config`
//! does not depend on architectures.

use std::path::Path;

use serde_json::json;

use super::{Head, architecture, specs};
use crate::config::{Config, Documents, Error, Shape};

impl Config {
    /// Makes the configuration of a new model.
    pub fn new(model_type: &str, shape: &Shape) -> Result<Self, Error> {
        let architecture = architecture(model_type)?;
        let mut document = json!({
            "architectures": [architecture.causal_lm_class],
            "model_type": model_type,
            "vocab_size": shape.vocab_size,
            "hidden_size": shape.hidden_size,
            "intermediate_size": shape.intermediate_size,
            "num_hidden_layers": shape.num_hidden_layers,
            "num_attention_heads": shape.num_attention_heads,
            "num_key_value_heads": shape.num_key_value_heads,
            "head_dim": shape.head_dim.unwrap_or(shape.hidden_size / shape.num_attention_heads.max(1)),
            "hidden_act": "silu",
            "rms_norm_eps": 1e-6,
            "rope_theta": shape.rope_theta,
            "rope_parameters": { "rope_type": "default", "rope_theta": shape.rope_theta },
            "max_position_embeddings": shape.max_position_embeddings,
            "tie_word_embeddings": shape.tie_word_embeddings,
            "attention_bias": false,
            "attention_dropout": 0.0,
            "use_cache": true,
            "torch_dtype": "float32",
        });
        for (key, value) in (architecture.keys_of_new)(shape) {
            document[key] = value;
        }
        Self::from_json(&document.to_string())
    }

    /// Parses the text of a `config.json`.
    pub fn from_json(text: &str) -> Result<Self, Error> {
        read(Documents::from_text(text)?)
    }

    /// Reads `config.json`, and `generation_config.json` if it exists, from a model's folder.
    pub fn load(dir: &Path) -> Result<Self, Error> {
        read(Documents::read(dir)?)
    }

    /// Returns the number of weights of a language model of these sizes, at most `u64::MAX`.
    pub fn num_parameters(&self) -> u64 {
        let of = |shape: &[i64]| shape.iter().map(|size| size.unsigned_abs()).fold(1, u64::saturating_mul);
        let specs = specs(self, Head::Vocabulary);
        specs.iter().map(|(_, shape)| of(shape)).fold(0, u64::saturating_add)
    }
}

pub(super) fn read(documents: Documents) -> Result<Config, Error> {
    let architecture = architecture(documents.model_type()?)?;
    Config::parse(documents, architecture.read)
}
