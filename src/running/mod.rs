//! Runs the engine to its end, while signals are handled and events are shown.

mod audience;
mod machine;
mod signals;
mod to_end;

pub(crate) use audience::Audience;
pub(crate) use machine::options;
pub(crate) use to_end::{explained, to_end};
