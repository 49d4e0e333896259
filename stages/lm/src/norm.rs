//! RMSNorm (Zhang and Sennrich 2019, equation 4), computed in single precision whatever the weights' type.

use tch::Tensor;

use crate::shim::{self, cuda};

/// Normalises each token to root mean square 1 and scales it by `weight_d`.
pub(crate) fn rms_norm(x_nd: &Tensor, weight_d: &Tensor, eps: f64) -> Tensor {
    rms_norm_beside(x_nd, weight_d, eps).1
}

/// Returns the stream with its norm. Whoever goes on with both should take this stream: on a GPU their gradients meet in one pass.
pub(crate) fn rms_norm_beside(x_nd: &Tensor, weight_d: &Tensor, eps: f64) -> (Tensor, Tensor) {
    const FITS: &str = "the norm's width is the stream's";
    let width = weight_d.size()[0];
    if cuda::norms(width) && cuda::suits(x_nd, &[width]) {
        return cuda::rms_norm(x_nd, weight_d, eps).expect(FITS);
    }
    let normed = if shim::is_native(x_nd) {
        shim::rms_norm(x_nd, weight_d, eps).expect(FITS)
    } else {
        x_nd.rms_norm(weight_d.size(), Some(weight_d), eps)
    };
    (x_nd.shallow_clone(), normed)
}

/// `silu(gate) * up`, where each row of `gate_up` holds the gate's half, then the other.
pub(crate) fn swiglu(gate_up: &Tensor) -> Tensor {
    if shim::is_native(gate_up) || cuda::suits(gate_up, &[gate_up.size()[1] / 2]) {
        return shim::swiglu(gate_up).expect("any even width will do");
    }
    let halves = gate_up.chunk(2, -1);
    halves[0].silu() * &halves[1]
}
