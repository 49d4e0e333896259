//! RMSNorm (Zhang and Sennrich 2019, equation 4), computed in single precision at least, whatever the weights' type.

use tch::Tensor;

use super::kernels::{cpu_takes, gpu_takes};
use crate::shim::{cpu, cuda};

/// The widest row that a block of the GPU kernel has threads for (WIDEST in `kernels/layers.cu`).
const GPU_WIDEST: i64 = 4 * 1024;

/// Normalises each token to root mean square 1 and scales it by `weight_d`.
pub(crate) fn rms_norm(x_nd: &Tensor, weight_d: &Tensor, eps: f64) -> Tensor {
    rms_norm_residual(x_nd, weight_d, eps).1
}

/// Returns the residual stream and its norm.
///
/// Use the returned residual: on a GPU its gradient is then fused with the norm's in the backward pass.
pub(crate) fn rms_norm_residual(x_nd: &Tensor, weight_d: &Tensor, eps: f64) -> (Tensor, Tensor) {
    const FITS: &str = "the norm is as wide as the residual stream";
    let width = weight_d.size()[0];
    if width <= GPU_WIDEST && gpu_takes(x_nd, &[width]) {
        return cuda::rms_norm(x_nd, weight_d, eps).expect(FITS);
    }
    let normed_nd = if cpu_takes(x_nd) {
        cpu::rms_norm(x_nd, weight_d, eps).expect(FITS)
    } else {
        x_nd.rms_norm(weight_d.size(), Some(weight_d), eps)
    };
    (x_nd.shallow_clone(), normed_nd)
}
