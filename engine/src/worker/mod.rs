//! The worker protocol and its two ends.

pub mod client;
mod keeper;
pub mod protocol;
pub mod serve;
