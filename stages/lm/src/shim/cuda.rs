//! Safe faces of the GPU's kernels (`shim/cuda`). Shapes as there: n tokens, c channels, d channels of a head, v vocabulary.

use std::collections::BTreeMap;
use std::ffi::c_char;
use std::ptr::null_mut;
use std::sync::{Mutex, PoisonError};

use tch::{Device, Kind, Tensor};
use torch_sys::C_tensor;

use super::{Error, checked, made, pointer};
use crate::attention::Heads;
use crate::rope::Rotation;

type Raw = *mut C_tensor;

unsafe extern "C" {
    fn r1flow_cuda_prepare(index: i64) -> *mut c_char;
    fn r1flow_cuda_rms_norm(x: Raw, weight: Raw, eps: f64, stream: *mut Raw, out: *mut Raw) -> *mut c_char;
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

/// Whether the kernels take `x`, whose rows are made of parts of these widths: on a GPU, in single precision or brain floats,
/// which they read sixteen bytes at a time.
pub(crate) fn suits(x: &Tensor, widths: &[i64]) -> bool {
    let at_once = match x.kind() {
        Kind::Float => 4,
        Kind::BFloat16 => 8,
        _ => return false,
    };
    let Device::Cuda(index) = x.device() else { return false };
    widths.iter().all(|width| width % at_once == 0) && are_there(index)
}

/// Compiles the kernels for a GPU when they are first wanted. Where that cannot be libtorch's do, and the user is told.
fn are_there(index: usize) -> bool {
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

/// The stream and its RMSNorm over the last dimension, for what [`suits`] with its width and [`norms`]. Who goes on with the stream
/// that is returned has a cheaper way back.
pub(crate) fn rms_norm(x: &Tensor, weight_d: &Tensor, eps: f64) -> Result<(Tensor, Tensor), Error> {
    let mut stream = null_mut();
    // SAFETY: the tensors live through the call, as in all below, and there is room for both results.
    let out = made(|out| unsafe { r1flow_cuda_rms_norm(pointer(x), pointer(weight_d), eps, &raw mut stream, out) })?;
    // SAFETY: it is a new tensor, which nobody else has.
    Ok((unsafe { Tensor::from_ptr(stream) }, out))
}

/// Whether a block has threads for a norm of this width (WIDEST of `kernels/layers.cu`).
pub(crate) fn norms(width: i64) -> bool {
    width <= 4 * 1024
}

/// Draws a token for each row of logits times `scale`, [n, v], by its uniform number, [n] in double precision; without any it
/// takes the likeliest. Returns the tokens and their ln p, [n, 2] in double precision.
pub(crate) fn sample(logits_nv: &Tensor, uniforms_n: Option<&Tensor>, scale: f64) -> Result<Tensor, Error> {
    let uniforms = uniforms_n.map_or(null_mut(), pointer);
    // SAFETY: as above.
    made(|out| unsafe { r1flow_cuda_sample(pointer(logits_nv), uniforms, scale, out) })
}

/// Causal attention of packed rows of at most `longest` tokens in brain floats or halves, [n, c] to [n, h d]; `starts` holds
/// where rows begin, and the number of tokens at its end, in 32 bits on the GPU.
pub(crate) fn flash_attention(qkv_nc: &Tensor, starts: &Tensor, longest: i64, heads: Heads) -> Result<Tensor, Error> {
    let Heads { query, key_value, dim, window } = heads;
    let (qkv, starts, window) = (pointer(qkv_nc), pointer(starts), window.unwrap_or(0));
    // SAFETY: as above.
    made(|out| unsafe { r1flow_flash_attention(qkv, starts, longest, query, key_value, dim, window, out) })
}

/// Whether a block of [`decode`] has threads for heads of this width (SPLIT packs of `kernels/decode.cu`).
pub(crate) fn decodes(width: i64) -> bool {
    width <= 512
}

/// Puts each row's newest key and value, in [n, c] before rotation, at its position, [n], of its slot, and returns its attention
/// over what is there, [n, h d]; for what [`suits`] with half the width of a head, and [`decodes`]. A layer's keys and values are
/// [slots, g, t, d]; no position reaches `longest`.
pub(crate) fn decode(
    qkv_nc: &Tensor,
    rotation: &Rotation,
    (keys, values): (&Tensor, &Tensor),
    positions_n: &Tensor,
    longest: i64,
    heads: Heads,
) -> Result<Tensor, Error> {
    let Heads { query, key_value, dim, window } = heads;
    let (qkv, positions, window) = (pointer(qkv_nc), pointer(positions_n), window.unwrap_or(0));
    let (keys, values) = (pointer(keys), pointer(values));
    let (cos, sin) = (pointer(&rotation.cos_nd), pointer(&rotation.sin_nd));
    // SAFETY: as above.
    made(|out| unsafe {
        r1flow_cuda_decode(qkv, cos, sin, keys, values, positions, longest, query, key_value, dim, window, out)
    })
}
