//! Some of the layers of a model: its configuration cut to them, and the names that their tensors then have.
//!
//! The cut configuration is read again from its document, so a model with these layers loads wherever the whole one
//! does; what the document cannot say is refused.

use serde_json::{Value, json};

use super::of;
use super::read::read;
use crate::config::windows::MAX_WINDOW_LAYERS;
use crate::config::{Config, Error, Router};
use crate::weights::Fate;

const PREFIX: &str = "model.layers.";

impl Config {
    /// Returns the configuration of a model that has only these layers of this one's, numbered anew in this order.
    pub fn with_layers(&self, layers: &[usize]) -> Result<Self, Error> {
        let count = self.num_hidden_layers as usize;
        let refused = |reason: String| Err(Error::Layers(reason));
        if layers.is_empty() {
            return refused("is empty; help: name the layers to read, the first is 0".to_owned());
        }
        if let Some(layer) = layers.iter().find(|layer| **layer >= count) {
            let last = count - 1;
            return refused(format!(
                "names layer {layer}, and the model has {count}, 0 to {last}; help: name layers of at most {last}"
            ));
        }
        if let Some((at, layer)) = layers.iter().enumerate().find(|(at, layer)| layers[..*at].contains(layer)) {
            return refused(format!("names layer {layer} twice; help: remove item {at}"));
        }
        let mut documents = self.documents().clone();
        for (key, value) in changed_keys(self, layers) {
            documents.set(key, value);
        }
        let cut = read(documents)?;
        let windows: Vec<_> = layers.iter().map(|layer| self.windows[*layer]).collect();
        let of_experts =
            self.experts.as_ref().map(|experts| layers.iter().map(|layer| experts.layers[*layer]).collect::<Vec<_>>());
        if cut.windows != windows || cut.experts.as_ref().map(|experts| experts.layers.clone()) != of_experts {
            return refused(
                "has layers in an order that `config.json` cannot say: those without a window, or without experts, come \
                 first; help: name the layers in ascending order"
                    .to_owned(),
            );
        }
        Ok(cut)
    }
}

/// Returns the keys of `config.json` that say something of single layers, as they are for some of the layers.
fn changed_keys(config: &Config, layers: &[usize]) -> Vec<(&'static str, Value)> {
    let keys = config.keys();
    let mut changed = vec![("num_hidden_layers", json!(layers.len()))];
    for key in ["layer_types", "mlp_layer_types"] {
        if let Some(Value::Array(all)) = keys.get(key)
            && all.len() as i64 == config.num_hidden_layers
        {
            changed.push((key, layers.iter().map(|layer| all[*layer].clone()).collect()));
        }
    }
    let first = match keys.get("max_window_layers") {
        Some(first) => first.as_i64(),
        // The default counts only where some layers have a window and others none.
        None if keys.get("layer_types").is_some() => None,
        None => config.windows.iter().any(|window| *window != config.windows[0]).then_some(MAX_WINDOW_LAYERS),
    };
    if let Some(first) = first {
        let below = layers.iter().filter(|layer| (**layer as i64) < first).count();
        changed.push(("max_window_layers", json!(below)));
    }
    let Some(experts) = &config.experts else { return changed };
    let dense: Vec<usize> = (0..layers.len()).filter(|at| !experts.layers[layers[*at]]).collect();
    match experts.router {
        Router::Grouped(_) => changed.push(("first_k_dense_replace", json!(dense.len()))),
        Router::Softmax if experts.layers.iter().all(|has_experts| *has_experts) => {}
        Router::Softmax => changed.extend([("decoder_sparse_step", json!(1)), ("mlp_only_layers", json!(dense))]),
    }
    changed
}

/// Says what is done with a tensor of a folder: read under a new name, not wanted, or ignored. `config` is the whole
/// folder's, and `layers` are those that are read; `None` reads all.
pub(crate) fn fate(config: &Config, layers: Option<&[usize]>, name: &str) -> Fate {
    if (of(config).ignores)(config, name) {
        return Fate::Ignored;
    }
    // A tensor of a layer that the model does not have keeps its name, under which it is refused.
    match (layers, layer_of(name).filter(|(layer, _)| (*layer as i64) < config.num_hidden_layers)) {
        (Some(layers), Some((layer, rest))) => match layers.iter().position(|kept| *kept == layer) {
            Some(at) => Fate::Parameter(format!("{PREFIX}{at}.{rest}")),
            None => Fate::Unwanted,
        },
        _ => Fate::Parameter(name.to_owned()),
    }
}

/// Returns the number of the layer that a tensor belongs to, and its name there.
pub(super) fn layer_of(name: &str) -> Option<(usize, &str)> {
    let (layer, rest) = name.strip_prefix(PREFIX)?.split_once('.')?;
    Some((layer.parse().ok()?, rest))
}
