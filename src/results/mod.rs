//! What a name on the command line stands for: `stage`, `stage.output`, `b3:…`.
//!
//! A name belongs to a workflow and means what the file says now: the action is built from the current file, and the
//! record with its fingerprint is the result. Time plays no part: an edit that is taken back, a clock that goes back
//! and a lost history change nothing. If a name does not lead to one result, the command fails, and [`refusal`] says
//! what to type instead.

mod attempts;
mod find;
mod fresh;
mod look;
mod origin;
mod refusal;
mod standpoint;
mod typed;

pub(crate) use attempts::{last_attempt, unfinished};
pub(crate) use find::{Found, Growing, find, output, stage};
pub(crate) use fresh::{fresh, fresh_records};
pub(crate) use look::{Invocation, Look, Named};
pub(crate) use origin::origins;
pub(crate) use refusal::not_fresh;
pub(crate) use typed::{typed_file, typed_sets};
