//! What a name on the command line stands for: `stage`, `stage.output`, `b3:…`.
//!
//! A name belongs to a workflow, and means what its file says now: the action is made of the file as it stands, and the
//! record of that fingerprint is the result. Never by time: an edit that is taken back, a clock that goes back and a
//! history that is gone change nothing. Where that does not lead to one result there is none, and [`super::refusal`]
//! says what to type instead.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use engine::history::{self, History};
use engine::past::{Standing, standing};
use engine::run;
use serde_json::Value;
use store::{Digest, Record, Source, Store};

use super::refusal::{self, Asked};
use super::{Advice, WorkflowArgs, load_quietly, no_such};
use crate::options::Global;
use crate::ui;

/// Which workflow names belong to.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct NameArgs {
    /// The workflow that names belong to; the one of this store that has them unless given.
    #[arg(long, value_name = "FILE")]
    pub(crate) workflow: Option<PathBuf>,
    /// Replace a value of the workflow, as `apply` did.
    #[arg(long = "set", value_name = "STAGE.KEY=VALUE")]
    pub(crate) sets: Vec<String>,
    /// Where tensors lived; wherever that was unless given.
    #[arg(long)]
    pub(crate) device: Option<String>,
}

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

/// What a name stands for.
pub(crate) enum Found {
    Stage(Box<Named>),
    Output(Digest),
}

/// What has become of a workflow that has had the stage.
pub(super) enum Standpoint {
    Gone,
    /// What a name means cannot be told.
    Unclear(String),
    /// It has no such stage now.
    Lacks(Vec<String>),
    Stands(Box<Named>),
    /// Results of several devices; which is meant is for the user to say.
    Devices(Vec<Named>),
}

/// Finds what a name stands for. A stage may turn out not to be fresh; an output of one that is not is an error.
pub(crate) fn find(look: &Look, what: &str) -> Result<Found> {
    if let Some(text) = what.strip_prefix("b3:") {
        return by_digest(look, text);
    }
    if let Some(named) = stage_if_known(look, what)? {
        return Ok(Found::Stage(Box::new(named)));
    }
    if let Some((stage, output)) = what.rsplit_once('.')
        && let Some(named) = stage_if_known(look, stage)?
    {
        return output_of(look, named, output);
    }
    Err(unknown(look, what)?)
}

/// Finds a stage by its name or the fingerprint of its result.
pub(crate) fn stage(look: &Look, name: &str) -> Result<Named> {
    if let Some(text) = name.strip_prefix("b3:") {
        return match by_digest(look, text)? {
            Found::Stage(named) => Ok(*named),
            Found::Output(_) => Err(anyhow!("`{name}` is an output: name its stage, or the fingerprint of a result")),
        };
    }
    match stage_if_known(look, name)? {
        Some(named) => Ok(named),
        None => Err(unknown(look, name)?),
    }
}

fn output_of(look: &Look, named: Named, output: &str) -> Result<Found> {
    let Some(record) = &named.record else { return Err(refusal::not_fresh(look, &named)?) };
    let missing = || no_such("output", output, record.outputs.keys().map(String::as_str));
    Ok(Found::Output(record.outputs.get(output).ok_or_else(missing)?.digest))
}

fn unknown(look: &Look, what: &str) -> Result<anyhow::Error> {
    let names: BTreeSet<String> = look.store.all_records()?.into_iter().map(|record| record.stage).collect();
    Ok(no_such("stage in the store", what, names.iter().map(String::as_str)))
}

/// Finds a stage by name; nothing where no workflow has had it.
fn stage_if_known(look: &Look, name: &str) -> Result<Option<Named>> {
    if let Some(file) = &look.args.workflow {
        return match standpoint(look, file, name)? {
            Standpoint::Stands(named) => Ok(Some(*named)),
            Standpoint::Gone => Err(anyhow!("there is no workflow file `{}`", file.display())),
            Standpoint::Unclear(why) => Err(refusal::unclear(look, name, &[(file.clone(), why)])?),
            Standpoint::Devices(all) => Err(refusal::devices(look, &all)),
            Standpoint::Lacks(known) if known.iter().any(|known| name.starts_with(&format!("{known}."))) => Ok(None),
            Standpoint::Lacks(known) => Err(no_such("stage", name, known.iter().map(String::as_str))),
        };
    }
    let files = files_with(look.store, name)?;
    if files.is_empty() {
        let records = look.store.records_of_stage(name)?;
        return if records.is_empty() { Ok(None) } else { Err(refusal::unclear(look, name, &[])?) };
    }
    let mut all = Vec::new();
    for file in files {
        let path = run::file_path(look.store, &file);
        all.push((standpoint(look, &path, name)?, path));
    }
    // A workflow that is no more, or has no such stage now, is not meant where another has it.
    let has_name = |(point, _): &(Standpoint, PathBuf)| !matches!(point, Standpoint::Gone | Standpoint::Lacks(_));
    let (mut meant, others): (Vec<_>, Vec<_>) = all.into_iter().partition(has_name);
    if meant.len() == 1 && !matches!(meant[0].0, Standpoint::Unclear(_)) {
        return match meant.remove(0).0 {
            Standpoint::Stands(named) => Ok(Some(*named)),
            Standpoint::Devices(all) => Err(refusal::devices(look, &all)),
            _ => unreachable!("what is gone or lacks the name is not meant"),
        };
    }
    if let Some(named) = agreed(&meant) {
        return Ok(Some(named));
    }
    Err(if meant.is_empty() { refusal::past(look, name, &others)? } else { refusal::several(look, name, &meant)? })
}

/// Returns the result that all workflows mean, if it is one.
fn agreed(meant: &[(Standpoint, PathBuf)]) -> Option<Named> {
    let fresh = |point: &Standpoint| match point {
        Standpoint::Stands(named) if named.record.is_some() => Some((**named).clone()),
        _ => None,
    };
    let all: Option<Vec<Named>> = meant.iter().map(|(point, _)| fresh(point)).collect();
    let mut all = all?;
    let first = all.pop()?;
    all.iter().all(|named| named.fingerprint == first.fingerprint).then_some(first)
}

/// Returns the files of the workflows that have had a stage of this name.
fn files_with(store: &Store, stage: &str) -> Result<BTreeSet<String>> {
    let mut files: BTreeSet<String> =
        store.records_of_stage(stage)?.into_iter().map(|record| record.source.file).collect();
    for history in history::newest_first_about(store, stage)? {
        // What a run tells of itself comes first and last.
        let has_stage = history.settled(stage).is_some() || history.attempted(stage).is_some();
        files.extend(history.begun().filter(|_| has_stage).map(|begun| begun.file.to_owned()));
    }
    files.remove("");
    Ok(files)
}

fn standpoint(look: &Look, file: &Path, name: &str) -> Result<Standpoint> {
    if !file.is_file() {
        return Ok(Standpoint::Gone);
    }
    let (devices, last) = devices(look, file, name)?;
    let mut standings = Vec::new();
    for device in devices {
        match stands(look, file, &look.args.sets, &device, name)? {
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
    let is_last = |named: &Named| named.source.as_ref().is_some_and(|source| source.device == last);
    let found = fresh.into_values().next().or_else(|| standings.iter().find(|named| is_last(named)).cloned());
    Ok(Standpoint::Stands(Box::new(found.unwrap_or_else(|| standings.swap_remove(0)))))
}

/// Returns the devices on which a workflow may have made a stage, one for each backend, and the last of them. What computes
/// is no matter of the file: where it has been said once only, that is meant.
fn devices(look: &Look, file: &Path, stage: &str) -> Result<(Vec<String>, String)> {
    if let Some(device) = &look.args.device {
        return Ok((vec![device.clone()], device.clone()));
    }
    let file = run::file_name(look.store, &fs_err::canonicalize(file)?);
    let backend = |device: &str| device.split(':').next().unwrap_or_default().to_owned();
    let mut all = BTreeMap::from([("cpu".to_owned(), "cpu".to_owned())]);
    let records = look.store.records_of_stage(stage)?;
    let told = records.into_iter().map(|record| record.source).filter(|source| source.file == file);
    let last_run = last_run(look.store, &file)?;
    // The first word of each stays: the newest.
    let mut said: Vec<String> = last_run.into_iter().chain(told).map(|source| source.device).collect();
    said.retain(|device| !device.is_empty());
    let last = said.first().cloned().unwrap_or_else(|| "cpu".to_owned());
    for device in said {
        all.entry(backend(&device)).or_insert(device);
    }
    let last = all.get(&backend(&last)).cloned().unwrap_or(last);
    Ok((all.into_values().collect(), last))
}

/// Returns what the newest run of a workflow was made with.
pub(super) fn last_run(store: &Store, file: &str) -> Result<Option<Source>> {
    // No stage has this name: of all others nothing is read.
    for history in history::newest_first_about(store, "")? {
        if let Some(begun) = history.begun().filter(|begun| begun.file == file) {
            let (sets, device) = (begun.sets.to_vec(), begun.device.to_owned());
            return Ok(Some(Source { file: file.to_owned(), sets, device }));
        }
    }
    Ok(None)
}

/// Returns what a stage is in a file as it stands, with these values and on this device.
pub(super) fn stands(look: &Look, file: &Path, sets: &[String], device: &str, name: &str) -> Result<Standpoint> {
    let args = WorkflowArgs { file: file.to_owned(), sets: sets.to_vec(), device: device.to_owned() };
    let loaded = load_quietly(look.global, &args, &look.global.store)?;
    let count = loaded.diagnostics.len();
    let Some(workflow) = loaded.workflow else {
        let shown = refusal::typed_file(file);
        let sets = refusal::typed_sets(sets);
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

/// Finds a result by its fingerprint, one of its outputs, or an output by its own digest; the first digits will do.
fn by_digest(look: &Look, text: &str) -> Result<Found> {
    let (digits, output) = text.split_once('.').map_or((text, None), |(digits, output)| (digits, Some(output)));
    let digest = format!("b3:{digits}").parse::<Digest>();
    let is_hex = digits.len() >= 4 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if digest.is_err() && !is_hex {
        return Err(anyhow!("`b3:{digits}` is no digest: `b3:` and 64 hex digits, or the first of them, 4 or more"));
    }
    let (mut results, mut outputs) = (BTreeMap::new(), BTreeSet::new());
    for record in look.store.all_records()?.into_iter().filter(|record| record.deterministic) {
        let trees = record.outputs.values().map(|output| output.digest);
        outputs.extend(trees.filter(|digest| digest.hex().starts_with(digits)));
        if record.fingerprint.hex().starts_with(digits) {
            results.insert(record.fingerprint, record);
        }
    }
    match (results.len() + outputs.len(), results.pop_first()) {
        (1, Some((fingerprint, record))) => {
            let document = look.store.action(&fingerprint)?;
            let (stage, fingerprint) = (record.stage.clone(), Some(fingerprint));
            let named = Named { stage, source: None, document, fingerprint, record: Some(record) };
            match output {
                Some(output) => output_of(look, named, output),
                None => Ok(Found::Stage(Box::new(named))),
            }
        }
        (1, None) if output.is_none() => Ok(Found::Output(*outputs.first().expect("there is one"))),
        (0 | 1, _) => match digest {
            // A tree that no record tells of.
            Ok(digest) if output.is_none() => Ok(Found::Output(digest)),
            _ => Err(anyhow!("no result of this store begins with `b3:{digits}`")),
        },
        (count, _) => {
            let help = "write more of its digits";
            Err(Advice::new(format!("`b3:{digits}` begins {count} digests of this store"), help).into())
        }
    }
}

/// Returns the newest run of its workflow in which a stage was at work, with what it tells of the stage.
pub(crate) fn last_attempt(store: &Store, named: &Named) -> Result<Option<History>> {
    let Some(source) = &named.source else { return Ok(None) };
    let fresh = named.fingerprint.filter(|_| named.record.is_some());
    // Of one that is fresh other attempts are no matter.
    let is_meant = |history: &History| match (history.attempted(&named.stage), fresh) {
        (Some(attempted), Some(fresh)) => attempted == fresh,
        (attempted, None) => attempted.is_some(),
        (None, Some(_)) => false,
    };
    Ok(history::newest_first_about(store, &named.stage)?.find(|one| one.is_of(&source.file) && is_meant(one)))
}

/// Returns the same if the stage did not come to its end there, nor is it fresh.
pub(crate) fn unfinished(store: &Store, named: &Named) -> Result<Option<History>> {
    if named.record.is_some() {
        return Ok(None);
    }
    Ok(last_attempt(store, named)?.filter(|history| history.settled(&named.stage).is_none()))
}
