//! Rotary positions of queries and keys. Shapes: n tokens, c channels of queries, keys and values, d width of a head.

use tch::Tensor;

use super::kernels::{cpu_takes, gpu_takes};
use crate::heads::Heads;
use crate::rope::Rotation;
use crate::shim;

/// Rotates the queries and keys of [n, c] by each token's angles; the values stay the same.
pub(crate) fn rotate(qkv_nc: &Tensor, rotation: &Rotation, heads: Heads) -> Tensor {
    let (n, num_rotated) = (qkv_nc.size()[0], heads.query + heads.key_value);
    if cpu_takes(qkv_nc) || gpu_takes(qkv_nc, &[heads.dim / 2]) {
        return shim::layers::rotate(qkv_nc, &rotation.cos_nd, &rotation.sin_nd, num_rotated)
            .expect("one angle for each token");
    }
    let parts = qkv_nc.split_with_sizes([num_rotated * heads.dim, heads.key_value * heads.dim], 1);
    let qk_nhd = rotation.apply(&parts[0].view([n, num_rotated, heads.dim]));
    Tensor::cat(&[&qk_nhd.view([n, num_rotated * heads.dim]), &parts[1]], 1)
}
