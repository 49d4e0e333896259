//! The worker protocol and its two ends.

pub mod client;
pub mod protocol;
pub mod serve;
