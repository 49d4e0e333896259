//! The references that are generated: `docs/kinds.md` from what the worker tells of its kinds, `docs/cli.md` from the
//! command line itself.

pub(crate) mod cli;
pub(crate) mod kinds;
mod shared;
