//! Finds the headers of the libtorch that torch-sys found; for build scripts.

use std::env;
use std::path::{Path, PathBuf};

/// Returns the folder of libtorch's libraries.
pub(crate) fn lib_dir() -> PathBuf {
    PathBuf::from(env::var("DEP_TCH_LIBTORCH_LIB").expect("torch-sys exports the folder of libtorch's libraries"))
}

/// Returns the compiler's flags, and tells Cargo the environment variables that they depend on. The headers are beside
/// the libraries, both in a wheel and in a libtorch archive.
pub(crate) fn flags() -> Vec<String> {
    for variable in ["LIBTORCH_INCLUDE", "LIBTORCH_CXX11_ABI"] {
        println!("cargo:rerun-if-env-changed={variable}");
    }
    let beside = || lib_dir().parent().map(Path::to_path_buf).unwrap_or_default();
    let root = env::var_os("LIBTORCH_INCLUDE").map_or_else(beside, PathBuf::from);
    let abi = env::var("LIBTORCH_CXX11_ABI").unwrap_or_else(|_| "1".to_owned());
    let folders =
        ["include", "include/torch/csrc/api/include"].map(|folder| format!("-I{}", root.join(folder).display()));
    folders.into_iter().chain([format!("-D_GLIBCXX_USE_CXX11_ABI={abi}")]).collect()
}
