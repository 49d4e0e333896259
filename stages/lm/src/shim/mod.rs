//! Safe faces of the C++ shim (`shim/*.cpp`): what tch lacks.
//!
//! Every call catches C++ exceptions and hands them back as an [`Error`]. Nothing here keeps a pointer after it
//! returns, but for the graphs of [`gpu`].

pub(crate) mod cuda;
pub(crate) mod gpu;

use std::ffi::{CStr, c_char, c_double, c_int};
use std::ptr::null_mut;

use tch::Tensor;
use torch_sys::C_tensor;

use crate::heads::Heads;

/// An exception that libtorch threw inside the shim.
#[derive(Debug, thiserror::Error)]
#[error("libtorch: {message}")]
pub struct Error {
    /// What libtorch says.
    pub message: String,
    /// Whether memory ran out; any other error is a refusal, or a mistake.
    pub is_out_of_memory: bool,
}

impl Error {
    fn new(message: String) -> Self {
        Self { message, is_out_of_memory: false }
    }
}

/// How a message begins where memory ran out (OUT_OF_MEMORY of `shim/shim.h`).
const OUT_OF_MEMORY: char = '\x01';

unsafe extern "C" {
    fn r1flow_free(message: *mut c_char);
    fn r1flow_cpu_capability() -> *mut c_char;
    #[rustfmt::skip]
    fn r1flow_fused_adamw(
        params: *const *mut C_tensor,
        grads: *const *mut C_tensor,
        exp_avgs: *const *mut C_tensor,
        exp_avg_sqs: *const *mut C_tensor,
        count: i64,
        step: *mut C_tensor,
        lr: c_double,
        beta1: c_double,
        beta2: c_double,
        weight_decay: c_double,
        eps: c_double,
    ) -> *mut c_char;
    fn r1flow_norm(tensors: *const *mut C_tensor, count: i64, norm: *mut c_double) -> *mut c_char;
    fn r1flow_scale_(tensors: *const *mut C_tensor, count: i64, factor: c_double) -> *mut c_char;
    fn r1flow_drop_grads(tensors: *const *mut C_tensor, count: i64) -> *mut c_char;
    #[rustfmt::skip]
    fn r1flow_put(
        into: *mut C_tensor,
        slots: *mut C_tensor,
        positions: *mut C_tensor,
        values: *mut C_tensor,
    ) -> *mut c_char;
    fn r1flow_backward_from(output: *mut C_tensor, grad: *mut C_tensor) -> *mut c_char;
    fn r1flow_grads_in_single(tensors: *const *mut C_tensor, count: i64) -> *mut c_char;
    fn r1flow_adapt(weight: *mut C_tensor, a: *mut C_tensor, b: *mut C_tensor, scale: c_double) -> *mut c_char;
    fn r1flow_set_deterministic(on: c_int) -> *mut c_char;
    #[rustfmt::skip]
    fn r1flow_fused_linear(
        x: *mut C_tensor,
        fused: *mut C_tensor,
        fused_bias: *mut C_tensor,
        parts: *const *mut C_tensor,
        num_parts: i64,
        num_weights: i64,
        out: *mut *mut C_tensor,
    ) -> *mut c_char;
    fn r1flow_rms_norm(x: *mut C_tensor, weight: *mut C_tensor, eps: c_double, out: *mut *mut C_tensor) -> *mut c_char;
    fn r1flow_swiglu(x: *mut C_tensor, out: *mut *mut C_tensor) -> *mut c_char;
    #[rustfmt::skip]
    fn r1flow_rotate(
        x: *mut C_tensor,
        cos: *mut C_tensor,
        sin: *mut C_tensor,
        heads: i64,
        out: *mut *mut C_tensor,
    ) -> *mut c_char;
    #[rustfmt::skip]
    fn r1flow_row_attention(
        qkv: *mut C_tensor,
        starts: *mut C_tensor,
        h: i64,
        g: i64,
        d: i64,
        window: i64,
        out: *mut *mut C_tensor,
    ) -> *mut c_char;
    fn r1flow_linear(x: *mut C_tensor, w: *mut C_tensor, out: *mut *mut C_tensor) -> *mut c_char;
    #[rustfmt::skip]
    fn r1flow_linear_add(
        x: *mut C_tensor,
        a: *mut C_tensor,
        w: *mut C_tensor,
        bias: *mut C_tensor,
        out: *mut *mut C_tensor,
    ) -> *mut c_char;
    #[rustfmt::skip]
    fn r1flow_cache_write(
        qkv: *mut C_tensor,
        keys: *mut C_tensor,
        values: *mut C_tensor,
        tokens: *const i64,
        slots: *const i64,
        positions: *const i64,
        count: i64,
        h: i64,
        g: i64,
        d: i64,
    ) -> *mut c_char;
    #[rustfmt::skip]
    fn r1flow_decode_attention(
        qkv: *mut C_tensor,
        keys: *mut C_tensor,
        values: *mut C_tensor,
        positions: *const i64,
        h: i64,
        g: i64,
        d: i64,
        window: i64,
        out: *mut *mut C_tensor,
    ) -> *mut c_char;
    #[rustfmt::skip]
    fn r1flow_log_probs(
        logits: *mut C_tensor,
        targets: *mut C_tensor,
        scale: c_double,
        out: *mut *mut C_tensor,
    ) -> *mut c_char;
    #[rustfmt::skip]
    fn r1flow_sample(
        logits: *mut C_tensor,
        scale: c_double,
        greedy: c_int,
        uniforms: *const f32,
        tokens: *mut i64,
        log_probs: *mut f32,
    ) -> *mut c_char;
}

/// What one fused AdamW step works on; the lists have equal length and matching shapes.
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

/// Returns the Euclidean norm of all tensors taken as one vector; one host sync.
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

/// Drops the gradients of leaves, so that the next backward pass stores instead of adds.
pub(crate) fn drop_grads(tensors: &[&Tensor]) -> Result<(), Error> {
    // SAFETY: as in `fused_adamw`.
    checked(unsafe { r1flow_drop_grads(pointers(tensors).as_ptr(), tensors.len() as i64) })
}

/// Writes `values`, [n, g, d], to distinct (slot, position) pairs of `into`, [s, g, t, d].
pub(crate) fn put(into: &Tensor, slots_n: &Tensor, positions_n: &Tensor, values: &Tensor) -> Result<(), Error> {
    // SAFETY: the tensors live through the call.
    checked(unsafe { r1flow_put(pointer(into), pointer(slots_n), pointer(positions_n), pointer(values)) })
}

/// Runs backward from `output`, given the gradient of the loss with respect to it.
pub(crate) fn backward_from(output: &Tensor, grad: &Tensor) -> Result<(), Error> {
    // SAFETY: both tensors live through the call.
    checked(unsafe { r1flow_backward_from(pointer(output), pointer(grad)) })
}

/// Keeps the gradients of leaves, and their sums over backward passes, in single precision, whatever the leaves' type.
pub(crate) fn grads_in_single(tensors: &[&Tensor]) -> Result<(), Error> {
    // SAFETY: as in `fused_adamw`.
    checked(unsafe { r1flow_grads_in_single(pointers(tensors).as_ptr(), tensors.len() as i64) })
}

/// Redirects gradients that arrive at `weight` to `a` and `b`, for good.
pub(crate) fn adapt(weight: &Tensor, a: &Tensor, b: &Tensor, scale: f64) -> Result<(), Error> {
    // SAFETY: the tensors live through the call, and the hook has references of its own.
    checked(unsafe { r1flow_adapt(pointer(weight), pointer(a), pointer(b), scale) })
}

/// Makes libtorch refuse, or replace, operations whose result depends on the order of threads.
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

/// Returns `x + a w^T + bias`. Where no gradient is wanted `x_nd` itself is overwritten.
pub(crate) fn linear_add(x_nd: &Tensor, a: &Tensor, w: &Tensor, bias: Option<&Tensor>) -> Result<Tensor, Error> {
    let bias = bias.map_or(null_mut(), pointer);
    // SAFETY: the tensors live through the call.
    made(|out| unsafe { r1flow_linear_add(pointer(x_nd), pointer(a), pointer(w), bias, out) })
}

pub(crate) fn rms_norm(x_nd: &Tensor, weight_d: &Tensor, eps: f64) -> Result<Tensor, Error> {
    // SAFETY: the tensors live through the call, as in all below.
    made(|out| unsafe { r1flow_rms_norm(pointer(x_nd), pointer(weight_d), eps, out) })
}

pub(crate) fn swiglu(gate_up: &Tensor) -> Result<Tensor, Error> {
    // SAFETY: as above.
    made(|out| unsafe { r1flow_swiglu(pointer(gate_up), out) })
}

/// Rotates the first `heads` heads of each token.
pub(crate) fn rotate(x_nc: &Tensor, cos_nd: &Tensor, sin_nd: &Tensor, heads: i64) -> Result<Tensor, Error> {
    // SAFETY: as above.
    made(|out| unsafe { r1flow_rotate(pointer(x_nc), pointer(cos_nd), pointer(sin_nd), heads, out) })
}

/// Causal attention of packed rows; `starts` holds where rows begin, and the number of tokens at its end.
pub(crate) fn row_attention(qkv_nc: &Tensor, starts: &Tensor, heads: Heads) -> Result<Tensor, Error> {
    let Heads { query, key_value, dim, window } = heads;
    let (qkv, starts, window) = (pointer(qkv_nc), pointer(starts), window.unwrap_or(0));
    // SAFETY: as above.
    made(|out| unsafe { r1flow_row_attention(qkv, starts, query, key_value, dim, window, out) })
}

/// Writes the key and value of token `tokens[i]` to `positions[i]` of `slots[i]`.
///
/// Keys are [slots, g, positions / 16, d, 16], values [slots, g, positions, d], d padded to a multiple of sixteen.
pub(crate) fn cache_write(
    qkv_nc: &Tensor,
    (keys, values): (&Tensor, &Tensor),
    tokens: &[i64],
    slots: &[i64],
    positions: &[i64],
    heads: Heads,
) -> Result<(), Error> {
    assert!(tokens.len() == slots.len() && tokens.len() == positions.len(), "a slot and a position for each token");
    let Heads { query, key_value, dim, window: _ } = heads;
    // SAFETY: as above; the three lists are equally long.
    checked(unsafe {
        let (qkv, keys, values) = (pointer(qkv_nc), pointer(keys), pointer(values));
        let (tokens, slots, count) = (tokens.as_ptr(), slots.as_ptr(), tokens.len() as i64);
        r1flow_cache_write(qkv, keys, values, tokens, slots, positions.as_ptr(), count, query, key_value, dim)
    })
}

/// Writes row `i`'s key and value to `positions[i]` of slot `i`, as [`cache_write`] does, then attends over the
/// positions up to it, or over the window's.
pub(crate) fn decode_attention(
    qkv_nc: &Tensor,
    (keys, values): (&Tensor, &Tensor),
    positions: &[i64],
    heads: Heads,
) -> Result<Tensor, Error> {
    assert_eq!(qkv_nc.size()[0], positions.len() as i64, "one position for each row");
    let Heads { query, key_value, dim, window } = heads;
    // SAFETY: as above; `positions` has one number for each row.
    made(|out| unsafe {
        let (qkv, keys, values, window) = (pointer(qkv_nc), pointer(keys), pointer(values), window.unwrap_or(0));
        r1flow_decode_attention(qkv, keys, values, positions.as_ptr(), query, key_value, dim, window, out)
    })
}

/// ln p(target) of `logits * scale`, [n].
pub(crate) fn log_probs(logits_nv: &Tensor, targets_n: &Tensor, scale: f64) -> Result<Tensor, Error> {
    // SAFETY: as above.
    made(|out| unsafe { r1flow_log_probs(pointer(logits_nv), pointer(targets_n), scale, out) })
}

/// Draws a token for each row of `logits * scale` by its uniform number, or takes the likeliest, with its ln p.
pub(crate) fn sample(logits_nv: &Tensor, scale: f64, greedy: bool, uniforms: &[f32]) -> Result<Vec<(i64, f32)>, Error> {
    assert_eq!(logits_nv.size()[0], uniforms.len() as i64, "one uniform number for each row");
    let (mut tokens, mut log_probs) = (vec![0i64; uniforms.len()], vec![0f32; uniforms.len()]);
    // SAFETY: all three arrays have one element for each row of the logits.
    checked(unsafe {
        let (tokens, log_probs) = (tokens.as_mut_ptr(), log_probs.as_mut_ptr());
        r1flow_sample(pointer(logits_nv), scale, c_int::from(greedy), uniforms.as_ptr(), tokens, log_probs)
    })?;
    Ok(tokens.into_iter().zip(log_probs).collect())
}

fn made(call: impl FnOnce(*mut *mut C_tensor) -> *mut c_char) -> Result<Tensor, Error> {
    let mut out = null_mut();
    checked(call(&raw mut out))?;
    // SAFETY: a call without a message has stored a new tensor, which is ours.
    Ok(unsafe { Tensor::from_ptr(out) })
}

fn pointer(tensor: &Tensor) -> *mut C_tensor {
    tensor.as_ptr().cast_mut()
}

fn pointers(tensors: &[&Tensor]) -> Vec<*mut C_tensor> {
    tensors.iter().map(|tensor| pointer(tensor)).collect()
}

/// Returns what libtorch chooses its own CPU kernels by: `AVX512`, `AVX2`, `DEFAULT`, …
pub(crate) fn cpu_capability() -> String {
    // SAFETY: it takes nothing, and returns a text like a message.
    let text = unsafe { r1flow_cpu_capability() };
    checked(text).err().map_or_else(String::new, |text| text.message)
}

fn checked(message: *mut c_char) -> Result<(), Error> {
    if message.is_null() {
        return Ok(());
    }
    // SAFETY: the shim returns a NUL-terminated string made with malloc, which is ours to free.
    unsafe {
        let text = CStr::from_ptr(message).to_string_lossy().into_owned();
        r1flow_free(message);
        match text.strip_prefix(OUT_OF_MEMORY) {
            Some(rest) => Err(Error { message: rest.to_owned(), is_out_of_memory: true }),
            None => Err(Error::new(text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_ran_out_is_told_from_a_refusal() {
        // SAFETY: `checked` frees the copies.
        let error = |message: &CStr| checked(unsafe { libc::strdup(message.as_ptr()) }).expect_err("a message");
        let memory = error(c"\x01CUDA out of memory");
        assert!(memory.is_out_of_memory);
        assert_eq!(memory.to_string(), "libtorch: CUDA out of memory");
        assert!(!error(c"FlashAttention only supports Ampere GPUs or newer.").is_out_of_memory);
    }
}
