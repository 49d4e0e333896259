//! The operations of a network. Each has one function, which picks a CPU kernel, a GPU kernel or libtorch's own.
//!
//! Callers call the operation with its tensors; only this module decides which kernel supports them (`kernels.rs`). The
//! fallback is libtorch, which supports every device and type.
//!
//! | Operation | CPU kernel | GPU kernel |
//! |---|---|---|
//! | [`rms_norm`], [`rms_norm_residual`] | f32, bf16 | f32, bf16; rows up to 4,096 wide |
//! | [`swiglu`], [`rotate`], [`log_probs`] | f32, bf16 | f32, bf16 |
//! | [`packed_attention`] | f32, bf16; rows up to 2,048 tokens | flash: bf16, f16; heads up to 256 wide |
//! | [`decode_attention`] | f32, bf16; with a [`Cache`] of f32 | f32, bf16; heads up to 512 wide |
//! | [`sample`], [`sample_on_device`] | f32, bf16; no top-p, no top-k | f32, bf16; no top-p, no top-k |
//!
//! [`linear`], [`linear_add`] and [`fused_linear`] are one call each: the shim picks the matmul by shape and type
//! (`shim/linear.cpp`).

mod cache;
mod decode;
mod kernels;
mod linear;
mod logits;
mod norm;
mod packed;
mod rotate;
mod sample;
mod swiglu;

pub(crate) use cache::{Cache, Destinations, cache_bytes, useful_rows};
pub(crate) use decode::{Newest, decode_attention};
pub(crate) use linear::{fused_linear, linear, linear_add};
pub(crate) use logits::{log_probs, log_softmax};
pub(crate) use norm::{rms_norm, rms_norm_residual};
pub(crate) use packed::{Layout, packed_attention};
pub(crate) use rotate::rotate;
pub(crate) use sample::{Draw, read_drawn, sample, sample_on_device};
pub(crate) use swiglu::swiglu;
