//! Safe faces of the shim's GPU part (`shim/gpu.cpp`).

use std::ffi::{c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::null_mut;

use tch::Tensor;
use torch_sys::C_tensor;

use super::{Error, checked, made, pointer};
use crate::attention::Heads;

unsafe extern "C" {
    fn r1flow_graph_begin(index: i64, graph: *mut *mut c_void) -> *mut c_char;
    fn r1flow_graph_end(graph: *mut c_void) -> *mut c_char;
    fn r1flow_graph_replay(graph: *mut c_void) -> *mut c_char;
    fn r1flow_graph_free(graph: *mut c_void);
    #[rustfmt::skip]
    fn r1flow_flash_attention(
        qkv: *mut C_tensor,
        starts: *mut C_tensor,
        longest: i64,
        h: i64,
        g: i64,
        d: i64,
        window: i64,
        out: *mut *mut C_tensor,
    ) -> *mut c_char;
    fn r1flow_device_memory(index: i64, bytes: *mut i64) -> *mut c_char;
    fn r1flow_reset_device_peak(index: i64) -> *mut c_char;
}

/// Work of a GPU, recorded once, that can be done again for the price of one launch (a CUDA graph).
pub(crate) struct Graph(*mut c_void);

impl Graph {
    /// Records what `body` asks GPU `index` to do, and returns it with the tensor that will hold the result.
    ///
    /// Nothing is done until [`Graph::replay`], which reads and writes the same memory each time: what `body` reads must
    /// outlive the graph. A `body` that waits for the GPU, or that libtorch refuses, is an error; the GPU is as before then.
    pub(crate) fn record(index: usize, body: impl FnOnce() -> Tensor) -> Result<(Self, Tensor), Error> {
        let mut graph = null_mut();
        // SAFETY: there is room for the pointer that is stored.
        checked(unsafe { r1flow_graph_begin(index as i64, &raw mut graph) })?;
        let graph = Self(graph);
        // tch panics where libtorch throws; the recording must be ended before anything else.
        let result = catch_unwind(AssertUnwindSafe(body));
        // SAFETY: the pointer is the one that was stored, as in all below.
        let ended = checked(unsafe { r1flow_graph_end(graph.0) });
        let tensor = result.map_err(|_| Error("an operation cannot be recorded in a CUDA graph".to_owned()))?;
        ended?;
        Ok((graph, tensor))
    }

    /// Does the recorded work.
    pub(crate) fn replay(&self) -> Result<(), Error> {
        // SAFETY: as above.
        checked(unsafe { r1flow_graph_replay(self.0) })
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        // SAFETY: as above; nobody else has it.
        unsafe { r1flow_graph_free(self.0) }
    }
}

/// Causal attention of packed rows of at most `longest` tokens in brain floats or halves, [n, c] to [n, h d]; `starts` holds
/// where rows begin, and the number of tokens at its end, in 32 bits on the GPU.
pub(crate) fn flash_attention(qkv_nc: &Tensor, starts: &Tensor, longest: i64, heads: Heads) -> Result<Tensor, Error> {
    let Heads { query, key_value, dim, window } = heads;
    let (qkv, starts, window) = (pointer(qkv_nc), pointer(starts), window.unwrap_or(0));
    // SAFETY: as above.
    made(|out| unsafe { r1flow_flash_attention(qkv, starts, longest, query, key_value, dim, window, out) })
}

/// Returns bytes of a GPU: allocated now, at the most since the last reset, and free.
pub(crate) fn memory(index: usize) -> Result<[u64; 3], Error> {
    let mut bytes = [0_i64; 3];
    // SAFETY: there is room for the three numbers that are written.
    checked(unsafe { r1flow_device_memory(index as i64, bytes.as_mut_ptr()) })?;
    Ok(bytes.map(i64::unsigned_abs))
}

/// Makes a GPU's peak what is allocated now.
pub(crate) fn reset_peak(index: usize) -> Result<(), Error> {
    // SAFETY: no pointers.
    checked(unsafe { r1flow_reset_device_peak(index as i64) })
}
