//! The device of tensors, and the number of threads that work on them.
//!
//! One binary serves CPU and GPU: it links the CPU libraries, and [`setup`] loads `libtorch_cuda.so` when a GPU is
//! requested. This must be before libtorch's first call about CUDA, after which libtorch would keep its empty CUDA
//! hooks. The library is searched in the folder in [`TORCH_LIB_VARIABLE`]; otherwise beside `libtorch_cpu.so`, as in a
//! Python or a libtorch with CUDA; otherwise in the folder that `scripts/libtorch` fetches for a machine with a driver.

use std::ffi::{CStr, CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use tch::{Cuda, Device, Kind};

use crate::shim::{self, cuda};

/// The environment variable with the folder of `libtorch_cuda.so`, of the libtorch version this program was built for.
pub const TORCH_LIB_VARIABLE: &str = "R1FLOW_TORCH_LIB";

/// Why a device cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such GPU.
    #[error(
        "device `cuda:{index}` is not there: {found} CUDA device(s) found with {}",
        library.as_ref().map_or_else(
            || format!("no `libtorch_cuda.so`; help: `scripts/setup` fetches it where there is a driver, or {TORCH_LIB_VARIABLE} names its folder"),
            |path| format!("`{}`", path.display())
        )
    )]
    Absent {
        /// The index of the requested GPU.
        index: usize,
        /// How many there are.
        found: i64,
        /// The library that was loaded to look for it.
        library: Option<PathBuf>,
    },
    /// `libtorch_cuda.so` does not load.
    #[error("`{path}` does not load: {reason}")]
    Library {
        /// The file.
        path: PathBuf,
        /// The loader's error.
        reason: String,
    },
    /// libtorch refused.
    #[error(transparent)]
    Torch(#[from] shim::Error),
}

/// Device and element type of a model's parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// The device of its parameters.
    pub device: Device,
    /// The element type of its parameters.
    pub dtype: Kind,
}

impl Default for Options {
    fn default() -> Self {
        Self { device: Device::Cpu, dtype: Kind::Float }
    }
}

/// Sets libtorch's number of threads (0 keeps its default), checks that the device exists, and returns it.
///
/// On a GPU, operations are made deterministic. Call it once, before any other function of this crate.
pub fn setup(threads: usize, device: Device) -> Result<Device, Error> {
    keep_freed_memory();
    if threads > 0 {
        tch::set_num_threads(i32::try_from(threads).unwrap_or(i32::MAX));
    }
    let Device::Cuda(index) = device else { return Ok(device) };
    let library = load_cuda()?;
    let found = Cuda::device_count();
    if index as i64 >= found {
        return Err(Error::Absent { index, found, library });
    }
    shim::torch::set_deterministic(true)?;
    Ok(device)
}

/// Returns a line with the number of GPUs, the library, and whether the kernels compile for the first GPU. Call it
/// instead of [`setup`].
pub fn survey() -> Result<String, Error> {
    let device = setup(0, Device::Cuda(0))?;
    let library = cuda_library().map_or_else(|| "libtorch_cuda.so".to_owned(), |path| path.display().to_string());
    let is_compiled = matches!(device, Device::Cuda(index) if cuda::has_kernels(index));
    let kernels = if is_compiled { "kernels compile" } else { "kernels do not compile; libtorch's are used" };
    Ok(format!("{} by {library}, {kernels}", Cuda::device_count()))
}

/// The caches of libtorch and oneDNN for compiled matmuls, by the environment variables of their sizes.
const CACHES: [&str; 2] = ["LRU_CACHE_CAPACITY", "ONEDNN_PRIMITIVE_CACHE_CAPACITY"];

/// Limits the caches of compiled bf16 matmuls to 16 entries each; the default is 1,024. An entry takes some MiB, and
/// every new number of tokens in a pass adds entries, so training on rows of different lengths would grow by gigabytes.
/// Values that the user has set remain. Call it before any other thread starts.
pub fn bound_caches() {
    for name in CACHES {
        if std::env::var_os(name).is_none() {
            // SAFETY: no other thread reads the environment.
            unsafe { std::env::set_var(name, "16") };
        }
    }
}

/// Makes the allocator keep the memory of freed tensors for the next step, which needs the same sizes. Returning it to
/// the system each time costs a small model a tenth of its step.
fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: two settings of the allocator; it ignores what it does not like.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 1 << 28);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 1 << 30);
    }
}

/// Loads `libtorch_cuda.so`, if there is one, and returns its path.
fn load_cuda() -> Result<Option<PathBuf>, Error> {
    let Some(path) = cuda_library() else { return Ok(None) };
    let name = CString::new(path.as_os_str().as_encoded_bytes())
        .map_err(|error| Error::Library { path: path.clone(), reason: error.to_string() })?;
    // SAFETY: loading runs the library's constructors, which is what registers the CUDA hooks; the handle is kept open
    // for the life of the process. `dlerror` returns a string that lives until the next call of it on this thread.
    unsafe {
        if libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL).is_null() {
            let message = libc::dlerror();
            let reason = if message.is_null() {
                "unknown reason".to_owned()
            } else {
                CStr::from_ptr(message).to_string_lossy().into_owned()
            };
            return Err(Error::Library { path, reason });
        }
    }
    Ok(Some(path))
}

/// Returns the path of `libtorch_cuda.so`. In a folder that the user names, its existence is not checked.
fn cuda_library() -> Option<PathBuf> {
    const NAME: &str = "libtorch_cuda.so";
    if let Some(folder) = std::env::var_os(TORCH_LIB_VARIABLE).filter(|folder| !folder.is_empty()) {
        return Some(PathBuf::from(folder).join(NAME));
    }
    let beside = cpu_libraries()?;
    let fetched = beside.parent().and_then(|root| {
        let name = root.file_name()?.to_str()?.strip_suffix("-cpu")?;
        Some(root.with_file_name(format!("{name}-cuda")).join("torch/lib"))
    });
    [Some(beside), fetched].into_iter().flatten().map(|folder| folder.join(NAME)).find(|path| path.exists())
}

/// Returns the folder of the libtorch that this program runs with.
fn cpu_libraries() -> Option<PathBuf> {
    // SAFETY: the symbol is libtorch's own `at::globalContext()`; the loader's answer lives as long as the library.
    let path = unsafe {
        let symbol = libc::dlsym(libc::RTLD_DEFAULT, c"_ZN2at13globalContextEv".as_ptr());
        let mut found: libc::Dl_info = std::mem::zeroed();
        if symbol.is_null() || libc::dladdr(symbol, &raw mut found) == 0 || found.dli_fname.is_null() {
            return None;
        }
        CStr::from_ptr(found.dli_fname)
    };
    Path::new(OsStr::from_bytes(path.to_bytes())).parent().map(Path::to_path_buf)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libtorch_lies_where_this_program_was_built_against_it() {
        let folder = cpu_libraries().expect("this program runs with libtorch");
        assert!(folder.join("libtorch_cpu.so").exists(), "{}", folder.display());
    }

    #[test]
    fn a_gpu_that_is_not_there_is_refused() {
        assert_eq!(setup(1, Device::Cpu).expect("the CPU is always there"), Device::Cpu);
        assert!(matches!(setup(1, Device::Cuda(999)), Err(Error::Absent { index: 999, .. })));
    }
}
