//! Safe wrappers of the kernels that exist for both CPU and GPU (`shim/layers.cpp`), with gradients.

use std::ffi::{c_char, c_double};

use tch::Tensor;

use super::{Error, Raw, made, pointer};

unsafe extern "C" {
    fn r1flow_swiglu(x: Raw, out: *mut Raw) -> *mut c_char;
    #[rustfmt::skip]
    fn r1flow_rotate(x: Raw, cos: Raw, sin: Raw, heads: i64, out: *mut Raw) -> *mut c_char;
    #[rustfmt::skip]
    fn r1flow_log_probs(logits: Raw, targets: Raw, scale: c_double, out: *mut Raw) -> *mut c_char;
}

/// Returns `silu(gate) * up` of [n, 2 f], gates first.
pub(crate) fn swiglu(gate_up: &Tensor) -> Result<Tensor, Error> {
    // SAFETY: the tensors live through the call, as in all below.
    made(|out| unsafe { r1flow_swiglu(pointer(gate_up), out) })
}

/// Rotates the first `heads` heads of each token.
pub(crate) fn rotate(x_nc: &Tensor, cos_nd: &Tensor, sin_nd: &Tensor, heads: i64) -> Result<Tensor, Error> {
    // SAFETY: as above.
    made(|out| unsafe { r1flow_rotate(pointer(x_nc), pointer(cos_nd), pointer(sin_nd), heads, out) })
}

/// ln p(target) of `logits * scale`, [n].
pub(crate) fn log_probs(logits_nv: &Tensor, targets_n: &Tensor, scale: f64) -> Result<Tensor, Error> {
    // SAFETY: as above.
    made(|out| unsafe { r1flow_log_probs(pointer(logits_nv), pointer(targets_n), scale, out) })
}
