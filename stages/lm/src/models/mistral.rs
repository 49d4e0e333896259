//! Mistral: the plain decoder without biases; all layers have the same window, or none.
//!
//! As in transformers, an absent `sliding_window` is 4,096, and `null` is none.

use serde_json::{Map, Value, json};

use super::{Architecture, grouped};
use crate::config::keys::key_error;
use crate::config::windows;
use crate::layers::grouped::Style;

const STYLE: Style = Style { qkv_bias: false, o_bias: false, head_norms: false };
/// The window where `config.json` has no such key.
const WINDOW: i64 = 4_096;

pub(super) const ARCHITECTURE: Architecture = Architecture {
    model_type: "mistral",
    causal_lm_class: "MistralForCausalLM",
    classifier_class: "MistralForSequenceClassification",
    read: |keys, config| {
        if config.attention_bias {
            return Err(key_error("attention_bias", "true is not supported for `mistral`".to_owned()));
        }
        let window = match keys.0.get("sliding_window") {
            None => Some(WINDOW),
            Some(Value::Null) => None,
            Some(_) => Some(keys.count("sliding_window")?),
        };
        if window.is_some() && !keys.flag_or("use_sliding_window", true)? {
            let reason = "false is not supported for `mistral`; help: `sliding_window` = null is no window";
            return Err(key_error("use_sliding_window", reason.to_owned()));
        }
        config.windows = windows::same(keys, config.num_hidden_layers, window)?;
        Ok(())
    },
    keys_of_new: |_| Map::from_iter([("sliding_window".to_owned(), json!(null))]),
    ignores: |_, _| false,
    style: |_| Some(STYLE),
    parameters: |config| grouped::parameters(config, STYLE),
    build: |config, weights| grouped::build(config, weights, STYLE),
};
