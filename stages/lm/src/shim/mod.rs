//! Safe wrappers of the C++ shim (`shim/*.cpp`), which has what tch lacks.
//!
//! Every call catches C++ exceptions and returns them as an [`Error`]. No call keeps a pointer after it returns, except
//! for the graphs of [`gpu`].

pub(crate) mod cpu;
pub(crate) mod cuda;
pub(crate) mod gpu;
pub(crate) mod layers;
pub(crate) mod torch;

use std::ffi::{CStr, c_char};
use std::ptr::null_mut;

use tch::Tensor;
use torch_sys::C_tensor;

/// A tensor's pointer for the shim.
type Raw = *mut C_tensor;

/// An exception that libtorch threw inside the shim.
#[derive(Debug, thiserror::Error)]
#[error("libtorch: {message}")]
pub struct Error {
    /// libtorch's message.
    pub message: String,
    /// Whether the error is out of memory.
    pub is_out_of_memory: bool,
}

impl Error {
    fn new(message: String) -> Self {
        Self { message, is_out_of_memory: false }
    }
}

/// The first character of a message about out of memory (OUT_OF_MEMORY in `shim/shim.h`).
const OUT_OF_MEMORY: char = '\x01';

unsafe extern "C" {
    fn r1flow_free(message: *mut c_char);
}

fn made(call: impl FnOnce(*mut Raw) -> *mut c_char) -> Result<Tensor, Error> {
    let mut out = null_mut();
    checked(call(&raw mut out))?;
    // SAFETY: a call without a message has stored a new tensor, and this is its only owner.
    Ok(unsafe { Tensor::from_ptr(out) })
}

fn checked(message: *mut c_char) -> Result<(), Error> {
    if message.is_null() {
        return Ok(());
    }
    // SAFETY: the shim returns a NUL-terminated string made with malloc, which the caller frees.
    unsafe {
        let text = CStr::from_ptr(message).to_string_lossy().into_owned();
        r1flow_free(message);
        match text.strip_prefix(OUT_OF_MEMORY) {
            Some(rest) => Err(Error { message: rest.to_owned(), is_out_of_memory: true }),
            None => Err(Error::new(text)),
        }
    }
}

fn pointer(tensor: &Tensor) -> Raw {
    tensor.as_ptr().cast_mut()
}

fn pointers(tensors: &[&Tensor]) -> Vec<Raw> {
    tensors.iter().map(|tensor| pointer(tensor)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_ran_out_is_told_from_a_refusal() {
        // SAFETY: `checked` frees the copies.
        let error = |message: &CStr| checked(unsafe { libc::strdup(message.as_ptr()) }).expect_err("a message");
        let memory = error(c"\x01CUDA out of memory");
        assert!(memory.is_out_of_memory);
        assert_eq!(memory.to_string(), "libtorch: CUDA out of memory");
        assert!(!error(c"FlashAttention only supports Ampere GPUs or newer.").is_out_of_memory);
    }
}
