//! A model's `config.json` in Hugging Face's format, parsed once into checked values.
//!
//! The whole document is kept, so that unknown keys survive a round trip. Keys that would change the maths and are not
//! supported (other activations, unknown rope types, quantised weights) are refused. This module does not depend on
//! architectures: `models/read.rs` makes a configuration, with the keys that its architecture reads.

mod documents;
mod experts;
pub(crate) mod keys;
mod latent;
mod rope;
pub(crate) mod windows;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tch::Kind;

use crate::limits;
use crate::rope::Rope;
pub(crate) use documents::Documents;
pub use experts::{Experts, Groups, Router};
use keys::{Keys, key_error};
pub use latent::Latent;

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read or written.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The path is not a regular file, or the file is too large.
    #[error(transparent)]
    Outside(#[from] outside::Error),
    /// The text is not a JSON object.
    #[error("`{path}` is no valid JSON object: {reason}")]
    Json {
        /// The file.
        path: PathBuf,
        /// The parser's error.
        reason: String,
    },
    /// A key is missing or has a wrong value.
    #[error("config key `{key}`: {reason}")]
    Key {
        /// The key in `config.json`.
        key: String,
        /// What is wrong with its value.
        reason: String,
    },
    /// The layers to be read are not in the model, or its `config.json` cannot say what they are.
    #[error("`layers` {0}")]
    Layers(String),
    /// The architecture is not implemented.
    #[error("model_type `{found}` is not supported; supported: {supported}")]
    Architecture {
        /// The value of `model_type`.
        found: String,
        /// The supported ones, separated by commas.
        supported: String,
    },
}

/// A model's configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The architecture's name, a row of `models::ARCHITECTURES`.
    pub model_type: String,
    /// Rows of the embedding.
    pub vocab_size: i64,
    /// Width of the residual stream.
    pub hidden_size: i64,
    /// Width of the MLP.
    pub intermediate_size: i64,
    /// Number of layers.
    pub num_hidden_layers: i64,
    /// Number of query heads.
    pub num_attention_heads: i64,
    /// Number of key and value heads, each shared by a group of query heads.
    pub num_key_value_heads: i64,
    /// Width of a head; with latent attention, of its rotated part.
    pub head_dim: i64,
    /// Added to the mean square before the root.
    pub rms_norm_eps: f64,
    /// Rotary position embedding.
    pub rope: Rope,
    /// The longest row the model was made for, in tokens.
    pub max_position_embeddings: i64,
    /// Whether the head is the embedding itself.
    pub tie_word_embeddings: bool,
    /// Whether attention's projections have biases (Llama, Qwen3: all four). Qwen2 always has them on q, k and v.
    pub attention_bias: bool,
    /// For each layer how many tokens its attention sees, its own included; `None` sees all before it.
    pub windows: Vec<Option<i64>>,
    /// The sizes of multi-head latent attention, where it replaces grouped heads.
    pub latent: Option<Latent>,
    /// The mixture of experts, where there is one.
    pub experts: Option<Experts>,
    /// Tokens that end a completion; those in `generation_config.json`, if it has any, take precedence.
    pub eos_token_ids: Vec<i64>,
    documents: Documents,
}

/// A function that reads the keys in which architectures differ.
pub(crate) type ReadKeys = fn(&Keys, &mut Config) -> Result<(), Error>;

/// The sizes of a new model; the rest follows from its architecture.
#[derive(Debug, Clone, PartialEq)]
pub struct Shape {
    /// Rows of the embedding.
    pub vocab_size: i64,
    /// Width of the residual stream.
    pub hidden_size: i64,
    /// Width of the MLP.
    pub intermediate_size: i64,
    /// Number of layers.
    pub num_hidden_layers: i64,
    /// Number of query heads.
    pub num_attention_heads: i64,
    /// Number of key and value heads.
    pub num_key_value_heads: i64,
    /// Width of a head; `None` divides `hidden_size` among the heads.
    pub head_dim: Option<i64>,
    /// Base of the rotary frequencies: small for short rows (100 suits rows under 64 tokens), 1e4 and up for long ones.
    pub rope_theta: f64,
    /// The longest row, in tokens.
    pub max_position_embeddings: i64,
    /// Whether the head is the embedding itself.
    pub tie_word_embeddings: bool,
}

impl Config {
    /// Writes `config.json` and `generation_config.json` into a model's folder.
    pub fn save(&self, dir: &Path) -> Result<(), Error> {
        fs_err::write(dir.join("config.json"), self.to_json())?;
        Ok(fs_err::write(dir.join("generation_config.json"), self.documents.generation_text())?)
    }

    /// The text of `config.json`: the keys it was read from, in their order, unknown ones included.
    pub fn to_json(&self) -> String {
        self.documents.config_text()
    }

    /// Sets the tokens that end a completion and the token that pads rows.
    pub fn set_special_tokens(&mut self, eos: &[i64], pad: Option<i64>) {
        self.set_ends(eos);
        self.set("pad_token_id", json!(pad));
    }

    /// Sets the tokens that end a completion.
    pub(crate) fn set_ends(&mut self, eos: &[i64]) {
        let eos_value = match eos {
            [one] => json!(one),
            many => json!(many),
        };
        self.set("eos_token_id", eos_value);
        self.eos_token_ids = eos.to_vec();
        self.documents.generation.remove("eos_token_id");
    }

    /// Sets a key of the document that has no typed field.
    pub(crate) fn set(&mut self, key: &str, value: Value) {
        self.documents.set(key, value);
    }

    /// The documents that it was read from.
    pub(crate) fn documents(&self) -> &Documents {
        &self.documents
    }

    /// The keys of `config.json`.
    pub(crate) fn keys(&self) -> Keys<'_> {
        Keys(&self.documents.config)
    }

    /// Returns the element type of the folder's weights as the document says: bfloat16, or else single precision.
    pub fn dtype(&self) -> Kind {
        // transformers 5 calls the key `dtype`.
        let of = |key: &str| self.documents.config.get(key).and_then(Value::as_str);
        if of("dtype").or_else(|| of("torch_dtype")) == Some("bfloat16") { Kind::BFloat16 } else { Kind::Float }
    }

    /// Returns whether the document names a padding token.
    pub(crate) fn names_padding(&self) -> bool {
        self.documents.config.get("pad_token_id").is_some_and(Value::is_number)
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.documents.config.contains_key(key)
    }

    /// Refuses more layers and experts than the number of tensors allows.
    pub(crate) fn check_count(&self, num_tensors: usize) -> Result<(), String> {
        let layers = self.num_hidden_layers;
        let with_experts = |experts: &Experts| experts.layers.iter().filter(|has| **has).count() as i64;
        let of_experts =
            self.experts.as_ref().map_or(0, |experts| 3 * experts.n_routed_experts * with_experts(experts));
        // Each layer has at least two norms.
        let least = 2 * layers + of_experts;
        if least <= num_tensors as i64 {
            return Ok(());
        }
        let experts = self.experts.as_ref().map_or_else(String::new, |experts| {
            format!(" and `{}` = {}", experts.count_key(), experts.n_routed_experts)
        });
        Err(format!(
            "`num_hidden_layers` = {layers}{experts} need {least} tensors at least, and {num_tensors} are there"
        ))
    }

    /// Reads and checks the keys that all architectures share; `read` reads the others.
    pub(crate) fn parse(documents: Documents, read: ReadKeys) -> Result<Self, Error> {
        let keys = Keys(&documents.config);
        let model_type = keys.text("model_type")?.to_owned();
        refuse_unsupported(&keys)?;
        let hidden_size = keys.count("hidden_size")?;
        let num_attention_heads = keys.count("num_attention_heads")?;
        let num_key_value_heads = keys.count_or("num_key_value_heads", num_attention_heads)?;
        if num_attention_heads % num_key_value_heads != 0 {
            let reason = format!("{num_key_value_heads} does not divide num_attention_heads = {num_attention_heads}");
            return Err(key_error("num_key_value_heads", reason));
        }
        let eos = documents.generation.get("eos_token_id").or_else(|| documents.config.get("eos_token_id"));
        let num_hidden_layers = keys.count_to("num_hidden_layers", limits::LAYERS)?;
        let mut config = Self {
            vocab_size: keys.count("vocab_size")?,
            hidden_size,
            intermediate_size: keys.count("intermediate_size")?,
            num_hidden_layers,
            num_attention_heads,
            num_key_value_heads,
            head_dim: keys.count_or("head_dim", hidden_size / num_attention_heads)?,
            rms_norm_eps: keys.number_or("rms_norm_eps", 1e-6)?,
            rope: rope::rope(&documents.config)?,
            max_position_embeddings: positions(&keys)?,
            tie_word_embeddings: keys.flag("tie_word_embeddings")?,
            attention_bias: keys.flag("attention_bias")?,
            windows: vec![None; num_hidden_layers as usize],
            latent: None,
            experts: None,
            eos_token_ids: token_ids(eos)?,
            model_type,
            documents: documents.clone(),
        };
        read(&keys, &mut config)?;
        if config.head_dim % 2 != 0 {
            return Err(key_error("head_dim", format!("{} is odd; rotary positions need pairs", config.head_dim)));
        }
        Ok(config)
    }
}

fn positions(keys: &Keys) -> Result<i64, Error> {
    let is_given = keys.get("max_position_embeddings").is_some();
    if is_given { keys.count_to("max_position_embeddings", limits::POSITIONS) } else { Ok(2048) }
}

fn refuse_unsupported(keys: &Keys) -> Result<(), Error> {
    if let Some(act) = keys.0.get("hidden_act").and_then(Value::as_str)
        && act != "silu"
    {
        return Err(key_error("hidden_act", format!("`{act}` is not supported, only `silu`")));
    }
    if keys.flag("mlp_bias")? {
        return Err(key_error("mlp_bias", "true is not supported".to_owned()));
    }
    if keys.get("quantization_config").is_some() {
        let reason = "packed weights are not supported; help: convert them to bfloat16 or float32";
        return Err(key_error("quantization_config", reason.to_owned()));
    }
    Ok(())
}

fn token_ids(value: Option<&Value>) -> Result<Vec<i64>, Error> {
    let wrong = || key_error("eos_token_id", "expected a token id or a list of them".to_owned());
    match value {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(ids)) => ids.iter().map(|id| id.as_i64().ok_or_else(wrong)).collect(),
        Some(id) => Ok(vec![id.as_i64().ok_or_else(wrong)?]),
    }
}
