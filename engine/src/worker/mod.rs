//! The worker protocol, and the engine's end of it; [`crate::stage::serve`] is the worker's end.

pub mod ask;
pub mod cache;
pub mod check;
pub(crate) mod death;
pub(crate) mod engine;
pub mod grade;
pub(crate) mod lines;
pub mod protocol;
pub mod tokens;
pub(crate) mod understand;
