//! Tells the worker where libtorch lies. From a checkout: beside the program once it is installed, else where it was
//! built against. In a wheel: in the `torch` of its own Python environment, and nowhere on the machine that built it.
//! The command line gets nothing of the kind, for it must never need libtorch.

/// The versions of Python that torch 2.11.0 has wheels for, newest first; `t` is the free-threaded one. The wheel
/// cannot know which of them it will be installed for.
const PYTHONS: [&str; 7] = ["3.14", "3.14t", "3.13", "3.13t", "3.12", "3.11", "3.10"];

fn main() {
    println!("cargo:rerun-if-env-changed=DEP_TCH_LIBTORCH_LIB");
    println!("cargo:rerun-if-changed=build.rs");
    if std::env::var_os("CARGO_FEATURE_WORKER").is_none() {
        return;
    }
    for folder in library_folders() {
        println!("cargo:rustc-link-arg-bin=r1flow-worker=-Wl,-rpath,{folder}");
    }
}

/// Where the loader looks, in this order; `$ORIGIN` is the worker's own folder.
fn library_folders() -> Vec<String> {
    if std::env::var_os("CARGO_FEATURE_WHEEL").is_some() {
        return PYTHONS.map(|python| format!("$ORIGIN/../lib/python{python}/site-packages/torch/lib")).to_vec();
    }
    let Ok(built_against) = std::env::var("DEP_TCH_LIBTORCH_LIB") else { return Vec::new() };
    vec!["$ORIGIN/../lib".to_owned(), built_against]
}
