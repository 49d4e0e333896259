//! Which tensors our own kernels take.
//!
//! A GPU's kernels are compiled when [`gpu_takes`] first meets a tensor that suits them.

use tch::{Device, Kind, Tensor};

use crate::shim::cuda;

/// Returns whether the CPU kernels take this tensor.
pub(super) fn cpu_takes(x: &Tensor) -> bool {
    cpu_takes_type(x.kind(), x.device())
}

/// Returns whether the CPU kernels take tensors of this type on this device. They always compute in single precision.
pub(super) fn cpu_takes_type(kind: Kind, device: Device) -> bool {
    matches!(kind, Kind::Float | Kind::BFloat16) && device == Device::Cpu
}

/// Returns whether the GPU kernels take `x`, whose rows are made of parts of these widths: single precision or bf16,
/// which they read sixteen bytes at a time.
pub(super) fn gpu_takes(x: &Tensor, widths: &[i64]) -> bool {
    let at_once = match x.kind() {
        Kind::Float => 4,
        Kind::BFloat16 => 8,
        _ => return false,
    };
    let Device::Cuda(index) = x.device() else { return false };
    widths.iter().all(|width| width % at_once == 0) && cuda::has_kernels(index)
}
