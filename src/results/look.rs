//! What names are looked up with, and what a stage is that has been found.

use serde_json::Value;
use store::{Digest, Record, Source, Store};

use super::typed::typed;
use crate::arguments::{Global, NameArgs};

/// Where names are looked for.
#[derive(Clone, Copy)]
pub(crate) struct Look<'a> {
    pub(crate) global: &'a Global,
    pub(crate) store: &'a Store,
    pub(crate) args: &'a NameArgs,
    pub(crate) asked: Asked<'a>,
}

/// A stage of a workflow as it stands.
#[derive(Clone, Debug)]
pub(crate) struct Named {
    pub(crate) stage: String,
    /// Its workflow, by which histories know it; nothing for a result that was named by its fingerprint.
    pub(crate) source: Option<Source>,
    /// The document that decides it, where that is known.
    pub(crate) document: Option<Value>,
    pub(crate) fingerprint: Option<Digest>,
    /// Its result, if it is fresh.
    pub(crate) record: Option<Record>,
}

/// The words of the user, to say them again with others in their place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    /// The command.
    pub(crate) command: &'a str,
    /// What follows the name.
    pub(crate) tail: &'a str,
    /// The name.
    pub(crate) what: &'a str,
}

impl Asked<'_> {
    /// Returns the command again, about `what` and with more arguments.
    pub(super) fn again(&self, what: &str, more: &str) -> String {
        format!("`r1flow {} {}{}{more}`", self.command, typed(what), self.tail)
    }

    /// Returns the name with a digest in the place of its stage.
    pub(super) fn with_digest(&self, stage: &str, record: &Record) -> String {
        let output = self.what.strip_prefix(stage).unwrap_or_default();
        format!("b3:{}{output}", record.fingerprint.short())
    }
}
