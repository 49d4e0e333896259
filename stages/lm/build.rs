//! Compiles the C++ shim against the libtorch that torch-sys found, and links this crate's tests so that they find
//! libtorch.

mod headers;
mod kernels;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// The instruction sets of the CPU kernels: the symbol's name, and the flags in addition to the baseline.
const X86_64_LEVELS: &[(&str, &[&str])] = &[
    ("kernels_avx2", &["-mavx2", "-mfma"]),
    ("kernels_avx512", &["-mavx2", "-mfma", "-mavx512f", "-mavx512dq", "-mavx512vl", "-mavx512bw"]),
];

fn main() {
    let lib_dir = headers::lib_dir();
    let x86_64 = env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|arch| arch == "x86_64");

    let mut shim = base();
    shim.flags(headers::flags()).flag_if_supported("-fopenmp").files(
        [
            "torch",
            "gpu",
            "linear",
            "layers",
            "cpu_layers",
            "cpu_attention",
            "cpu_sample",
            "cuda/driver",
            "cuda/images",
            "cuda/layers",
            "cuda/attention",
        ]
        .map(|name| format!("shim/{name}.cpp")),
    );
    shim.include(embed_kernels());
    if x86_64 {
        shim.define("R1FLOW_X86_64", None);
    }
    shim.compile("r1flow_lm_shim");
    compile_kernels("kernels_baseline", &[]);
    for (name, flags) in X86_64_LEVELS.iter().filter(|_| x86_64) {
        compile_kernels(name, flags);
    }

    for path in ["shim", "headers.rs", "kernels.rs"] {
        println!("cargo:rerun-if-changed={path}");
    }
    println!("cargo:rustc-link-search=native={}", lib_dir.display());
    println!("cargo:rustc-link-lib=torch_cpu");
    println!("cargo:rustc-link-lib=c10");
    // With these, tests and examples of this crate run without LD_LIBRARY_PATH. A binary of another package needs the
    // same lines.
    println!("cargo:rustc-link-arg=-Wl,-rpath,{}", lib_dir.display());
    if env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux") {
        println!("cargo:rustc-link-arg=-Wl,--disable-new-dtags");
    }
}

/// Writes the GPU kernels' source as a C++ string literal, `kernels.inc`, and returns its folder.
fn embed_kernels() -> PathBuf {
    let out = PathBuf::from(env::var("OUT_DIR").expect("Cargo sets it"));
    let literal = format!("R\"kernels({})kernels\"\n", kernels::source(Path::new("shim")));
    fs::write(out.join("kernels.inc"), literal).expect("Cargo's folder can be written");
    out
}

fn base() -> cc::Build {
    let mut build = cc::Build::new();
    build.cpp(true).pic(true).warnings(false).opt_level(3).flag("-std=c++17");
    build
}

/// Compiles one set of kernels. They do not use `errno` or floating-point traps, and OpenMP's `simd` vectorises them.
/// Sums keep the order of the source, which `-ffast-math` would not guarantee.
fn compile_kernels(name: &str, flags: &[&str]) {
    let mut build = base();
    for flag in ["-fopenmp-simd", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast", "-Wno-psabi"] {
        build.flag_if_supported(flag);
    }
    build.flags(flags).define("LEVEL", name).file("shim/kernels.cpp").compile(&format!("r1flow_lm_{name}"));
}
