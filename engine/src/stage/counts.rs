//! What a stage counts in its inputs: rows read and rows left out, for the stage's summary.
//!
//! Readers of inputs know neither the stage nor its summary. So each [`Input`](super::Input) of an attempt shares one
//! table of counts, which it gets when the stage's keys are parsed, and which is added to the summary at the end.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Map, Value, json};

/// The key of a summary that has the counts of inputs.
const KEY: &str = "inputs";

thread_local! {
    /// The table for the inputs that are being parsed on this thread.
    static PARSING: RefCell<Counts> = RefCell::default();
}

/// Counts by input and by what was counted.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts(Arc<Mutex<BTreeMap<String, BTreeMap<String, u64>>>>);

impl Counts {
    /// Returns the table that an input shares with the others of its stage.
    pub(super) fn of_stage() -> Self {
        PARSING.with_borrow(Clone::clone)
    }

    /// Runs `parse`, whose inputs share this table.
    pub(super) fn shared_by<T>(&self, parse: impl FnOnce() -> T) -> T {
        let before = PARSING.replace(self.clone());
        let parsed = parse();
        PARSING.set(before);
        parsed
    }

    /// Sets a count, so that an input that is read twice counts once.
    pub(super) fn set(&self, input: &str, what: &str, count: u64) {
        let mut counts = self.0.lock().expect("no holder panics");
        counts.entry(input.to_owned()).or_default().insert(what.to_owned(), count);
    }

    /// Returns the counts of one input.
    pub(super) fn of_input(&self, input: &str) -> Map<String, Value> {
        let counts = self.0.lock().expect("no holder panics");
        counts.get(input).into_iter().flatten().map(|(what, count)| (what.clone(), json!(count))).collect()
    }

    /// Adds the counts, if there are any, to a stage's summary.
    pub(super) fn add_to(&self, summary: &mut Map<String, Value>) {
        let counts = self.0.lock().expect("no holder panics");
        if !counts.is_empty() {
            summary.insert(KEY.to_owned(), json!(*counts));
        }
    }
}
