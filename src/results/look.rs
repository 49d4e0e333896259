//! The context in which names are looked up, and a stage that has been found.

use serde_json::Value;
use store::{Digest, Record, Source, Store};

use super::typed::typed;
use crate::arguments::{Global, NameArgs};

/// Where names are looked up.
#[derive(Clone, Copy)]
pub(crate) struct Look<'a> {
    pub(crate) global: &'a Global,
    pub(crate) store: &'a Store,
    pub(crate) args: &'a NameArgs,
    pub(crate) asked: Invocation<'a>,
}

/// A stage of a workflow in its current state.
#[derive(Clone, Debug)]
pub(crate) struct Named {
    pub(crate) stage: String,
    /// Its workflow, as histories name it; `None` for a result that was named by its fingerprint.
    pub(crate) source: Option<Source>,
    /// Its action document, if known.
    pub(crate) document: Option<Value>,
    pub(crate) fingerprint: Option<Digest>,
    /// Its result, if it is fresh.
    pub(crate) record: Option<Record>,
}

/// The user's command, which suggestions repeat with other arguments.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Invocation<'a> {
    /// The command.
    pub(crate) command: &'a str,
    /// What follows the name.
    pub(crate) tail: &'a str,
    /// The name.
    pub(crate) what: &'a str,
}

impl Invocation<'_> {
    /// Returns the command with `what` as the name and with more arguments.
    pub(super) fn again(&self, what: &str, more: &str) -> String {
        format!("`r1flow {} {}{}{more}`", self.command, typed(what), self.tail)
    }

    /// Returns the name with a digest in place of its stage.
    pub(super) fn with_digest(&self, stage: &str, record: &Record) -> String {
        let output = self.what.strip_prefix(stage).unwrap_or_default();
        format!("b3:{}{output}", record.fingerprint.short())
    }
}
