//! The worker protocol and its two ends.

pub mod ask;
pub mod cache;
pub(crate) mod client;
pub(crate) mod engine;
pub mod protocol;
pub mod serve;
