//! The static cache of the rows at work: keys and values of every head, or the latents that stand for both.
//!
//! The CPU kernels want heads padded to sixteen and keys in blocks of sixteen places, each by channel. Multi-head latent
//! attention keeps one vector a token, as if it had a single head of keys and no values. Shapes: l layers, s slots, t
//! places of a slot, g key heads, d width of a head; n tokens.

use tch::{Device, Kind, Tensor};

use crate::config::Config;
use crate::model::Model;
use crate::shim;

/// Floats in a vector of the CPU kernels.
const VECTOR: i64 = 16;

/// Bytes of keys and values that a CPU's own cache holds beside the weights; measured: a toy of 164 thousand parameters
/// samples half as fast again with 85 rows as with 256.
const CPU_CACHE_BYTES: i64 = 8 << 20;

/// The number of rows beyond which more rows at a time make sampling slower, not faster.
pub(super) fn useful_rows(model: &Model, places: i64) -> usize {
    if !shim::is_native_type(model.dtype(), model.device()) {
        return usize::MAX;
    }
    let bytes = 4 * numbers_a_token(&model.config) * places;
    (CPU_CACHE_BYTES / bytes.max(1)).max(64) as usize
}

/// How many numbers a token leaves in the cache of all layers.
fn numbers_a_token(config: &Config) -> i64 {
    let a_layer = match &config.latent {
        Some(latent) => latent.cached_width(),
        None => 2 * config.num_key_value_heads * config.head_dim,
    };
    config.num_hidden_layers * a_layer
}

/// What the rows at work have left of their tokens.
pub(super) struct Cache {
    is_native: bool,
    /// Keys, then values; or latents alone.
    parts: Vec<Part>,
}

struct Part {
    /// [l, s, g, t, d]; keys for the CPU kernels [l, s, g, t / 16, d, 16].
    whole: Tensor,
    /// Places that one step along the fourth dimension takes.
    places_a_step: i64,
    layers: Vec<Tensor>,
}

impl Part {
    fn new(whole: Tensor, places_a_step: i64) -> Self {
        let layers = (0..whole.size()[0]).map(|layer| whole.select(0, layer)).collect();
        Self { whole, places_a_step, layers }
    }
}

impl Cache {
    pub(super) fn new(model: &Model, slots: i64, places: i64) -> Self {
        let config = &model.config;
        let (l, g, d) = (config.num_hidden_layers, config.num_key_value_heads, config.head_dim);
        let is_native = config.latent.is_none() && shim::is_native_type(model.dtype(), model.device());
        // The kernels read single precision only.
        let options = (if is_native { Kind::Float } else { model.dtype() }, model.device());
        // Zeros, not garbage: a masked place is multiplied by 0, and 0 times NaN is NaN.
        let plain = |g: i64, d: i64| Part::new(Tensor::zeros([l, slots, g, places, d], options), 1);
        let blocks = |x: i64| (x + VECTOR - 1) / VECTOR;
        let parts = if let Some(latent) = &config.latent {
            vec![plain(1, latent.cached_width())]
        } else if is_native {
            let (t, d) = (blocks(places), blocks(d) * VECTOR);
            let keys = Tensor::zeros([l, slots, g, t, d, VECTOR], options);
            let values = Tensor::zeros([l, slots, g, t * VECTOR, d], options);
            vec![Part::new(keys, VECTOR), Part::new(values, 1)]
        } else {
            vec![plain(g, d), plain(g, d)]
        };
        Self { is_native, parts }
    }

    /// Copies rows, of at most `length` cached tokens, into other slots.
    pub(super) fn move_rows(&mut self, from: &[usize], to: &[usize], length: i64) {
        if from.is_empty() {
            return;
        }
        let device = self.parts[0].whole.device();
        let index = |slots: &[usize]| {
            let slots: Vec<i64> = slots.iter().map(|slot| *slot as i64).collect();
            Tensor::from_slice(&slots).to_device(device)
        };
        let (from, to) = (index(from), index(to));
        for part in &self.parts {
            let steps = (length + part.places_a_step - 1) / part.places_a_step;
            let mut used = part.whole.narrow(3, 0, steps);
            let rows = used.index_select(1, &from);
            let _ = used.index_copy_(1, &to, &rows);
        }
    }

    /// A layer's keys and values, where the CPU kernels are at work.
    pub(super) fn native(&self, layer: usize) -> Option<(&Tensor, &Tensor)> {
        self.is_native.then(|| self.keys_and_values(layer))
    }

    /// A layer's keys and values; [slots, g, t, d] each, where the CPU kernels are not.
    pub(super) fn keys_and_values(&self, layer: usize) -> (&Tensor, &Tensor) {
        (&self.parts[0].layers[layer], &self.parts[1].layers[layer])
    }

    /// Writes what tokens leave, [n, g, d] for each part, to the given slots and places.
    pub(super) fn write(&mut self, layer: usize, at: &Places, left: &[&Tensor]) {
        for (part, new) in self.parts.iter().zip(left) {
            shim::put(&part.layers[layer], &at.slots_n, &at.places_n, new).expect("rows fit their slots");
        }
    }

    /// A part of the first `num_rows` slots up to the place `longest`, [rows, g, t, d].
    pub(super) fn read(&self, part: usize, layer: usize, num_rows: i64, longest: i64) -> Tensor {
        self.parts[part].layers[layer].narrow(0, 0, num_rows).narrow(2, 0, longest)
    }
}

/// Where tokens go: a slot and a place of it for each.
pub(super) struct Places {
    slots_n: Tensor,
    places_n: Tensor,
}

impl Places {
    pub(super) fn new(slots: &[i64], places: &[i64], device: Device) -> Self {
        let tensor = |indices: &[i64]| Tensor::from_slice(indices).to_device(device);
        Self { slots_n: tensor(slots), places_n: tensor(places) }
    }

    /// One place for each of the first slots.
    pub(super) fn of_first(places_n: &Tensor) -> Self {
        let slots_n = Tensor::arange(places_n.size()[0], (Kind::Int64, places_n.device()));
        Self { slots_n, places_n: places_n.shallow_clone() }
    }

    /// Says which of the first `longest` places of its slot each token sees, [n, 1, 1, t]: those up to its own.
    pub(super) fn mask(&self, longest: i64, window: Option<i64>) -> Tensor {
        let places_1t = Tensor::arange(longest, (Kind::Int64, self.places_n.device())).unsqueeze(0);
        let own_n1 = self.places_n.unsqueeze(1);
        let mut mask_nt = places_1t.le_tensor(&own_n1);
        if let Some(window) = window {
            mask_nt = mask_nt.logical_and(&places_1t.gt_tensor(&(own_n1 - window)));
        }
        mask_nt.unsqueeze(1).unsqueeze(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Shape;

    #[test]
    fn a_token_leaves_a_latent_and_one_key_or_all_heads() {
        let shape = Shape {
            vocab_size: 19,
            hidden_size: 64,
            intermediate_size: 64,
            num_hidden_layers: 3,
            num_attention_heads: 8,
            num_key_value_heads: 8,
            head_dim: Some(16),
            rope_theta: 1e4,
            max_position_embeddings: 32,
            tie_word_embeddings: true,
        };
        for (model_type, expected) in [("qwen3", 3 * 2 * 8 * 16), ("deepseek_v3", 3 * (32 + 8))] {
            let config = Config::new(model_type, &shape).expect("a valid shape");
            assert_eq!(numbers_a_token(&config), expected);
            let cache = Cache::new(&Model::init(config, 1, Device::Cpu), 5, 32);
            let held: usize = cache.parts.iter().map(|part| part.whole.numel()).sum();
            assert_eq!(held as i64, 5 * 32 * expected);
        }
    }
}
