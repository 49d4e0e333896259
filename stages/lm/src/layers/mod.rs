//! The two halves of a decoder's layer: attention mixes the tokens of a row, and an MLP processes each token alone.
//!
//! Both read the normed residual stream and return the residual stream with their output added, because the addition is
//! fused with their last matmul. A half lists its parameters by name (`parameters`, below the layer's prefix) and takes
//! them from the weights (`new`). Shapes: n tokens of all rows, d width of the residual stream.

pub(crate) mod experts;
pub(crate) mod grouped;
pub(crate) mod latent;
pub(crate) mod linear;
pub(crate) mod mlp;

use tch::Tensor;

use crate::attention::Attend;

/// The half of a layer that mixes tokens.
pub(crate) trait Attention: Send {
    /// Returns the residual stream `x_nd`, which may be overwritten, with this layer's attention over `normed_nd`
    /// added.
    fn add_to(&self, x_nd: &Tensor, normed_nd: &Tensor, attend: &mut dyn Attend) -> Tensor;
}

/// The half of a layer that works on each token alone.
pub(crate) trait Mlp: Send {
    /// Returns the residual stream `x_nd`, which may be overwritten, with the MLP's output for `normed_nd` added.
    fn add_to(&self, x_nd: &Tensor, normed_nd: &Tensor) -> Tensor;
}
