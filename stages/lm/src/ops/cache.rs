//! The KV cache of the rows being sampled: keys and values of every head, or latents instead of both.
//!
//! Decoding's attention (`decode.rs`) determines the layout. The CPU kernels need heads padded to a multiple of
//! sixteen, and keys in blocks of sixteen positions, each block by channel. Multi-head latent attention keeps one
//! vector for each token, like a single head of keys without values. Shapes: l layers, s slots, t positions of a slot,
//! g key heads, d width of a head; n tokens.

use tch::{Device, Kind, Tensor};

use super::kernels::cpu_takes_type;
use crate::config::Config;
use crate::device::Options;
use crate::heads::Heads;
use crate::shim::{cpu, torch};

/// Floats in a vector of the CPU kernels.
const VECTOR: i64 = 16;

/// Bytes of keys and values that fit into a CPU's own cache beside the weights. Measured: a toy model of 164 thousand
/// parameters samples 1.5 times as fast with 85 rows as with 256.
const CPU_CACHE_BYTES: i64 = 8 << 20;

/// Returns the number of rows beyond which additional rows make sampling slower.
pub(crate) fn useful_rows(config: &Config, options: Options, positions: i64) -> usize {
    if !cpu_takes_type(options.dtype, options.device) {
        return usize::MAX;
    }
    let bytes = 4 * numbers_a_token(config) * positions;
    (CPU_CACHE_BYTES / bytes.max(1)).max(64) as usize
}

/// Returns the bytes of `tokens` tokens in the cache.
pub(crate) fn cache_bytes(config: &Config, options: Options, tokens: usize) -> u64 {
    let of_token = numbers_a_token(config).unsigned_abs() * kind(config, options).elt_size_in_bytes() as u64;
    of_token.saturating_mul(tokens as u64)
}

/// Returns whether the CPU kernels read the cache of such a model.
fn is_for_cpu_kernels(config: &Config, options: Options) -> bool {
    config.latent.is_none() && cpu_takes_type(options.dtype, options.device)
}

/// The element type of the cache: the CPU kernels read single precision only.
fn kind(config: &Config, options: Options) -> Kind {
    if is_for_cpu_kernels(config, options) { Kind::Float } else { options.dtype }
}

/// Returns how many numbers a token stores in the cache, over all layers.
fn numbers_a_token(config: &Config) -> i64 {
    let a_layer = match &config.latent {
        Some(latent) => latent.cached_width(),
        None => 2 * config.num_key_value_heads * config.head_dim,
    };
    config.num_hidden_layers * a_layer
}

/// The cached keys and values, or latents, of the rows being sampled.
pub(crate) struct Cache {
    is_for_cpu_kernels: bool,
    /// Keys, then values; or latents alone.
    parts: Vec<Part>,
}

struct Part {
    /// [l, s, g, t, d]; keys for the CPU kernels [l, s, g, t / 16, d, 16].
    whole: Tensor,
    /// Positions in one index of the fourth dimension.
    positions_a_step: i64,
    layers: Vec<Tensor>,
}

impl Part {
    fn new(whole: Tensor, positions_a_step: i64) -> Self {
        let layers = (0..whole.size()[0]).map(|layer| whole.select(0, layer)).collect();
        Self { whole, positions_a_step, layers }
    }
}

impl Cache {
    /// Makes a cache of zeros for a model of this configuration.
    pub(crate) fn new(config: &Config, options: Options, slots: i64, positions: i64) -> Self {
        let (l, g, d) = (config.num_hidden_layers, config.num_key_value_heads, config.head_dim);
        let is_for_cpu_kernels = is_for_cpu_kernels(config, options);
        let options = (kind(config, options), options.device);
        // Initialised with zeros, because a masked position is multiplied by 0, and 0 times NaN is NaN.
        let plain = |g: i64, d: i64| Part::new(Tensor::zeros([l, slots, g, positions, d], options), 1);
        let blocks = |x: i64| (x + VECTOR - 1) / VECTOR;
        let parts = if let Some(latent) = &config.latent {
            vec![plain(1, latent.cached_width())]
        } else if is_for_cpu_kernels {
            let (t, d) = (blocks(positions), blocks(d) * VECTOR);
            let keys = Tensor::zeros([l, slots, g, t, d, VECTOR], options);
            let values = Tensor::zeros([l, slots, g, t * VECTOR, d], options);
            vec![Part::new(keys, VECTOR), Part::new(values, 1)]
        } else {
            vec![plain(g, d), plain(g, d)]
        };
        Self { is_for_cpu_kernels, parts }
    }

    /// Copies rows, of at most `length` cached tokens, into other slots.
    pub(crate) fn move_rows(&mut self, from: &[usize], to: &[usize], length: i64) {
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
            let steps = (length + part.positions_a_step - 1) / part.positions_a_step;
            let mut used = part.whole.narrow(3, 0, steps);
            let rows = used.index_select(1, &from);
            let _ = used.index_copy_(1, &to, &rows);
        }
    }

    /// Writes the keys and values of prompts, [n, c] after rotation, to a layer.
    pub(crate) fn write_prompts(&mut self, layer: usize, qkv_nc: &Tensor, to: &Destinations, heads: Heads) {
        if let Some(cache) = self.for_cpu_kernels(layer) {
            cpu::cache_write(qkv_nc, cache, &to.tokens, &to.slots, &to.positions, heads).expect(FIT);
        } else {
            let (_, k, v) = heads.split(qkv_nc);
            self.write_copies(layer, &[&k, &v], to);
        }
    }

    /// Writes the cached values of the prompts' packed tokens, [n, g, d] for each part of the cache, to every row that
    /// has the token.
    pub(crate) fn write_copies(&mut self, layer: usize, left: &[&Tensor], to: &Destinations) {
        let device = left[0].device();
        let tokens = Tensor::from_slice(&to.tokens).to_device(device);
        let left: Vec<Tensor> = left.iter().map(|part| part.index_select(0, &tokens)).collect();
        let at = Locations::new(&to.slots, &to.positions, device);
        self.write(layer, &at, &left.iter().collect::<Vec<_>>());
    }

    /// Writes the cached values of tokens, [n, g, d] for each part, to the given slots and positions; not for the CPU
    /// kernels.
    pub(super) fn write(&mut self, layer: usize, at: &Locations, left: &[&Tensor]) {
        for (part, new) in self.parts.iter().zip(left) {
            torch::put(&part.layers[layer], &at.slots_n, &at.positions_n, new).expect(FIT);
        }
    }

    /// Returns a part of the first `num_rows` slots below position `longest`, [rows, g, t, d]; not for the CPU kernels.
    pub(crate) fn read(&self, part: usize, layer: usize, num_rows: i64, longest: i64) -> Tensor {
        self.parts[part].layers[layer].narrow(0, 0, num_rows).narrow(2, 0, longest)
    }

    /// Returns a layer's keys and values, if the cache is for the CPU kernels.
    pub(super) fn for_cpu_kernels(&self, layer: usize) -> Option<(&Tensor, &Tensor)> {
        self.is_for_cpu_kernels.then(|| self.keys_and_values(layer))
    }

    /// Returns a layer's keys and values; [slots, g, t, d] each, unless the cache is for the CPU kernels.
    pub(super) fn keys_and_values(&self, layer: usize) -> (&Tensor, &Tensor) {
        (&self.parts[0].layers[layer], &self.parts[1].layers[layer])
    }
}

/// The invariant that makes writes to the cache succeed.
pub(super) const FIT: &str = "rows fit their slots";

/// For each token of each row of a prefill: its packed token, and its slot and position in the cache.
///
/// Rows with equal prompts share their packed tokens, so one token may go to several slots.
#[derive(Default)]
pub(crate) struct Destinations {
    pub(crate) tokens: Vec<i64>,
    pub(crate) slots: Vec<i64>,
    pub(crate) positions: Vec<i64>,
}

/// A slot and a position for each of some tokens.
pub(super) struct Locations {
    slots_n: Tensor,
    positions_n: Tensor,
}

impl Locations {
    pub(super) fn new(slots: &[i64], positions: &[i64], device: Device) -> Self {
        let tensor = |indices: &[i64]| Tensor::from_slice(indices).to_device(device);
        Self { slots_n: tensor(slots), positions_n: tensor(positions) }
    }

    /// Makes locations in the first slots, one position for each slot.
    pub(super) fn of_first(positions_n: &Tensor) -> Self {
        let slots_n = Tensor::arange(positions_n.size()[0], (Kind::Int64, positions_n.device()));
        Self { slots_n, positions_n: positions_n.shallow_clone() }
    }

    /// Returns the mask of the positions below `longest` that each token sees in its slot, [n, 1, 1, t]: those up to
    /// its own, within the window.
    pub(super) fn mask(&self, longest: i64, window: Option<i64>) -> Tensor {
        let positions_1t = Tensor::arange(longest, (Kind::Int64, self.positions_n.device())).unsqueeze(0);
        let own_n1 = self.positions_n.unsqueeze(1);
        let mut mask_nt = positions_1t.le_tensor(&own_n1);
        if let Some(window) = window {
            mask_nt = mask_nt.logical_and(&positions_1t.gt_tensor(&(own_n1 - window)));
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
            let cache = Cache::new(&config, Options::default(), 5, 32);
            let held: usize = cache.parts.iter().map(|part| part.whole.numel()).sum();
            assert_eq!(held as i64, 5 * 32 * expected);
        }
    }
}
