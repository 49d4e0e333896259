//! The static cache of keys and values, and attention that fills it and reads it.
//!
//! The CPU kernels want heads padded to sixteen and keys in blocks of sixteen places, each by channel. Shapes: l layers,
//! s slots, t places of a slot, g key heads, d width of a head; n tokens.

use tch::{Device, Kind, Tensor};

use crate::attention::{Attend, Heads, Layout};
use crate::model::Model;
use crate::rope::Rotation;
use crate::rows::Rows;
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
    let config = &model.config;
    let bytes = 8 * config.num_hidden_layers * config.num_key_value_heads * config.head_dim * places;
    (CPU_CACHE_BYTES / bytes.max(1)).max(64) as usize
}

/// Keys and values of the rows at work.
pub(super) struct Cache {
    native: bool,
    /// [l, s, g, t, d]; for the CPU kernels [l, s, g, t / 16, d, 16].
    keys: Tensor,
    /// [l, s, g, t, d].
    values: Tensor,
    layers: Vec<Layer>,
}

struct Layer {
    keys: Tensor,
    values: Tensor,
}

impl Cache {
    pub(super) fn new(model: &Model, slots: i64, places: i64) -> Self {
        let (config, options) = (&model.config, (model.dtype(), model.device()));
        let (l, g) = (config.num_hidden_layers, config.num_key_value_heads);
        let native = shim::is_native_type(model.dtype(), model.device());
        let blocks = |x: i64| (x + VECTOR - 1) / VECTOR;
        // Zeros, not garbage: a masked place is multiplied by 0, and 0 times NaN is NaN.
        let (keys, values) = if native {
            let (t, d) = (blocks(places), blocks(config.head_dim) * VECTOR);
            let keys = Tensor::zeros([l, slots, g, t, d, VECTOR], options);
            (keys, Tensor::zeros([l, slots, g, t * VECTOR, d], options))
        } else {
            let values = Tensor::zeros([l, slots, g, places, config.head_dim], options);
            (values.zeros_like(), values)
        };
        let layers = (0..l).map(|layer| Layer { keys: keys.select(0, layer), values: values.select(0, layer) });
        Self { native, layers: layers.collect(), keys, values }
    }

    /// Copies rows, of at most `length` cached tokens, into other slots.
    pub(super) fn move_rows(&mut self, from: &[usize], to: &[usize], length: i64) {
        if from.is_empty() {
            return;
        }
        let device = self.keys.device();
        let index = |slots: &[usize]| {
            let slots: Vec<i64> = slots.iter().map(|slot| *slot as i64).collect();
            Tensor::from_slice(&slots).to_device(device)
        };
        let (from, to) = (index(from), index(to));
        let key_length = if self.native { (length + VECTOR - 1) / VECTOR } else { length };
        for (cache, length) in [(&self.keys, key_length), (&self.values, length)] {
            let mut used = cache.narrow(3, 0, length);
            let rows = used.index_select(1, &from);
            let _ = used.index_copy_(1, &to, &rows);
        }
    }

    /// Writes keys and values, [n, g, d], of tokens to the given slots and places, where the kernels are not at work.
    fn write(&mut self, layer: usize, slots_n: &Tensor, places_n: &Tensor, keys: &Tensor, values: &Tensor) {
        let layer = &self.layers[layer];
        for (cache, new) in [(&layer.keys, keys), (&layer.values, values)] {
            let _ = cache.shallow_clone().index_put_(&[Some(slots_n), None, Some(places_n)], new, false);
        }
    }
}

/// Attention of distinct prompts over themselves, whose keys and values go to the slots of every row that has them.
pub(super) struct Prefill<'a> {
    cache: &'a mut Cache,
    layout: Layout,
    rotation: Rotation,
    /// For each token of each row: which packed token it is, and where in the cache it goes.
    tokens: Vec<i64>,
    slots: Vec<i64>,
    places: Vec<i64>,
}

impl<'a> Prefill<'a> {
    /// `row_of[i]` is the prompt of the row in slot `first + i`.
    pub(super) fn new(
        cache: &'a mut Cache,
        layout: Layout,
        rotation: Rotation,
        prompts: &Rows,
        row_of: &[usize],
        first: usize,
    ) -> Self {
        let ranges: Vec<_> = prompts.ranges().collect();
        let (mut tokens, mut slots, mut places) = (Vec::new(), Vec::new(), Vec::new());
        for (index, row) in row_of.iter().enumerate() {
            tokens.extend(ranges[*row].clone().map(|token| token as i64));
            slots.extend(ranges[*row].clone().map(|_| (first + index) as i64));
            places.extend(0..ranges[*row].len() as i64);
        }
        Self { cache, layout, rotation, tokens, slots, places }
    }
}

impl Attend for Prefill<'_> {
    fn rotation(&self) -> &Rotation {
        &self.rotation
    }

    fn attend(&mut self, layer: usize, qkv_nc: &Tensor, heads: Heads) -> Tensor {
        if self.cache.native {
            let Layer { keys, values } = &self.cache.layers[layer];
            shim::cache_write(qkv_nc, (keys, values), &self.tokens, &self.slots, &self.places, heads)
                .expect("rows fit their slots");
        } else {
            let tensor = |indices: &[i64]| Tensor::from_slice(indices).to_device(qkv_nc.device());
            let (_, k, v) = heads.split(&qkv_nc.index_select(0, &tensor(&self.tokens)));
            self.cache.write(layer, &tensor(&self.slots), &tensor(&self.places), &k, &v);
        }
        self.layout.attend(qkv_nc, heads)
    }
}

/// Attention of each row's newest token over its cache.
pub(super) struct Decode<'a> {
    cache: &'a mut Cache,
    rotation: Rotation,
    positions: &'a [i64],
    /// What only the general form needs, made when it is first asked for.
    indices: Option<Indices>,
}

struct Indices {
    slots_n: Tensor,
    places_n: Tensor,
    mask_n11t: Tensor,
}

impl<'a> Decode<'a> {
    /// Row `i` of the first slots has its newest token at `positions[i]`.
    pub(super) fn new(cache: &'a mut Cache, rotation: Rotation, positions: &'a [i64]) -> Self {
        Self { cache, rotation, positions, indices: None }
    }

    /// Attention in libtorch's operations, for every device and type.
    fn general(&mut self, layer: usize, qkv_nc: &Tensor, heads: Heads) -> Tensor {
        let n = qkv_nc.size()[0];
        let indices = self.indices.get_or_insert_with(|| Indices::new(self.positions, qkv_nc.device()));
        let Indices { slots_n, places_n, mask_n11t } = &*indices;
        let (q, k, v) = heads.split(qkv_nc);
        self.cache.write(layer, slots_n, places_n, &k, &v);
        let longest = mask_n11t.size()[3];
        let layer = &self.cache.layers[layer];
        let read = |cache: &Tensor| cache.narrow(0, 0, n).narrow(2, 0, longest);
        // The query heads of a group stand where other positions would: no key is repeated.
        let q_ngrd = q.reshape([n, heads.key_value, heads.query / heads.key_value, heads.dim]);
        let (keys, values) = (read(&layer.keys), read(&layer.values));
        let mask = match heads.window {
            Some(window) => &indices.within(window),
            None => &indices.mask_n11t,
        };
        let out = Tensor::scaled_dot_product_attention(&q_ngrd, &keys, &values, Some(mask), 0.0, false, None, false);
        out.reshape([n, heads.query * heads.dim])
    }
}

impl Indices {
    fn new(positions: &[i64], device: Device) -> Self {
        let options = (Kind::Int64, device);
        let places_n = Tensor::from_slice(positions).to_device(device);
        let longest = positions.iter().max().map_or(0, |position| position + 1);
        let mask_nt = Tensor::arange(longest, options).unsqueeze(0).le_tensor(&places_n.unsqueeze(1));
        let mask_n11t = mask_nt.unsqueeze(1).unsqueeze(1);
        Self { slots_n: Tensor::arange(positions.len() as i64, options), places_n, mask_n11t }
    }

    /// The mask of a layer that sees `window` tokens only.
    fn within(&self, window: i64) -> Tensor {
        let places_t = Tensor::arange(self.mask_n11t.size()[3], (Kind::Int64, self.places_n.device()));
        let first_n = &self.places_n - (window - 1);
        let in_window_nt = places_t.unsqueeze(0).ge_tensor(&first_n.unsqueeze(1));
        self.mask_n11t.logical_and(&in_window_nt.unsqueeze(1).unsqueeze(1))
    }
}

impl Attend for Decode<'_> {
    fn rotation(&self) -> &Rotation {
        &self.rotation
    }

    fn attend(&mut self, layer: usize, qkv_nc: &Tensor, heads: Heads) -> Tensor {
        if !self.cache.native {
            return self.general(layer, qkv_nc, heads);
        }
        let Layer { keys, values } = &self.cache.layers[layer];
        shim::decode_attention(qkv_nc, (keys, values), self.positions, heads).expect("rows fit their slots")
    }
}
