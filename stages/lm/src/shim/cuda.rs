//! Safe wrappers of our GPU kernels (`shim/cuda`). Shapes as there: n tokens, c channels, d channels of a head, v
//! vocabulary.

use std::collections::BTreeMap;
use std::ffi::c_char;
use std::ptr::null_mut;
use std::sync::{Mutex, PoisonError};

use tch::Tensor;

use super::{Error, Raw, checked, made, pointer};
use crate::heads::Heads;

unsafe extern "C" {
    fn r1flow_cuda_prepare(index: i64) -> *mut c_char;
    fn r1flow_cuda_rms_norm(x: Raw, weight: Raw, eps: f64, residual: *mut Raw, out: *mut Raw) -> *mut c_char;
    fn r1flow_cuda_sample(logits: Raw, uniforms: Raw, scale: f64, out: *mut Raw) -> *mut c_char;
    #[rustfmt::skip]
    fn r1flow_flash_attention(
        qkv: Raw,
        starts: Raw,
        longest: i64,
        h: i64,
        g: i64,
        d: i64,
        window: i64,
        out: *mut Raw,
    ) -> *mut c_char;
    #[rustfmt::skip]
    fn r1flow_cuda_decode(
        qkv: Raw,
        cos: Raw,
        sin: Raw,
        keys: Raw,
        values: Raw,
        positions: Raw,
        longest: i64,
        h: i64,
        g: i64,
        d: i64,
        window: i64,
        out: *mut Raw,
    ) -> *mut c_char;
}

/// Compiles the kernels for a GPU at the first call, and returns whether that worked. If not, the user is warned, and
/// libtorch's kernels are used.
pub(crate) fn has_kernels(index: usize) -> bool {
    static THERE: Mutex<BTreeMap<usize, bool>> = Mutex::new(BTreeMap::new());
    let mut there = THERE.lock().unwrap_or_else(PoisonError::into_inner);
    *there.entry(index).or_insert_with(|| {
        // SAFETY: no pointers.
        let prepared = checked(unsafe { r1flow_cuda_prepare(index as i64) });
        if let Err(error) = &prepared {
            tracing::warn!(
                "libtorch's kernels take the place of faster ones, which cannot be made for this GPU: {error}"
            );
        }
        prepared.is_ok()
    })
}

/// Returns the residual stream and its RMSNorm over the last dimension. Use the returned residual: its gradient is then
/// fused with the norm's in the backward pass.
pub(crate) fn rms_norm(x: &Tensor, weight_d: &Tensor, eps: f64) -> Result<(Tensor, Tensor), Error> {
    let mut residual = null_mut();
    // SAFETY: the tensors live through the call, as in all below, and there is room for both results.
    let out = made(|out| unsafe { r1flow_cuda_rms_norm(pointer(x), pointer(weight_d), eps, &raw mut residual, out) })?;
    // SAFETY: it is a new tensor, and this is its only owner.
    Ok((unsafe { Tensor::from_ptr(residual) }, out))
}

/// Draws a token for each row of logits times `scale`, [n, v], by its uniform number, [n] in double precision; without
/// uniform numbers it takes the likeliest. Returns the tokens and their ln p, [n, 2] in double precision.
pub(crate) fn sample(logits_nv: &Tensor, uniforms_n: Option<&Tensor>, scale: f64) -> Result<Tensor, Error> {
    let uniforms = uniforms_n.map_or(null_mut(), pointer);
    // SAFETY: as above.
    made(|out| unsafe { r1flow_cuda_sample(pointer(logits_nv), uniforms, scale, out) })
}

/// Returns causal attention of packed rows of at most `longest` tokens in bf16 or f16, [n, c] to [n, h d]. `starts`
/// contains the start of each row, and the number of tokens at the end, as 32-bit integers on the GPU.
pub(crate) fn flash_attention(qkv_nc: &Tensor, starts: &Tensor, longest: i64, heads: Heads) -> Result<Tensor, Error> {
    let Heads { query, key_value, dim, window } = heads;
    let (qkv, starts, window) = (pointer(qkv_nc), pointer(starts), window.unwrap_or(0));
    // SAFETY: as above.
    made(|out| unsafe { r1flow_flash_attention(qkv, starts, longest, query, key_value, dim, window, out) })
}

/// Rotates each row's newest query and key, [n, c], writes the key and value to the row's position, [n], in its slot,
/// and returns its attention over the positions that it sees, [n, h d]. A layer's keys and values are [slots, g, t, d];
/// all positions are below `longest`.
pub(crate) fn decode(
    qkv_nc: &Tensor,
    (cos_nd, sin_nd): (&Tensor, &Tensor),
    (keys, values): (&Tensor, &Tensor),
    positions_n: &Tensor,
    longest: i64,
    heads: Heads,
) -> Result<Tensor, Error> {
    let Heads { query, key_value, dim, window } = heads;
    let (qkv, positions, window) = (pointer(qkv_nc), pointer(positions_n), window.unwrap_or(0));
    let (keys, values) = (pointer(keys), pointer(values));
    let (cos, sin) = (pointer(cos_nd), pointer(sin_nd));
    // SAFETY: as above.
    made(|out| unsafe {
        r1flow_cuda_decode(qkv, cos, sin, keys, values, positions, longest, query, key_value, dim, window, out)
    })
}
