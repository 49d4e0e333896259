//! Sliding windows of attention by layer: the keys `use_sliding_window`, `sliding_window`, `max_window_layers` and
//! `layer_types`.

use serde_json::Value;

use super::Error;
use super::keys::{Keys, key_error};

const FULL: &str = "full_attention";
const SLIDING: &str = "sliding_attention";

/// The default of `max_window_layers`, as in transformers: layers below it have no window.
pub(crate) const MAX_WINDOW_LAYERS: i64 = 28;

/// Returns the window of each layer: the number of tokens that a token sees, its own included; `None` for all before
/// it.
pub(crate) fn windows(keys: &Keys, num_layers: i64) -> Result<Vec<Option<i64>>, Error> {
    let is_used = keys.flag("use_sliding_window")? && keys.get("sliding_window").is_some();
    let size = is_used.then(|| keys.count("sliding_window")).transpose()?;
    let Some(types) = keys.get("layer_types") else {
        let first = keys.whole_or("max_window_layers", MAX_WINDOW_LAYERS)?;
        return Ok((0..num_layers).map(|layer| size.filter(|_| layer >= first)).collect());
    };
    let wrong = |reason: String| key_error("layer_types", reason);
    let types = types.as_array().filter(|types| types.len() as i64 == num_layers);
    let types = types.ok_or_else(|| wrong(format!("expected a list of {num_layers}, one for each layer")))?;
    let window = |kind: &Value| match kind.as_str() {
        Some(FULL) => Ok(None),
        Some(SLIDING) if size.is_some() => Ok(size),
        Some(SLIDING) => {
            Err(wrong(format!("`{SLIDING}` needs `use_sliding_window` = true and a size in `sliding_window`")))
        }
        _ => Err(wrong(format!("{kind} is not supported; supported: {FULL}, {SLIDING}"))),
    };
    types.iter().map(window).collect()
}

/// Returns the same window for each layer; `layer_types`, where they are given, must say the same.
pub(crate) fn same(keys: &Keys, num_layers: i64, window: Option<i64>) -> Result<Vec<Option<i64>>, Error> {
    let named = if window.is_some() { SLIDING } else { FULL };
    if keys.get("layer_types").is_some_and(|types| *types != Value::from(vec![named; num_layers as usize])) {
        let model_type = keys.text("model_type")?;
        let reason = format!("for `{model_type}`, only `{named}` in all {num_layers} layers fits its `sliding_window`");
        return Err(key_error("layer_types", reason));
    }
    Ok(vec![window; num_layers as usize])
}

/// Refuses windows for an architecture that has none.
pub(crate) fn refuse(keys: &Keys, num_layers: i64) -> Result<(), Error> {
    if keys.flag("use_sliding_window")? || windows(keys, num_layers)?.iter().any(Option::is_some) {
        let model_type = keys.text("model_type")?;
        return Err(key_error("use_sliding_window", format!("true is not supported for `{model_type}`")));
    }
    Ok(())
}
