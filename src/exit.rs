//! How a command ends: with a [`Status`] and its exit code, or with an error, which may carry advice.

use std::fmt;

use anyhow::anyhow;

/// How a command ended without an error. Each has an exit code of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// All is well.
    Done,
    /// A stage failed, even if others were interrupted.
    StageFailed,
    /// The user can fix it, and has been told how.
    Refused,
    /// A signal ended the command before all stages were done; the next call resumes from a checkpoint.
    Interrupted,
}

impl Status {
    /// Returns the exit code.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::StageFailed => 1,
            Self::Refused => 2,
            Self::Interrupted => 3,
        }
    }
}

/// Exit codes and signals, for `--help`.
pub(crate) const EXIT_CODES: &str = "\
Exit codes: 0 done; 1 a stage failed; 2 you can fix it; 3 interrupted, the next call goes on from a checkpoint; 101 a bug.
Signals: INT, TERM, HUP, USR1 and USR2 ask running stages for a checkpoint, then for their end. A second INT or TERM ends at once.";

/// An error with advice on what to do.
#[derive(Debug)]
pub(crate) struct Advice {
    message: String,
    /// What to do.
    pub(crate) help: String,
}

impl Advice {
    /// Returns an error with this help.
    pub(crate) fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { message: message.into(), help: help.into() }
    }
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Advice {}

/// Returns an error that `name` is none of `known`, with the closest one as a suggestion. The name follows the first
/// word of `what`: with `stage in the store`, "there is no stage `x` in the store".
pub(crate) fn no_such<'a>(what: &str, name: &str, known: impl IntoIterator<Item = &'a str>) -> anyhow::Error {
    let (noun, rest) = what.split_at(what.find(' ').unwrap_or(what.len()));
    match engine::diagnostic::suggest(name, known) {
        Some(help) => anyhow!("there is no {noun} `{name}`{rest}: {help}"),
        None => anyhow!("there is no {noun} `{name}`{rest}"),
    }
}
