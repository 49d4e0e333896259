//! A `libtorch_cuda.so` for machines without a card: it replaces CUDA in libtorch and enforces CUDA's rules.
//!
//! Tests pass its folder to a program in the environment variable for a real one, and the program then runs its GPU
//! path: every operation on tensors of `cuda:0` is dispatched, counted and computed by libtorch's CPU kernels.
//! Operations that a GPU would refuse are refused:
//!
//! - an access of the host to device memory is a segmentation fault, and unwritten memory contains NaN;
//! - tensors of two devices in one operation are an error, as are operations that deterministic mode forbids;
//! - while a graph is captured, nothing may wait for the device or reach the host; captured work is done only when the
//!   graph is replayed; and memory freed during a capture is not given to others.
//!
//! Beside it is a `libcaffe2_nvrtc.so`, which simulates CUDA's run-time compiler and driver. It contains the kernels of
//! `../shim/cuda/kernels`, compiled for the host, refuses any other source, and runs a block's threads in turns.
//!
//! It does not simulate speed or the last bits of CUDA's kernels. Launches, copies and graphs are counted; if
//! `SIMULATED_GPU_REPORT` names a file, the counters are appended to it as a JSON line at the program's end.

use std::path::PathBuf;

/// The environment variable with a file to which each program that used the simulated GPU appends one line of JSON at
/// its end.
pub const REPORT_VARIABLE: &str = "SIMULATED_GPU_REPORT";

/// The environment variable with features that the simulated GPU lacks, one or several: `flash` (attention's kernels)
/// or `graphs`, like an old GPU, or `nvrtc`, the compiler of kernels.
pub const LACKS_VARIABLE: &str = "SIMULATED_GPU_LACKS";

/// The environment variable with the folder of a real `libtorch_cuda.so`: tests then run on this machine's card.
pub const REAL_VARIABLE: &str = "R1FLOW_TEST_GPU";

/// Returns the folder of the `libtorch_cuda.so` for tests.
pub fn folder() -> PathBuf {
    std::env::var_os(REAL_VARIABLE).map_or_else(|| PathBuf::from(env!("OUT_DIR")), PathBuf::from)
}

/// Returns whether that library is the simulated one. Only the simulation counts operations, and lacks features on
/// request.
pub fn is_simulated() -> bool {
    std::env::var_os(REAL_VARIABLE).is_none()
}
