//! Builds `libtorch_cuda.so` from `src/*.cpp` against the headers of the libtorch that torch-sys found.

#[path = "../headers.rs"]
mod headers;

use std::env;
use std::path::PathBuf;

fn main() {
    let out = PathBuf::from(env::var("OUT_DIR").expect("Cargo sets it")).join("libtorch_cuda.so");

    let mut build = cc::Build::new();
    build.cpp(true).pic(true).warnings(false).opt_level(1).debug(false).flag("-std=c++17");
    let status = build
        .get_compiler()
        .to_command()
        .arg("-shared")
        .arg("-fvisibility=default")
        .args(headers::flags())
        .args(["device", "kernels", "attention", "graph"].map(|name| format!("src/{name}.cpp")))
        .arg("-o")
        .arg(&out)
        .status()
        .expect("there is a C++ compiler");
    assert!(status.success(), "the simulated GPU does not compile");

    for path in ["src", "../headers.rs"] {
        println!("cargo:rerun-if-changed={path}");
    }
}
