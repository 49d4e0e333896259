//! What store, history and workflow say, as plain values.
//!
//! A view is made of what it is given, prints nothing and keeps nothing. Commands turn it into text; `--json` is its
//! serialisation, so its fields are a promise to scripts.

pub(crate) mod curve;
pub(crate) mod output;
pub(crate) mod plan;
pub(crate) mod runs;
pub(crate) mod scores;
pub(crate) mod stage;
