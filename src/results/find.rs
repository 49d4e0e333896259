//! Finds the stage or output that a name stands for.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::{Result, anyhow};
use engine::history;
use engine::run;
use store::{Digest, Source, Store};

use super::attempts::unfinished;
use super::look::{Look, Named};
use super::refusal;
use super::standpoint::{Standpoint, standpoint};
use crate::exit::{Advice, no_such};

/// What a name stands for.
pub(crate) enum Found {
    /// A stage.
    Stage(Box<Named>),
    /// A tree of the store, and the workflow that it was found by.
    Output(Digest, Option<Source>),
    /// Rows so far of an output of a stage that is not done.
    Growing(Growing),
}

/// Rows of an output that its stage is writing, or was writing when it ended.
pub(crate) struct Growing {
    pub(crate) file: PathBuf,
    /// The run.
    pub(crate) run: String,
}

/// Finds what a name stands for. A stage need not be fresh; an output of a stage that is not fresh is an error.
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

/// Finds an output. The name of a stage alone is an error, which lists the stage's outputs.
pub(crate) fn output(look: &Look, what: &str) -> Result<Digest> {
    match find(look, what)? {
        Found::Output(digest, _) => Ok(digest),
        Found::Growing(_) => {
            let (stage, _) = what.rsplit_once('.').unwrap_or((what, ""));
            Err(match stage_if_known(look, stage)? {
                Some(named) => refusal::not_fresh(look, &named)?,
                None => unknown(look, what)?,
            })
        }
        Found::Stage(named) => {
            let Some(record) = &named.record else { return Err(refusal::not_fresh(look, &named)?) };
            let outputs: Vec<String> = record.outputs.keys().map(|output| format!("`{what}.{output}`")).collect();
            Err(anyhow!("`{what}` is a stage: name one of its outputs, {}", outputs.join(", ")))
        }
    }
}

/// Finds a stage by its name or the fingerprint of its result.
pub(crate) fn stage(look: &Look, name: &str) -> Result<Named> {
    if let Some(text) = name.strip_prefix("b3:") {
        return match by_digest(look, text)? {
            Found::Stage(named) => Ok(*named),
            Found::Output(..) | Found::Growing(_) => {
                Err(anyhow!("`{name}` is an output: name its stage, or the fingerprint of a result"))
            }
        };
    }
    match stage_if_known(look, name)? {
        Some(named) => Ok(named),
        None => Err(unknown(look, name)?),
    }
}

fn output_of(look: &Look, named: Named, output: &str) -> Result<Found> {
    let Some(record) = &named.record else {
        return match growing(look, &named, output)? {
            Some(growing) => Ok(Found::Growing(growing)),
            None => Err(refusal::not_fresh(look, &named)?),
        };
    };
    let missing = || no_such("output", output, record.outputs.keys().map(String::as_str));
    Ok(Found::Output(record.outputs.get(output).ok_or_else(missing)?.digest, Some(record.source.clone())))
}

/// Finds the rows so far of an output, if the last attempt at its stage has written some and is not done.
fn growing(look: &Look, named: &Named, output: &str) -> Result<Option<Growing>> {
    let Some(history) = unfinished(look.store, named)? else { return Ok(None) };
    let rows = run::stage_rows(&look.store.runs_dir().join(&history.id), &named.stage);
    let file = rows.join(format!("{output}.jsonl"));
    Ok(file.is_file().then_some(Growing { file, run: history.id }))
}

fn unknown(look: &Look, what: &str) -> Result<anyhow::Error> {
    let names: BTreeSet<String> = look.store.all_records()?.into_iter().map(|record| record.stage).collect();
    Ok(no_such("stage in the store", what, names.iter().map(String::as_str)))
}

/// Finds a stage by name; returns `None` if no workflow has had it.
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
        if let Some(named) = not_begun(look, name)? {
            return Ok(Some(named));
        }
        let records = look.store.records_of_stage(name)?;
        return if records.is_empty() { Ok(None) } else { Err(refusal::unclear(look, name, &[])?) };
    }
    let mut all = Vec::new();
    for file in files {
        let path = run::file_path(look.store, &file);
        all.push((standpoint(look, &path, name)?, path));
    }
    // A workflow that is gone, or no longer has the stage, does not count if another one has it.
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

/// Finds a stage that no run has come to yet, in the workflow of the newest run.
fn not_begun(look: &Look, name: &str) -> Result<Option<Named>> {
    // No stage has the empty name, so no events of stages are read.
    let Some(newest) = history::newest_first_about(look.store, "")?.next() else { return Ok(None) };
    let Some(begun) = newest.begun().filter(|begun| !begun.file.is_empty()) else { return Ok(None) };
    match standpoint(look, &run::file_path(look.store, begun.file), name)? {
        Standpoint::Stands(named) => Ok(Some(*named)),
        _ => Ok(None),
    }
}

/// Returns the stage, if it is fresh in all workflows with the same result.
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
        // Every history has the start and the end of its run; only one with an event about the stage counts.
        let has_stage = history.settled(stage).is_some() || history.attempted(stage).is_some();
        files.extend(history.begun().filter(|_| has_stage).map(|begun| begun.file.to_owned()));
    }
    files.remove("");
    Ok(files)
}

/// Finds a result by its fingerprint, one of its outputs, or an output by its own digest. The first digits are enough.
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
        (1, None) if output.is_none() => Ok(Found::Output(*outputs.first().expect("there is one"), None)),
        (0 | 1, _) => match digest {
            // A tree to which no record refers.
            Ok(digest) if output.is_none() => Ok(Found::Output(digest, None)),
            _ => Err(anyhow!("no result of this store begins with `b3:{digits}`")),
        },
        (count, _) => {
            let help = "write more of its digits";
            Err(Advice::new(format!("`b3:{digits}` begins {count} digests of this store"), help).into())
        }
    }
}
