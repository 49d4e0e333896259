//! Values made from the store, the histories and the workflow.
//!
//! A view depends only on its arguments, prints nothing and stores nothing. Commands turn it into text. `--json` is its
//! serialisation, so its fields are a promise to scripts.

pub(crate) mod beside;
pub(crate) mod curve;
pub(crate) mod disk;
pub(crate) mod grades;
pub(crate) mod output;
pub(crate) mod plan;
pub(crate) mod rows;
pub(crate) mod runs;
pub(crate) mod scores;
pub(crate) mod stage;
