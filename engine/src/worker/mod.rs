//! The worker protocol and its two ends.

pub mod protocol;
pub mod serve;
