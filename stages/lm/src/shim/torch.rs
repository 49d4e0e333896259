//! Safe wrappers of libtorch's functions that tch lacks (`shim/torch.cpp`, `shim/linear.cpp`), on every device.

use std::ffi::{c_char, c_double, c_int};
use std::ptr::null_mut;

use tch::Tensor;

use super::{Error, Raw, checked, made, pointer, pointers};
use crate::dropout::Dropout;

unsafe extern "C" {
    fn r1flow_cpu_capability() -> *mut c_char;
    #[rustfmt::skip]
    fn r1flow_fused_adamw(
        params: *const Raw,
        grads: *const Raw,
        exp_avgs: *const Raw,
        exp_avg_sqs: *const Raw,
        count: i64,
        step: Raw,
        lr: c_double,
        beta1: c_double,
        beta2: c_double,
        weight_decay: c_double,
        eps: c_double,
    ) -> *mut c_char;
    fn r1flow_norm(tensors: *const Raw, count: i64, norm: *mut c_double) -> *mut c_char;
    fn r1flow_scale_(tensors: *const Raw, count: i64, factor: c_double) -> *mut c_char;
    fn r1flow_drop_grads(tensors: *const Raw, count: i64) -> *mut c_char;
    #[rustfmt::skip]
    fn r1flow_put(into: Raw, slots: Raw, positions: Raw, values: Raw) -> *mut c_char;
    fn r1flow_backward_from(output: Raw, grad: Raw) -> *mut c_char;
    fn r1flow_grads_in_single(tensors: *const Raw, count: i64) -> *mut c_char;
    #[rustfmt::skip]
    fn r1flow_adapt(
        weight: Raw,
        a: Raw,
        b: Raw,
        scale: c_double,
        dropped: c_double,
        stream: u64,
        pass_number: Raw,
    ) -> *mut c_char;
    fn r1flow_set_deterministic(on: c_int) -> *mut c_char;
    #[rustfmt::skip]
    fn r1flow_fused_linear(
        x: Raw,
        fused: Raw,
        fused_bias: Raw,
        parts: *const Raw,
        num_parts: i64,
        num_weights: i64,
        out: *mut Raw,
    ) -> *mut c_char;
    fn r1flow_linear(x: Raw, w: Raw, out: *mut Raw) -> *mut c_char;
    #[rustfmt::skip]
    fn r1flow_linear_add(x: Raw, a: Raw, w: Raw, bias: Raw, out: *mut Raw) -> *mut c_char;
}

/// The arguments of one fused AdamW step; the lists have equal length and matching shapes.
pub(crate) struct AdamWStep<'a> {
    pub(crate) params: &'a [&'a Tensor],
    pub(crate) grads: &'a [&'a Tensor],
    pub(crate) exp_avgs: &'a [&'a Tensor],
    pub(crate) exp_avg_sqs: &'a [&'a Tensor],
    /// The number of this step, counted from 1, as one float.
    pub(crate) step: &'a Tensor,
    pub(crate) lr: f64,
    pub(crate) beta1: f64,
    pub(crate) beta2: f64,
    pub(crate) weight_decay: f64,
    pub(crate) eps: f64,
}

/// Takes one step of AdamW, in place.
pub(crate) fn fused_adamw(args: &AdamWStep) -> Result<(), Error> {
    let count = args.params.len();
    assert!(
        [args.grads.len(), args.exp_avgs.len(), args.exp_avg_sqs.len()].iter().all(|len| *len == count),
        "the lists of an AdamW step differ in length"
    );
    // SAFETY: the pointers live through the call, and the shim reads exactly `count` of each.
    checked(unsafe {
        r1flow_fused_adamw(
            pointers(args.params).as_ptr(),
            pointers(args.grads).as_ptr(),
            pointers(args.exp_avgs).as_ptr(),
            pointers(args.exp_avg_sqs).as_ptr(),
            count as i64,
            pointer(args.step),
            args.lr,
            args.beta1,
            args.beta2,
            args.weight_decay,
            args.eps,
        )
    })
}

/// Returns the Euclidean norm of all tensors as one vector, with one host sync.
pub(crate) fn norm(tensors: &[&Tensor]) -> Result<f64, Error> {
    let mut norm = 0.0;
    // SAFETY: as in `fused_adamw`.
    checked(unsafe { r1flow_norm(pointers(tensors).as_ptr(), tensors.len() as i64, &raw mut norm) })?;
    Ok(norm)
}

/// Multiplies every tensor by `factor` in place.
pub(crate) fn scale(tensors: &[&Tensor], factor: f64) -> Result<(), Error> {
    // SAFETY: as in `fused_adamw`.
    checked(unsafe { r1flow_scale_(pointers(tensors).as_ptr(), tensors.len() as i64, factor) })
}

/// Drops the gradients of leaves, so that the next backward pass stores gradients instead of adding them.
pub(crate) fn drop_grads(tensors: &[&Tensor]) -> Result<(), Error> {
    // SAFETY: as in `fused_adamw`.
    checked(unsafe { r1flow_drop_grads(pointers(tensors).as_ptr(), tensors.len() as i64) })
}

/// Writes `values`, [n, g, d], to distinct (slot, position) pairs of `into`, [s, g, t, d].
pub(crate) fn put(into: &Tensor, slots_n: &Tensor, positions_n: &Tensor, values: &Tensor) -> Result<(), Error> {
    // SAFETY: the tensors live through the call.
    checked(unsafe { r1flow_put(pointer(into), pointer(slots_n), pointer(positions_n), pointer(values)) })
}

/// Runs the backward pass from `output`, given the gradient of the loss with respect to it.
pub(crate) fn backward_from(output: &Tensor, grad: &Tensor) -> Result<(), Error> {
    // SAFETY: both tensors live through the call.
    checked(unsafe { r1flow_backward_from(pointer(output), pointer(grad)) })
}

/// Makes leaves accumulate their gradients in single precision, whatever the leaves' type.
pub(crate) fn grads_in_single(tensors: &[&Tensor]) -> Result<(), Error> {
    // SAFETY: as in `fused_adamw`.
    checked(unsafe { r1flow_grads_in_single(pointers(tensors).as_ptr(), tensors.len() as i64) })
}

/// Redirects gradients that arrive at `weight` to `a` and `b`, permanently.
pub(crate) fn adapt(weight: &Tensor, a: &Tensor, b: &Tensor, scale: f64, dropout: &Dropout) -> Result<(), Error> {
    let Dropout { share, stream, passes } = dropout;
    let passes = pointer(passes.tensor());
    // SAFETY: the tensors live through the call, and the hook has references of its own.
    checked(unsafe { r1flow_adapt(pointer(weight), pointer(a), pointer(b), scale, *share, *stream, passes) })
}

/// Makes libtorch refuse or replace operations whose result depends on the order of threads.
pub(crate) fn set_deterministic(on: bool) -> Result<(), Error> {
    // SAFETY: no pointers.
    checked(unsafe { r1flow_set_deterministic(c_int::from(on)) })
}

/// Returns `x fused^T + bias`; gradients go to the `parts`: all weights, then as many biases or none, whose rows
/// `fused` and `fused_bias` hold one after the other.
pub(crate) fn fused_linear(
    x_nd: &Tensor,
    fused: &Tensor,
    fused_bias: Option<&Tensor>,
    parts: &[&Tensor],
    num_weights: usize,
) -> Result<Tensor, Error> {
    let (parts, bias) = (pointers(parts), fused_bias.map_or(null_mut(), pointer));
    made(|out| {
        // SAFETY: the pointers live through the call.
        unsafe {
            let (count, num_weights) = (parts.len() as i64, num_weights as i64);
            r1flow_fused_linear(pointer(x_nd), pointer(fused), bias, parts.as_ptr(), count, num_weights, out)
        }
    })
}

/// Returns `x w^T`.
pub(crate) fn linear(x_nd: &Tensor, w: &Tensor) -> Result<Tensor, Error> {
    // SAFETY: the tensors live through the call.
    made(|out| unsafe { r1flow_linear(pointer(x_nd), pointer(w), out) })
}

/// Returns `x + a w^T + bias`. If no gradient is needed, `x_nd` itself is overwritten.
pub(crate) fn linear_add(x_nd: &Tensor, a: &Tensor, w: &Tensor, bias: Option<&Tensor>) -> Result<Tensor, Error> {
    let bias = bias.map_or(null_mut(), pointer);
    // SAFETY: the tensors live through the call.
    made(|out| unsafe { r1flow_linear_add(pointer(x_nd), pointer(a), pointer(w), bias, out) })
}

/// Returns the instruction set of libtorch's own CPU kernels: `AVX512`, `AVX2`, `DEFAULT`, …
pub(crate) fn cpu_capability() -> String {
    // SAFETY: it takes no arguments, and returns a string in the form of a message.
    let text = unsafe { r1flow_cpu_capability() };
    checked(text).err().map_or_else(String::new, |text| text.message)
}
