//! The engine as a library, on the toy worker (`examples/toy_worker.rs`).

mod apply;
mod busy;
mod hub;
mod probes;
mod random;
mod reuse;
mod rough;
mod support;
