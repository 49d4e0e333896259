//! Attention that fills the KV cache (prefill), and attention that reads it (decoding).
//!
//! Shapes: n tokens, g key heads, d width of a head, c channels.

use tch::Tensor;

use crate::attention::{Attend, LatentTokens};
use crate::heads::Heads;
use crate::ops::{Cache, Destinations, Layout, Newest, decode_attention, packed_attention, rotate};
use crate::rope::Rotation;
use crate::rows::Rows;

/// Attention of distinct prompts over themselves. Their keys and values are written to the slots of every row with that
/// prompt.
pub(super) struct Prefill<'a> {
    cache: &'a mut Cache,
    layout: Layout,
    rotation: Rotation,
    to: Destinations,
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
        let mut to = Destinations::default();
        for (index, row) in row_of.iter().enumerate() {
            to.tokens.extend(ranges[*row].clone().map(|token| token as i64));
            to.slots.extend(ranges[*row].clone().map(|_| (first + index) as i64));
            to.positions.extend(0..ranges[*row].len() as i64);
        }
        Self { cache, layout, rotation, to }
    }
}

impl Attend for Prefill<'_> {
    fn rotation(&self) -> &Rotation {
        &self.rotation
    }

    fn attend(&mut self, layer: usize, qkv_nc: &Tensor, heads: Heads) -> Tensor {
        let qkv_nc = &rotate(qkv_nc, &self.rotation, heads);
        self.cache.write_prompts(layer, qkv_nc, &self.to, heads);
        packed_attention(qkv_nc, &self.layout, heads)
    }

    fn attend_latent(&mut self, layer: usize, tokens: &LatentTokens) -> Tensor {
        self.cache.write_copies(layer, &[&tokens.cached_nc.unsqueeze(1)], &self.to);
        tokens.attend_expanded(&self.layout)
    }
}

/// Attention of each row's newest token over its cache.
pub(super) struct Decode<'a> {
    cache: &'a mut Cache,
    rotation: Rotation,
    newest: Newest<'a>,
}

impl<'a> Decode<'a> {
    pub(super) fn new(cache: &'a mut Cache, rotation: Rotation, newest: Newest<'a>) -> Self {
        Self { cache, rotation, newest }
    }
}

impl Attend for Decode<'_> {
    fn rotation(&self) -> &Rotation {
        &self.rotation
    }

    fn attend(&mut self, layer: usize, qkv_nc: &Tensor, heads: Heads) -> Tensor {
        decode_attention(qkv_nc, &self.rotation, self.cache, layer, &mut self.newest, heads)
    }

    fn attend_latent(&mut self, layer: usize, tokens: &LatentTokens) -> Tensor {
        let mask_n11t = self.newest.write(self.cache, layer, &[&tokens.cached_nc.unsqueeze(1)], None);
        let cached_n1tc = self.cache.read(0, layer, tokens.cached_nc.size()[0], self.newest.longest());
        tokens.attend_absorbed(&cached_n1tc, &mask_n11t)
    }
}
