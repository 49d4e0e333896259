//! The engine as a library, on the toy worker (`examples/toy_worker.rs`).

mod apply;
mod hub;
mod probes;
mod random;
mod reuse;
mod support;
