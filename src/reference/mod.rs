//! Generated references: `docs/kinds.md` from the worker's description of its kinds, `docs/cli.md` from clap's
//! commands.

pub(crate) mod cli;
pub(crate) mod kinds;
mod shared;
