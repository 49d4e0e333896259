//! The gate of a SwiGLU MLP (Shazeer 2020, equation 6).

use tch::Tensor;

use super::kernels::{cpu_takes, gpu_takes};
use crate::shim;

/// Returns `silu(gate) * up`, where each row of `gate_up` holds the gate's half, then the other.
pub(crate) fn swiglu(gate_up: &Tensor) -> Tensor {
    if cpu_takes(gate_up) || gpu_takes(gate_up, &[gate_up.size()[1] / 2]) {
        return shim::layers::swiglu(gate_up).expect("any even width will do");
    }
    let halves = gate_up.chunk(2, -1);
    halves[0].silu() * &halves[1]
}
