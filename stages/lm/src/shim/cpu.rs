//! Safe wrappers of our CPU kernels (`shim/cpu_*.cpp`).

use std::ffi::{c_char, c_double, c_int};

use tch::Tensor;

use super::{Error, Raw, checked, made, pointer};
use crate::heads::Heads;

unsafe extern "C" {
    fn r1flow_rms_norm(x: Raw, weight: Raw, eps: c_double, out: *mut Raw) -> *mut c_char;
    #[rustfmt::skip]
    fn r1flow_row_attention(qkv: Raw, starts: Raw, h: i64, g: i64, d: i64, window: i64, out: *mut Raw) -> *mut c_char;
    #[rustfmt::skip]
    fn r1flow_cache_write(
        qkv: Raw,
        keys: Raw,
        values: Raw,
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
        qkv: Raw,
        keys: Raw,
        values: Raw,
        positions: *const i64,
        h: i64,
        g: i64,
        d: i64,
        window: i64,
        out: *mut Raw,
    ) -> *mut c_char;
    #[rustfmt::skip]
    fn r1flow_sample(
        logits: Raw,
        scale: c_double,
        greedy: c_int,
        uniforms: *const f32,
        tokens: *mut i64,
        log_probs: *mut f32,
    ) -> *mut c_char;
}

/// Returns the RMSNorm over the last dimension, scaled by `weight_d`.
pub(crate) fn rms_norm(x_nd: &Tensor, weight_d: &Tensor, eps: f64) -> Result<Tensor, Error> {
    // SAFETY: the tensors live through the call, as in all below.
    made(|out| unsafe { r1flow_rms_norm(pointer(x_nd), pointer(weight_d), eps, out) })
}

/// Returns causal attention of packed rows; `starts` contains the start of each row, and the number of tokens at the
/// end.
pub(crate) fn row_attention(qkv_nc: &Tensor, starts: &Tensor, heads: Heads) -> Result<Tensor, Error> {
    let Heads { query, key_value, dim, window } = heads;
    let (qkv, starts, window) = (pointer(qkv_nc), pointer(starts), window.unwrap_or(0));
    // SAFETY: as above.
    made(|out| unsafe { r1flow_row_attention(qkv, starts, query, key_value, dim, window, out) })
}

/// Writes the key and value of token `tokens[i]` to position `positions[i]` of slot `slots[i]`.
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

/// Writes row `i`'s key and value to position `positions[i]` of slot `i`, as [`cache_write`] does. Returns the
/// attention over the positions up to it, within the window.
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

/// Draws a token for each row of `logits * scale` by its uniform number, or takes the likeliest. Returns it with its ln
/// p.
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
