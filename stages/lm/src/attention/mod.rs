//! The interface by which a layer reaches attention, and attention of packed rows without a cache.
//!
//! A layer projects all tokens of all rows at once and passes them to an [`Attend`]. Only that depends on where rows
//! begin, and on whether there is a cache. Shapes: n tokens, c = (h + 2g) d channels: the queries of h heads, the keys
//! of g, the values of g.

mod latent;

use tch::Tensor;

use crate::heads::Heads;
use crate::ops::{Layout, packed_attention, rotate};
use crate::rope::Rotation;
pub(crate) use latent::LatentTokens;

/// Attention over the current tokens, or over a cache too.
pub(crate) trait Attend {
    /// Returns the rotary angles of the current tokens.
    fn rotation(&self) -> &Rotation;

    /// Returns the attention's output, [n, h d], for tokens whose queries and keys are not rotated yet.
    fn attend(&mut self, layer: usize, qkv_nc: &Tensor, heads: Heads) -> Tensor;

    /// Returns the output of multi-head latent attention, [n, h v].
    fn attend_latent(&mut self, layer: usize, tokens: &LatentTokens) -> Tensor;
}

/// Attention of packed rows without a cache: training, log-probs, rewards.
pub(crate) struct PackedRows {
    pub(crate) layout: Layout,
    pub(crate) rotation: Rotation,
}

impl Attend for PackedRows {
    fn rotation(&self) -> &Rotation {
        &self.rotation
    }

    fn attend(&mut self, _layer: usize, qkv_nc: &Tensor, heads: Heads) -> Tensor {
        packed_attention(&rotate(qkv_nc, &self.rotation, heads), &self.layout, heads)
    }

    fn attend_latent(&mut self, _layer: usize, tokens: &LatentTokens) -> Tensor {
        tokens.attend_expanded(&self.layout)
    }
}
