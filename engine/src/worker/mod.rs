//! The worker protocol and its two ends.

pub mod client;
pub(crate) mod keeper;
pub mod protocol;
pub mod serve;
