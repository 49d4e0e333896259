//! The references that are generated: `docs/kinds.md` from what the worker tells of its kinds.

pub(crate) mod kinds;
mod shared;
