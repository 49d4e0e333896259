//! A `libtorch_cuda.so` for machines without a card: it takes CUDA's place in libtorch and keeps CUDA's rules.
//!
//! Tests give its folder to a program in the variable by which a real one is named, and the program then runs its GPU path:
//! every operation on tensors of `cuda:0` is dispatched, counted and computed by libtorch's CPU kernels. What a GPU would
//! refuse is refused:
//!
//! - memory of the device that the host touches is a segmentation fault, and unwritten memory holds NaN;
//! - tensors of two devices in one operation are an error, as are operations that deterministic mode forbids;
//! - while a graph is captured nothing may wait for the device or reach the host, nothing of what is captured is done until
//!   the graph is replayed, and what was freed is not given to others.
//!
//! Beside it lies a `libcaffe2_nvrtc.so` that stands for CUDA's run-time compiler and driver. It contains the kernels of
//! `../shim/cuda/kernels`, compiled for the host, takes no other source, and runs a block's threads in turns.
//!
//! It says nothing about speed, and nothing about the last bits of CUDA's kernels. Launches, copies and graphs are counted
//! and, where `SIMULATED_GPU_REPORT` names a file, added to it as a JSON line at the program's end.

use std::path::PathBuf;

/// Names a file that gets one line of JSON at the end of each program that used the simulated GPU.
pub const REPORT_VARIABLE: &str = "SIMULATED_GPU_REPORT";

/// Names what the simulated GPU shall lack, one or several: `flash` (attention's kernels) or `graphs`, as an old one does, or
/// `nvrtc`, the compiler of kernels.
pub const LACKS_VARIABLE: &str = "SIMULATED_GPU_LACKS";

/// Names the folder of a real `libtorch_cuda.so`: tests then run on the card of this machine.
pub const REAL_VARIABLE: &str = "R1FLOW_TEST_GPU";

/// The folder of the `libtorch_cuda.so` that tests shall use.
pub fn folder() -> PathBuf {
    std::env::var_os(REAL_VARIABLE).map_or_else(|| PathBuf::from(env!("OUT_DIR")), PathBuf::from)
}

/// Whether that one is simulated: what is counted, and what it lacks, is the simulation's alone.
pub fn is_simulated() -> bool {
    std::env::var_os(REAL_VARIABLE).is_none()
}
