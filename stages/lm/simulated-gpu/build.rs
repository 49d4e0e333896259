//! Builds `libtorch_cuda.so` and `libcaffe2_nvrtc.so` from `src/*.cpp` against the headers of the libtorch that torch-sys
//! found; the second one contains the kernels of lm's shim.

#[path = "../headers.rs"]
mod headers;
#[path = "../kernels.rs"]
mod kernels;

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command};

fn main() {
    let folder = |variable| PathBuf::from(env::var(variable).expect("Cargo sets it"));
    let out = folder("OUT_DIR");
    let kernels = out.join("kernels.cu");
    let source = kernels::source(&folder("CARGO_MANIFEST_DIR").with_file_name("shim"));
    fs::write(&kernels, source).expect("Cargo's folder can be written");

    let mut torch = compiler(1, &["device", "kernels", "attention", "graph"]);
    torch.arg("-fvisibility=default").arg("-o").arg(out.join("libtorch_cuda.so"));
    let mut driver = compiler(2, &["driver", "grid", "cuda_kernels"]);
    // The kernels read memory with other types than it was written with, which CUDA's compiler allows.
    driver.args(["-fvisibility=hidden", "-fno-strict-aliasing"]);
    driver.arg(format!("-DKERNELS_FILE=\"{}\"", kernels.display())).arg("-o").arg(out.join("libcaffe2_nvrtc.so"));

    for mut running in [torch, driver].map(start) {
        let status = running.wait().expect("it was started");
        assert!(status.success(), "the simulated GPU does not compile");
    }

    for path in ["src", "../headers.rs", "../kernels.rs"] {
        println!("cargo:rerun-if-changed={path}");
    }
}

/// Returns the compiler's command that makes a library of these files.
fn compiler(opt_level: u32, names: &[&str]) -> Command {
    let mut build = cc::Build::new();
    build.cpp(true).pic(true).warnings(false).opt_level(opt_level).debug(false).flag("-std=c++17");
    let mut command = build.get_compiler().to_command();
    command.arg("-shared").args(headers::flags()).args(names.iter().map(|name| format!("src/{name}.cpp")));
    command
}

fn start(mut command: Command) -> Child {
    command.spawn().expect("there is a C++ compiler")
}
