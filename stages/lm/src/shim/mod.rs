//! Safe faces of the C++ shim (`shim/*.cpp`): what tch lacks.
//!
//! Every call catches C++ exceptions and hands them back as an [`Error`]. Nothing here keeps a pointer after it
//! returns, but for the graphs of [`gpu`].

pub(crate) mod cpu;
pub(crate) mod cuda;
pub(crate) mod gpu;
pub(crate) mod layers;
pub(crate) mod torch;

use std::ffi::{CStr, c_char};
use std::ptr::null_mut;

use tch::Tensor;
use torch_sys::C_tensor;

/// A tensor as the shim takes it.
type Raw = *mut C_tensor;

/// An exception that libtorch threw inside the shim.
#[derive(Debug, thiserror::Error)]
#[error("libtorch: {message}")]
pub struct Error {
    /// What libtorch says.
    pub message: String,
    /// Whether memory ran out; any other error is a refusal, or a mistake.
    pub is_out_of_memory: bool,
}

impl Error {
    fn new(message: String) -> Self {
        Self { message, is_out_of_memory: false }
    }
}

/// How a message begins where memory ran out (OUT_OF_MEMORY of `shim/shim.h`).
const OUT_OF_MEMORY: char = '\x01';

unsafe extern "C" {
    fn r1flow_free(message: *mut c_char);
}

fn made(call: impl FnOnce(*mut Raw) -> *mut c_char) -> Result<Tensor, Error> {
    let mut out = null_mut();
    checked(call(&raw mut out))?;
    // SAFETY: a call without a message has stored a new tensor, which is ours.
    Ok(unsafe { Tensor::from_ptr(out) })
}

fn checked(message: *mut c_char) -> Result<(), Error> {
    if message.is_null() {
        return Ok(());
    }
    // SAFETY: the shim returns a NUL-terminated string made with malloc, which is ours to free.
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
