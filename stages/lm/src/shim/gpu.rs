//! Safe faces of the shim's GPU part (`shim/gpu.cpp`).

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

/// Memory that graphs share which are replayed one at a time, and each read before the next.
pub(crate) struct Pool([u64; 2]);

impl Pool {
    /// A new one; it is not to be used again once all its graphs are gone.
    pub(crate) fn new() -> Result<Self, Error> {
        let mut pool = Self([0; 2]);
        // SAFETY: there is room for the two numbers that are written.
        checked(unsafe { r1flow_graph_pool(pool.0.as_mut_ptr()) })?;
        Ok(pool)
    }
}

/// Work of a GPU, recorded once, that can be done again for the price of one launch (a CUDA graph).
pub(crate) struct Graph(*mut c_void);

impl Graph {
    /// Records what `body` asks GPU `index` to do, and returns it with the tensor that will hold the result.
    ///
    /// Nothing is done until [`Graph::replay`], which reads and writes the same memory each time: what `body` reads
    /// must outlive the graph. A `body` that waits for the GPU, or that libtorch refuses, is an error, and leaves the
    /// GPU as it was.
    pub(crate) fn record(index: usize, pool: &Pool, body: impl FnOnce() -> Tensor) -> Result<(Self, Tensor), Error> {
        let mut graph = null_mut();
        // SAFETY: there is room for the pointer that is stored, and the pool is two numbers.
        checked(unsafe { r1flow_graph_begin(index as i64, pool.0.as_ptr(), &raw mut graph) })?;
        let graph = Self(graph);
        // tch panics where libtorch throws; the recording must be ended before anything else.
        let result = catch_unwind(AssertUnwindSafe(body));
        // SAFETY: the pointer is the one that was stored, as in all below.
        let ended = checked(unsafe { r1flow_graph_end(graph.0) });
        let tensor = result.map_err(|panic| Error::new(said(panic.as_ref())))?;
        ended?;
        Ok((graph, tensor))
    }

    /// Does the recorded work.
    pub(crate) fn replay(&self) -> Result<(), Error> {
        // SAFETY: as above.
        checked(unsafe { r1flow_graph_replay(self.0) })
    }
}

/// The message of a panic.
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
