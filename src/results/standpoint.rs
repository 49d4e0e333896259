//! The state of a stage in a workflow's current file.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use engine::history;
use engine::past::{Standing, standing};
use engine::placement::Device;
use engine::run;
use store::{Digest, Source, Store};

use super::look::{Look, Named};
use super::typed::{typed_file, typed_sets};
use crate::arguments::WorkflowArgs;
use crate::loading::load_quietly;
use crate::ui;

/// The state of a stage in a workflow that has had it.
pub(super) enum Standpoint {
    /// The workflow's file does not exist.
    Gone,
    /// The name cannot be resolved, for this reason.
    Unclear(String),
    /// The workflow no longer has the stage, but these.
    Lacks(Vec<String>),
    Stands(Box<Named>),
    /// The stage has results on several devices, and the user must choose one.
    Devices(Vec<Named>),
}

/// Returns the state of a stage in a workflow's file.
pub(super) fn standpoint(look: &Look, file: &Path, name: &str) -> Result<Standpoint> {
    if !file.is_file() {
        return Ok(Standpoint::Gone);
    }
    let (devices, last) = devices(look, file, name)?;
    let mut standings = Vec::new();
    for device in devices {
        match stands(look, file, &look.args.sets, device, name)? {
            Standpoint::Stands(named) => standings.push(*named),
            other => return Ok(other),
        }
    }
    let mut fresh: BTreeMap<Option<Digest>, Named> = BTreeMap::new();
    for named in standings.iter().filter(|named| named.record.is_some()) {
        fresh.entry(named.fingerprint).or_insert_with(|| named.clone());
    }
    if fresh.len() > 1 {
        return Ok(Standpoint::Devices(fresh.into_values().collect()));
    }
    let is_last = |named: &Named| named.source.as_ref().is_some_and(|source| source.device == last.to_string());
    let found = fresh.into_values().next().or_else(|| standings.iter().find(|named| is_last(named)).cloned());
    Ok(Standpoint::Stands(Box::new(found.unwrap_or_else(|| standings.swap_remove(0)))))
}

/// Returns the devices on which a workflow may have made a stage, one for each backend, and the last one used. The file
/// does not name its device, so without `--device` the devices come from the last run and from the records.
fn devices(look: &Look, file: &Path, stage: &str) -> Result<(Vec<Device>, Device)> {
    if let Some(device) = look.args.device {
        return Ok((vec![device], device));
    }
    let file = run::file_name(look.store, &fs_err::canonicalize(file)?);
    let mut all = BTreeMap::from([(Device::Cpu.backend(), Device::Cpu)]);
    let records = look.store.records_of_stage(stage)?;
    let told = records.into_iter().map(|record| record.source).filter(|source| source.file == file);
    let sources = last_run(look.store, &file)?.into_iter().chain(told);
    // Newest first. Records of older programs name no device.
    let named: Vec<Device> = sources.filter_map(|source| source.device.parse().ok()).collect();
    for device in &named {
        all.entry(device.backend()).or_insert(*device);
    }
    let last = named.first().map_or(Device::Cpu, |last| all[&last.backend()]);
    Ok((all.into_values().collect(), last))
}

/// Returns the arguments of a workflow's newest run.
pub(super) fn last_run(store: &Store, file: &str) -> Result<Option<Source>> {
    // No stage has the empty name, so no events of stages are read.
    for history in history::newest_first_about(store, "")? {
        if let Some(begun) = history.begun().filter(|begun| begun.file == file) {
            let (sets, device) = (begun.sets.to_vec(), begun.device.to_string());
            return Ok(Some(Source { file: file.to_owned(), sets, device }));
        }
    }
    Ok(None)
}

/// Returns the state of a stage in the current file, with these `--set` values and on this device.
pub(super) fn stands(look: &Look, file: &Path, sets: &[String], device: Device, name: &str) -> Result<Standpoint> {
    let args = WorkflowArgs { file: file.to_owned(), sets: sets.to_vec(), device };
    let loaded = load_quietly(look.global, &args, &look.global.store)?;
    let count = loaded.diagnostics.len();
    let Some(workflow) = loaded.workflow else {
        let shown = typed_file(file);
        let sets = typed_sets(sets);
        let mistakes = ui::count(count, "mistake");
        return Ok(Standpoint::Unclear(format!("it has {mistakes}: `r1flow check {shown}{sets}` shows them")));
    };
    let workflow = workflow.on(device);
    let standing = match standing(&workflow, look.store, name) {
        Ok(Some(standing)) => standing,
        Ok(None) => {
            return Ok(Standpoint::Lacks(workflow.graph.node_weights().map(|stage| stage.name.to_string()).collect()));
        }
        Err(error) => return Ok(Standpoint::Unclear(error.to_string())),
    };
    let Standing { action, record } = standing;
    Ok(Standpoint::Stands(Box::new(Named {
        stage: name.to_owned(),
        source: Some(run::source(look.store, &workflow)),
        document: action.as_ref().map(|action| action.document.clone()),
        fingerprint: action.map(|action| action.fingerprint()),
        record,
    })))
}
