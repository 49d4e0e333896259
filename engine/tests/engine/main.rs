//! The engine as a library, on the toy worker (`examples/toy_worker.rs`).

#![expect(clippy::disallowed_methods, reason = "tests remove what they have made")]

mod apply;
mod busy;
mod hub;
mod probes;
mod random;
mod reuse;
mod rough;
mod support;
