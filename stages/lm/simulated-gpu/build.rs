//! Builds `libtorch_cuda.so` from `src/*.cpp` against the headers of the libtorch that torch-sys found.

use std::env;
use std::path::{Path, PathBuf};

fn main() {
    let lib_dir =
        PathBuf::from(env::var("DEP_TCH_LIBTORCH_LIB").expect("torch-sys exports the folder of libtorch's libraries"));
    let root = env::var_os("LIBTORCH_INCLUDE")
        .map_or_else(|| lib_dir.parent().map(Path::to_path_buf).unwrap_or_default(), PathBuf::from);
    let abi = env::var("LIBTORCH_CXX11_ABI").unwrap_or_else(|_| "1".to_owned());
    let out = PathBuf::from(env::var("OUT_DIR").expect("Cargo sets it")).join("libtorch_cuda.so");

    let mut build = cc::Build::new();
    build.cpp(true).pic(true).warnings(false).opt_level(1).debug(false).flag("-std=c++17");
    let status = build
        .get_compiler()
        .to_command()
        .arg("-shared")
        .arg("-fvisibility=default")
        .arg(format!("-D_GLIBCXX_USE_CXX11_ABI={abi}"))
        .arg(format!("-I{}", root.join("include").display()))
        .arg(format!("-I{}", root.join("include/torch/csrc/api/include").display()))
        .args(["device", "kernels", "attention", "graph"].map(|name| format!("src/{name}.cpp")))
        .arg("-o")
        .arg(&out)
        .status()
        .expect("there is a C++ compiler");
    assert!(status.success(), "the simulated GPU does not compile");

    println!("cargo:rerun-if-changed=src");
    for variable in ["LIBTORCH_INCLUDE", "LIBTORCH_CXX11_ABI"] {
        println!("cargo:rerun-if-env-changed={variable}");
    }
}
