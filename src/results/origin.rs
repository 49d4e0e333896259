//! Names for the short digests by which rows say where they come from.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use engine::plan::hash_inputs;
use engine::run;
use store::{Source, Store};

use crate::arguments::{Global, WorkflowArgs};
use crate::loading::load_quietly;

/// Returns what digests, `b3:` and their first digits, are called: outputs of stages, and inputs of the workflow that
/// `source` names. A digest that has no name is absent.
pub(crate) fn origins(
    global: &Global,
    store: &Store,
    source: Option<&Source>,
    digests: &BTreeSet<String>,
) -> Result<BTreeMap<String, String>> {
    let mut known: Vec<(String, String)> = Vec::new();
    for record in store.all_records()? {
        let outputs = record.outputs.iter();
        known.extend(outputs.map(|(name, output)| (output.digest.to_string(), format!("{}.{name}", record.stage))));
    }
    if let Some(source) = source {
        let file = run::file_path(store, &source.file);
        let args = WorkflowArgs { file, sets: source.sets.clone(), device: source.device.parse().unwrap_or_default() };
        let workflow = load_quietly(global, &args, &global.store).ok().and_then(|loaded| loaded.workflow);
        let inputs = workflow.and_then(|workflow| hash_inputs(&workflow, store).ok()).unwrap_or_default();
        known.extend(inputs.into_iter().map(|(name, digest)| (digest.to_string(), format!("inputs.{name}"))));
    }
    let name = |short: &String| {
        let found = known.iter().rev().find(|(digest, _)| digest.starts_with(short.as_str()))?;
        Some((short.clone(), found.1.clone()))
    };
    Ok(digests.iter().filter_map(name).collect())
}
