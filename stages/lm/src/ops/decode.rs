//! Attention of each row's newest token over the row's KV cache, to which the token's key and value are written first.
//!
//! Shapes: n rows, c = (h + 2g) d channels, g key heads, r query heads to each, d width of a head, t positions of a
//! slot.

use tch::Tensor;

use super::cache::{Cache, FIT, Locations};
use super::kernels::gpu_takes;
use super::rotate;
use crate::heads::Heads;
use crate::rope::Rotation;
use crate::shim::{cpu, cuda};

/// The widest head for which a block of the GPU kernel has threads (SPLIT packs of `kernels/decode.cu`).
const GPU_WIDEST: i64 = 512;

/// The positions of the newest tokens: row `i` has slot `i` of the cache.
pub(crate) struct Newest<'a> {
    positions: Positions<'a>,
    /// All positions are below this.
    longest: i64,
    /// Index and mask for libtorch's attention, built when it is first used: all layers share them.
    for_libtorch: Option<(Locations, Tensor)>,
}

/// Token positions: on the host for CPU kernels, on the device for GPU kernels.
enum Positions<'a> {
    Host(&'a [i64]),
    Device(Tensor),
}

impl<'a> Newest<'a> {
    pub(crate) fn on_host(positions: &'a [i64]) -> Self {
        let longest = positions.iter().max().map_or(0, |position| position + 1);
        Self { positions: Positions::Host(positions), longest, for_libtorch: None }
    }

    /// For positions on the device, all below `longest`; not for a cache of the CPU kernels.
    pub(crate) fn on_device(positions_n: &Tensor, longest: i64) -> Self {
        Self { positions: Positions::Device(positions_n.shallow_clone()), longest, for_libtorch: None }
    }

    /// Returns the number of positions of each slot that attention reads.
    pub(crate) fn longest(&self) -> i64 {
        self.longest
    }

    /// Writes the cached values of the newest tokens, [n, g, d] for each part of the cache, and returns the mask of the
    /// positions that each token sees, [n, 1, 1, t].
    pub(crate) fn write(&mut self, cache: &mut Cache, layer: usize, left: &[&Tensor], window: Option<i64>) -> Tensor {
        let (positions, longest) = (&self.positions, self.longest);
        let (at, mask_n11t) = self.for_libtorch.get_or_insert_with(|| {
            let at = match positions {
                Positions::Host(positions) => {
                    let slots: Vec<i64> = (0..positions.len() as i64).collect();
                    Locations::new(&slots, positions, left[0].device())
                }
                Positions::Device(positions_n) => Locations::of_first(positions_n),
            };
            let mask_n11t = at.mask(longest, None);
            (at, mask_n11t)
        });
        cache.write(layer, at, left);
        if window.is_some() { at.mask(longest, window) } else { mask_n11t.shallow_clone() }
    }
}

/// Writes each row's newest key and value to the cache, and returns the attention over the positions that it sees.
///
/// `qkv_nc` is not rotated yet; the result is [n, h d].
pub(crate) fn decode_attention(
    qkv_nc: &Tensor,
    rotation: &Rotation,
    cache: &mut Cache,
    layer: usize,
    newest: &mut Newest,
    heads: Heads,
) -> Tensor {
    if let Positions::Device(positions_n) = &newest.positions
        && heads.dim <= GPU_WIDEST
        && gpu_takes(qkv_nc, &[heads.dim / 2])
    {
        let (angles, keys_and_values) = ((&rotation.cos_nd, &rotation.sin_nd), cache.keys_and_values(layer));
        return cuda::decode(qkv_nc, angles, keys_and_values, positions_n, newest.longest, heads).expect(FIT);
    }
    let qkv_nc = &rotate(qkv_nc, rotation, heads);
    if let Positions::Host(positions) = &newest.positions
        && let Some(keys_and_values) = cache.for_cpu_kernels(layer)
    {
        return cpu::decode_attention(qkv_nc, keys_and_values, positions, heads).expect(FIT);
    }
    let (q, k, v) = heads.split(qkv_nc);
    let mask = Some(newest.write(cache, layer, &[&k, &v], heads.window));
    let n = qkv_nc.size()[0];
    let read = |part: usize| cache.read(part, layer, n, newest.longest);
    // The query heads of a group are in the dimension of query positions, so that no key is repeated.
    let q_ngrd = q.reshape([n, heads.key_value, heads.query / heads.key_value, heads.dim]);
    let out = Tensor::scaled_dot_product_attention(&q_ngrd, &read(0), &read(1), mask, 0.0, false, None, false);
    out.reshape([n, heads.query * heads.dim])
}
