//! Tells the worker where libtorch lies: beside the program once it is installed, else where it was built against.
//! The command line gets nothing of the kind, for it must never need libtorch.

fn main() {
    println!("cargo:rerun-if-env-changed=DEP_TCH_LIBTORCH_LIB");
    if std::env::var_os("CARGO_FEATURE_WORKER").is_none() {
        return;
    }
    if let Ok(libtorch) = std::env::var("DEP_TCH_LIBTORCH_LIB") {
        for path in ["$ORIGIN/../lib", &libtorch] {
            println!("cargo:rustc-link-arg-bin=r1flow-worker=-Wl,-rpath,{path}");
        }
    }
}
