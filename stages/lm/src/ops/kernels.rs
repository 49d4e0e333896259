//! The tensors that our own kernels support.
//!
//! A GPU's kernels are compiled when [`gpu_takes`] is first called with a tensor that they support.

use tch::{Device, Kind, Tensor};

use crate::shim::cuda;

/// Returns whether the CPU kernels support this tensor.
pub(super) fn cpu_takes(x: &Tensor) -> bool {
    cpu_takes_type(x.kind(), x.device())
}

/// Returns whether the CPU kernels support tensors of this type on this device. They always compute in single
/// precision.
pub(super) fn cpu_takes_type(kind: Kind, device: Device) -> bool {
    matches!(kind, Kind::Float | Kind::BFloat16) && device == Device::Cpu
}

/// Returns whether the GPU kernels support `x`, whose rows consist of parts of these widths. They need single precision
/// or bf16, and widths that are multiples of sixteen bytes, which they read at a time.
pub(super) fn gpu_takes(x: &Tensor, widths: &[i64]) -> bool {
    let at_once = match x.kind() {
        Kind::Float => 4,
        Kind::BFloat16 => 8,
        _ => return false,
    };
    let Device::Cuda(index) = x.device() else { return false };
    widths.iter().all(|width| width % at_once == 0) && cuda::has_kernels(index)
}
