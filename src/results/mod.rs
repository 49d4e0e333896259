//! What a name on the command line stands for: `stage`, `stage.output`, `b3:…`.
//!
//! A name belongs to a workflow, and means what its file says now: the action is made of the file as it stands, and the
//! record of that fingerprint is the result. Never by time: an edit that is taken back, a clock that goes back and a
//! history that is gone change nothing. Where that does not lead to one result there is none, and [`refusal`]
//! says what to type instead.

mod attempts;
mod find;
mod fresh;
mod look;
mod refusal;
mod standpoint;
mod typed;

pub(crate) use attempts::{last_attempt, unfinished};
pub(crate) use find::{Found, find, stage};
pub(crate) use fresh::{fresh, fresh_records};
pub(crate) use look::{Asked, Look, Named};
pub(crate) use refusal::not_fresh;
pub(crate) use typed::typed_file;
