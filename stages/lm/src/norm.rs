//! RMSNorm (Zhang and Sennrich 2019, equation 4), computed in single precision whatever the weights' type.

use tch::Tensor;

use crate::shim::{self, cuda};

/// Normalises each token to root mean square 1 and scales it by `weight_d`.
pub(crate) fn rms_norm(x_nd: &Tensor, weight_d: &Tensor, eps: f64) -> Tensor {
    if shim::is_native(x_nd) {
        return shim::rms_norm(x_nd, weight_d, eps).expect("the norm's width is the stream's");
    }
    if cuda::suits(x_nd, &weight_d.size()) {
        return cuda::rms_norm(x_nd, weight_d, eps).expect("the norm's width is the stream's");
    }
    x_nd.rms_norm(weight_d.size(), Some(weight_d), eps)
}

/// `silu(gate) * up`, where each row of `gate_up` holds the gate's half, then the other.
pub(crate) fn swiglu(gate_up: &Tensor) -> Tensor {
    if shim::is_native(gate_up) {
        return shim::swiglu(gate_up).expect("any even width will do");
    }
    if cuda::suits(gate_up, &[gate_up.size()[1] / 2]) {
        return cuda::swiglu(gate_up).expect("any even width will do");
    }
    let halves = gate_up.chunk(2, -1);
    halves[0].silu() * &halves[1]
}
