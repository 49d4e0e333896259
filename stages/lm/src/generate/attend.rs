//! Attention that fills the cache, and attention that reads it.
//!
//! Shapes: n tokens, g key heads, r query heads to each, d width of a head, t places of a slot, c channels.

use tch::Tensor;

use super::cache::{Cache, Places};
use crate::attention::{Attend, Heads, Layout};
use crate::layers::latent::LatentTokens;
use crate::rope::Rotation;
use crate::rows::Rows;
use crate::shim::{self, cuda};

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

    /// Writes what each packed token leaves, [n, g, d] for each part of the cache, to every row that has it.
    fn write(&mut self, layer: usize, left: &[&Tensor]) {
        let device = left[0].device();
        let tokens = Tensor::from_slice(&self.tokens).to_device(device);
        let left: Vec<Tensor> = left.iter().map(|part| part.index_select(0, &tokens)).collect();
        let places = Places::new(&self.slots, &self.places, device);
        self.cache.write(layer, &places, &left.iter().collect::<Vec<_>>());
    }
}

impl Attend for Prefill<'_> {
    fn rotation(&self) -> &Rotation {
        &self.rotation
    }

    fn attend(&mut self, layer: usize, qkv_nc: &Tensor, heads: Heads) -> Tensor {
        let qkv_nc = &heads.rotate(qkv_nc, &self.rotation);
        if let Some(cache) = self.cache.native(layer) {
            shim::cache_write(qkv_nc, cache, &self.tokens, &self.slots, &self.places, heads)
                .expect("rows fit their slots");
        } else {
            let (_, k, v) = heads.split(qkv_nc);
            self.write(layer, &[&k, &v]);
        }
        self.layout.attend(qkv_nc, heads)
    }

    fn attend_latent(&mut self, layer: usize, tokens: &LatentTokens) -> Tensor {
        self.write(layer, &[&tokens.cached_nc.unsqueeze(1)]);
        tokens.attend_expanded(&self.layout)
    }
}

/// Attention of each row's newest token over its cache.
pub(super) struct Decode<'a> {
    cache: &'a mut Cache,
    rotation: Rotation,
    positions: Positions<'a>,
    longest: i64,
    /// What only the general form needs, made when it is first asked for: places, and which of them each token sees.
    places: Option<(Places, Tensor)>,
}

/// Where the newest tokens are, as the host knows it, which is what the CPU's kernels go by, or the device.
enum Positions<'a> {
    Here(&'a [i64]),
    There(Tensor),
}

impl<'a> Decode<'a> {
    /// Row `i` of the first slots has its newest token at `positions[i]`.
    pub(super) fn new(cache: &'a mut Cache, rotation: Rotation, positions: &'a [i64]) -> Self {
        let longest = positions.iter().max().map_or(0, |position| position + 1);
        Self { cache, rotation, positions: Positions::Here(positions), longest, places: None }
    }

    /// As [`Decode::new`], for a cache without kernels of the CPU; the positions lie on the device, below `longest`.
    pub(super) fn on_device(cache: &'a mut Cache, rotation: Rotation, positions_n: &Tensor, longest: i64) -> Self {
        Self { cache, rotation, positions: Positions::There(positions_n.shallow_clone()), longest, places: None }
    }

    /// Writes what the newest tokens leave, and returns the mask of the places that each sees.
    fn write(&mut self, layer: usize, left: &[&Tensor], window: Option<i64>) -> Tensor {
        let (positions, longest) = (&self.positions, self.longest);
        let (places, mask_n11t) = self.places.get_or_insert_with(|| {
            let places = match positions {
                Positions::Here(positions) => {
                    let slots: Vec<i64> = (0..positions.len() as i64).collect();
                    Places::new(&slots, positions, left[0].device())
                }
                Positions::There(positions_n) => Places::of_first(positions_n),
            };
            let mask_n11t = places.mask(longest, None);
            (places, mask_n11t)
        });
        self.cache.write(layer, places, left);
        if window.is_some() { places.mask(longest, window) } else { mask_n11t.shallow_clone() }
    }
}

impl Attend for Decode<'_> {
    fn rotation(&self) -> &Rotation {
        &self.rotation
    }

    fn attend(&mut self, layer: usize, qkv_nc: &Tensor, heads: Heads) -> Tensor {
        if let Positions::There(positions_n) = &self.positions
            && cuda::decodes(heads.dim)
            && cuda::suits(qkv_nc, &[heads.dim / 2])
        {
            let cache = self.cache.keys_and_values(layer);
            return cuda::decode(qkv_nc, &self.rotation, cache, positions_n, self.longest, heads)
                .expect("rows fit their slots");
        }
        let qkv_nc = &heads.rotate(qkv_nc, &self.rotation);
        if let Positions::Here(positions) = &self.positions
            && let Some(cache) = self.cache.native(layer)
        {
            return shim::decode_attention(qkv_nc, cache, positions, heads).expect("rows fit their slots");
        }
        let (q, k, v) = heads.split(qkv_nc);
        let mask_n11t = self.write(layer, &[&k, &v], heads.window);
        let n = qkv_nc.size()[0];
        let read = |part: usize| self.cache.read(part, layer, n, self.longest);
        // The query heads of a group stand where other positions would: no key is repeated.
        let q_ngrd = q.reshape([n, heads.key_value, heads.query / heads.key_value, heads.dim]);
        let mask = Some(mask_n11t);
        let out = Tensor::scaled_dot_product_attention(&q_ngrd, &read(0), &read(1), mask, 0.0, false, None, false);
        out.reshape([n, heads.query * heads.dim])
    }

    fn attend_latent(&mut self, layer: usize, tokens: &LatentTokens) -> Tensor {
        let mask_n11t = self.write(layer, &[&tokens.cached_nc.unsqueeze(1)], None);
        let cached_n1tc = self.cache.read(0, layer, tokens.cached_nc.size()[0], self.longest);
        tokens.attend_absorbed(&cached_n1tc, &mask_n11t)
    }
}
