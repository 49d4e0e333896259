//! Safe wrappers of the shim's GPU part (`shim/gpu.cpp`).

use std::any::Any;
use std::ffi::{c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::null_mut;

use tch::Tensor;

use super::{Error, checked};

unsafe extern "C" {
    fn r1flow_graph_pool(pool: *mut u64) -> *mut c_char;
    fn r1flow_graph_begin(index: i64, pool: *const u64, graph: *mut *mut c_void) -> *mut c_char;
    fn r1flow_graph_end(graph: *mut c_void) -> *mut c_char;
    fn r1flow_graph_replay(graph: *mut c_void) -> *mut c_char;
    fn r1flow_graph_free(graph: *mut c_void);
    fn r1flow_device_memory(index: i64, bytes: *mut i64) -> *mut c_char;
    fn r1flow_reset_device_peak(index: i64) -> *mut c_char;
}

/// A memory pool shared by graphs that are replayed one at a time, each read before the next is replayed.
pub(crate) struct Pool([u64; 2]);

impl Pool {
    /// Makes a pool. It must not be used again after all its graphs are dropped.
    pub(crate) fn new() -> Result<Self, Error> {
        let mut pool = Self([0; 2]);
        // SAFETY: there is room for the two numbers that are written.
        checked(unsafe { r1flow_graph_pool(pool.0.as_mut_ptr()) })?;
        Ok(pool)
    }
}

/// A CUDA graph: work of a GPU, captured once, that can be repeated with one launch.
pub(crate) struct Graph(*mut c_void);

impl Graph {
    /// Captures the work of `body` on GPU `index`, and returns it with the tensor that will contain the result.
    ///
    /// Nothing is computed until [`Graph::replay`], which reads and writes the same memory each time: the tensors that
    /// `body` reads must outlive the graph. It is an error if `body` waits for the GPU, or if libtorch refuses it; the
    /// GPU is then unchanged.
    pub(crate) fn record(index: usize, pool: &Pool, body: impl FnOnce() -> Tensor) -> Result<(Self, Tensor), Error> {
        let mut graph = null_mut();
        // SAFETY: there is room for the pointer that is stored, and the pool is two numbers.
        checked(unsafe { r1flow_graph_begin(index as i64, pool.0.as_ptr(), &raw mut graph) })?;
        let graph = Self(graph);
        // tch panics where libtorch throws. The capture must be ended before anything else.
        let result = catch_unwind(AssertUnwindSafe(body));
        // SAFETY: the pointer is the one that was stored, as in all below.
        let ended = checked(unsafe { r1flow_graph_end(graph.0) });
        let tensor = result.map_err(|panic| Error::new(said(panic.as_ref())))?;
        ended?;
        Ok((graph, tensor))
    }

    /// Repeats the captured work.
    pub(crate) fn replay(&self) -> Result<(), Error> {
        // SAFETY: as above.
        checked(unsafe { r1flow_graph_replay(self.0) })
    }
}

/// Returns the message of a panic.
fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("an operation cannot be recorded in a CUDA graph").to_owned()
}

impl Drop for Graph {
    fn drop(&mut self) {
        // SAFETY: as above; this is its only owner.
        unsafe { r1flow_graph_free(self.0) }
    }
}

/// Returns a GPU's memory in bytes: allocated now, the peak since the last reset, and free.
pub(crate) fn memory(index: usize) -> Result<[u64; 3], Error> {
    let mut bytes = [0_i64; 3];
    // SAFETY: there is room for the three numbers that are written.
    checked(unsafe { r1flow_device_memory(index as i64, bytes.as_mut_ptr()) })?;
    Ok(bytes.map(i64::unsigned_abs))
}

/// Resets a GPU's peak to the memory allocated now.
pub(crate) fn reset_peak(index: usize) -> Result<(), Error> {
    // SAFETY: no pointers.
    checked(unsafe { r1flow_reset_device_peak(index as i64) })
}
