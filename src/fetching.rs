//! Fetches a workflow's inputs from a hub. An input that cannot be fetched becomes a diagnostic of the workflow.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Result, bail};
use engine::diagnostic::Severity;
use engine::workflow::Loaded;
use engine::workflow::hub::{HubId, HubInput};
use store::Store;

use crate::arguments::Global;
use crate::diagnostic;
use crate::hub::{self, FetchedInput, Settings, Trouble};

/// Fetches the hub inputs in `read` that have not been fetched yet. If one cannot be fetched, shows the diagnostic and
/// removes the workflow from `loaded`.
pub(crate) fn fetch_missing(global: &Global, loaded: &mut Loaded, read: &BTreeSet<String>) -> Result<()> {
    let Some(workflow) = &loaded.workflow else { bail!("a workflow with mistakes reads nothing") };
    let is_missing = |(name, input): &(&str, &HubInput)| input.fetched.is_none() && read.contains(*name);
    let missing: Vec<(String, HubInput)> =
        workflow.hub_inputs().filter(is_missing).map(|(name, input)| (name.to_owned(), input.clone())).collect();
    let mut outcomes = fetch(global, loaded, &missing, hub::fetch_missing)?;
    if outcomes.len() < missing.len() {
        diagnostic::show_each(loaded, Severity::Note);
        loaded.workflow = None;
    }
    if let Some(workflow) = &mut loaded.workflow {
        workflow.fetched_inputs(|name, input| {
            outcomes.remove(name).map(|outcome| outcome.fetched).or_else(|| input.fetched.clone())
        });
    }
    Ok(())
}

/// Queries the hub for the newest commits of inputs, and fetches them.
pub(crate) fn fetch_newest(
    global: &Global,
    loaded: &mut Loaded,
    inputs: &[(String, HubInput)],
) -> Result<BTreeMap<String, FetchedInput>> {
    fetch(global, loaded, inputs, hub::fetch_newest)
}

/// Fetches inputs one after the other; each that cannot be fetched becomes a diagnostic.
fn fetch(
    global: &Global,
    loaded: &mut Loaded,
    inputs: &[(String, HubInput)],
    how: fn(&Settings, &Path, &HubId) -> Result<FetchedInput, Trouble>,
) -> Result<BTreeMap<String, FetchedInput>> {
    if !inputs.is_empty() {
        Store::open(&global.store)?;
    }
    let settings = Settings::from_env();
    let mut outcomes = BTreeMap::new();
    for (name, input) in inputs {
        match how(&settings, &global.store, &input.id) {
            Ok(outcome) => drop(outcomes.insert(name.clone(), outcome)),
            Err(trouble) => loaded.diagnostics.push(trouble.at(input)),
        }
    }
    Ok(outcomes)
}
