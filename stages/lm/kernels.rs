//! The source of the GPU kernels; for build scripts.

use std::fs;
use std::path::Path;

/// The files of `shim/cuda/kernels`, in the order of the source.
const FILES: &[&str] = &["elements", "layers", "logits", "decode", "exports"];

/// Returns all files as one source, given the path of the folder `shim`.
pub(crate) fn source(shim: &Path) -> String {
    let folder = shim.join("cuda/kernels");
    println!("cargo:rerun-if-changed={}", folder.display());
    let read = |name: &&str| fs::read_to_string(folder.join(name).with_extension("cu")).expect("a file of this crate");
    FILES.iter().map(read).collect::<Vec<_>>().join("\n")
}
