//! The worker protocol and its two ends.

pub mod ask;
pub mod cache;
pub(crate) mod client;
pub(crate) mod death;
pub(crate) mod engine;
pub(crate) mod lines;
pub mod protocol;
pub mod serve;
pub(crate) mod understand;
