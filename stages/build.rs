//! Lets this package's tests find libtorch when they run: torch-sys knows where it lies.

#![expect(clippy::disallowed_methods, reason = "Cargo speaks to build scripts in variables")]

use std::env;
use std::io::Write;

fn main() {
    let dir = env::var("DEP_TCH_LIBTORCH_LIB").expect("torch-sys exports the folder of libtorch's libraries");
    let lines = format!("cargo:rustc-link-arg=-Wl,-rpath,{dir}\ncargo:rustc-link-arg=-Wl,--disable-new-dtags\n");
    std::io::stdout().write_all(lines.as_bytes()).expect("cargo reads what a build script writes");
}
