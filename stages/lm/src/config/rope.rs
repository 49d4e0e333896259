//! The rotary keys of `config.json`: `rope_theta`, `rope_scaling`, `rope_parameters`.

use serde_json::{Map, Value};

use super::Error;
use super::keys::{Keys, key_error};
use crate::rope::{Rope, Scaling, Yarn};

/// Reads `rope_scaling` if it has any keys, otherwise `rope_parameters` (transformers 5). The base is the table's
/// `rope_theta`, otherwise the document's.
pub(super) fn rope(document: &Map<String, Value>) -> Result<Rope, Error> {
    let whole = Keys(document);
    let filled = |key: &str| document.get(key)?.as_object().filter(|table| !table.is_empty());
    let Some(table) = filled("rope_scaling").or_else(|| filled("rope_parameters")) else {
        return Ok(Rope { theta: base(whole.number_or("rope_theta", 10_000.0)?)?, scaling: Scaling::None });
    };
    let keys = Keys(table);
    refuse_unsupported(&keys, &whole)?;
    let theta = base(keys.number_or("rope_theta", whole.number_or("rope_theta", 10_000.0)?)?)?;
    let name = table.get("rope_type").or_else(|| table.get("type")).and_then(Value::as_str).unwrap_or("default");
    let scaling = match name {
        "default" => Scaling::None,
        "linear" => Scaling::Linear { factor: keys.number("factor")? },
        "llama3" => Scaling::Llama3 {
            factor: keys.number("factor")?,
            low: keys.number("low_freq_factor")?,
            high: keys.number("high_freq_factor")?,
            original: keys.number("original_max_position_embeddings")?,
        },
        "yarn" => Scaling::Yarn(yarn(&keys, &whole)?),
        other => {
            return Err(key_error(
                "rope_type",
                format!("`{other}` is not supported; supported: default, linear, llama3, yarn"),
            ));
        }
    };
    Ok(Rope { theta, scaling })
}

/// Reads YaRN's constants from the table of rotary keys; `whole` is the document that contains the table.
fn yarn(keys: &Keys, whole: &Keys) -> Result<Yarn, Error> {
    let factor = keys.number("factor")?;
    let trained = whole.number_or("max_position_embeddings", 2048.0)?;
    let original = keys.number_or("original_max_position_embeddings", trained)?;
    let (mscale, mscale_all_dim) = (keys.number_unless_zero("mscale")?, keys.number_unless_zero("mscale_all_dim")?);
    let table_factor = match (mscale, mscale_all_dim) {
        (Some(mscale), Some(all)) => growth(factor, mscale) / growth(factor, all),
        _ => growth(factor, 1.0),
    };
    Ok(Yarn {
        factor,
        original: whole.number_or("original_max_position_embeddings", original)?,
        beta_fast: keys.number_or("beta_fast", 32.0)?,
        beta_slow: keys.number_or("beta_slow", 1.0)?,
        truncate: keys.flag_or("truncate", true)?,
        table_factor: keys.number_or("attention_factor", table_factor)?,
        softmax_factor: mscale_all_dim.map_or(1.0, |all| growth(factor, all).powi(2)),
    })
}

/// Refuses a base of 1 or less: with 1, all frequencies would be equal, and YaRN divides by its logarithm.
fn base(theta: f64) -> Result<f64, Error> {
    if theta > 1.0 {
        Ok(theta)
    } else {
        Err(key_error("rope_theta", format!("{theta} is no base, expected more than 1")))
    }
}

/// Refuses keys for several rotations (one for each layer type), or for the rotation of a part of each head.
fn refuse_unsupported(keys: &Keys, whole: &Keys) -> Result<(), Error> {
    if let Some((layers, _)) = keys.0.iter().find(|(_, value)| value.is_object()) {
        return Err(key_error("rope_parameters", format!("parameters for `{layers}` alone are not supported")));
    }
    for keys in [keys, whole] {
        let share = keys.number_or("partial_rotary_factor", 1.0)?;
        if (share - 1.0).abs() > f64::EPSILON {
            return Err(key_error("partial_rotary_factor", format!("{share} is not supported, only 1")));
        }
    }
    Ok(())
}

/// Returns YaRN's factor of attention, `0.1 mscale ln(factor) + 1`.
fn growth(factor: f64, mscale: f64) -> f64 {
    if factor <= 1.0 { 1.0 } else { 0.1 * mscale * factor.ln() + 1.0 }
}
