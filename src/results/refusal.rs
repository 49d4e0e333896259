//! Errors for a name that does not stand for one result: which results exist, how they differ from the current
//! workflow, and what to type for each.

use std::path::{Path, PathBuf};

use anyhow::Result;
use engine::diagnostic::quoted;
use engine::dirty::diff;
use engine::run;
use serde_json::Value;
use store::{Record, Source};

use super::look::{Look, Named};
use super::standpoint::{Standpoint, last_run, stands};
use super::typed::{typed, typed_file, typed_sets, typed_source};
use crate::exit::Advice;
use crate::loading::omitted;
use crate::ui::{self, reason};
use crate::views::runs::{self, State};

/// The most results that are listed.
const LISTED: usize = 5;
/// The most differences that are shown for one result.
const TOLD: usize = 3;

/// Returns the error for a stage that is not fresh.
pub(crate) fn not_fresh(look: &Look, named: &Named) -> Result<anyhow::Error> {
    let Source { file, sets, device } = named.source.clone().unwrap_or_default();
    if let Some(refusal) = at_work(look, named)? {
        return Ok(refusal);
    }
    let path = run::file_path(look.store, &file);
    let (shown, stage) = (typed_file(&path), &named.stage);
    let with = if sets.is_empty() { String::new() } else { format!(" with `{}`", typed_sets(&sets).trim_start()) };
    let why = if named.fingerprint.is_some() {
        "no result of this store is what it says now"
    } else {
        "a stage before it is not fresh"
    };
    let results = results(look, stage, named.document.as_ref())?;
    let message = format!("`{stage}` of `{shown}`{with} is not fresh: {why}{}", listed(&results));
    let mut ways = Vec::new();
    if let Some(last) = last_with_result(look, &path, &file, stage)? {
        let more = format!(" --workflow {shown}{}", typed_source(&last));
        ways.push(format!("its last run was made with other values: {}", look.asked.again(look.asked.what, &more)));
    }
    let source = Source { file: String::new(), sets, device };
    ways.push(format!("`r1flow apply {shown}{}` makes it", typed_source(&source)));
    ways.extend(by_digest(look, stage, &results));
    Ok(Advice::new(message, ways.join("; ")).into())
}

/// Returns the error for a stage without a result at which a run is working, or to which it will come.
fn at_work(look: &Look, named: &Named) -> Result<Option<anyhow::Error>> {
    let (Some(source), stage) = (&named.source, &named.stage) else { return Ok(None) };
    let Some(history) = runs::in_progress(look.store, &source.file)? else { return Ok(None) };
    // Without `--set`, a run with some is meant, too, and they are named.
    let Some(sets) = history.begun().map(|begun| begun.sets) else { return Ok(None) };
    if !source.sets.is_empty() && source.sets != sets {
        return Ok(None);
    }
    let run = match typed_sets(sets) {
        none if none.is_empty() => history.id.clone(),
        sets => format!("{} with `{}`", history.id, sets.trim_start()),
    };
    let state = runs::run(look.store, &history).1.remove(stage).unwrap_or_default();
    let message = match state.state {
        State::Unknown => format!("`{stage}` has not begun: its turn comes later in run {run}"),
        State::Waiting => format!("`{stage}` waits in run {run}: another run is at it"),
        State::Running => {
            let progress = state.progress().map_or_else(String::new, |progress| format!(", {progress}"));
            format!("`{stage}` is running{progress}, in run {run}: it has no result yet")
        }
        State::Retrying => format!("`{stage}` will be tried again, in run {run}: it has no result yet"),
        _ => return Ok(None),
    };
    let rows = outputs_so_far(look, &history.id, stage).into_iter();
    let rows =
        rows.map(|output| format!("`r1flow show {}` shows its rows so far", typed(&format!("{stage}.{output}"))));
    let follow = "`r1flow status --watch` follows the run".to_owned();
    Ok(Some(Advice::new(message, rows.chain([follow]).collect::<Vec<_>>().join("; ")).into()))
}

/// Returns the outputs of which a stage at work has written rows.
fn outputs_so_far(look: &Look, run: &str, stage: &str) -> Vec<String> {
    let folder = run::stage_rows(&look.store.runs_dir().join(run), stage);
    let files =
        fs_err::read_dir(folder).into_iter().flatten().filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut outputs: Vec<String> = files.filter_map(|file| file.strip_suffix(".jsonl").map(str::to_owned)).collect();
    outputs.sort();
    outputs
}

/// Returns the arguments of a workflow's last run, or of an earlier result, if they give a result of the stage and are
/// not those that the user gave.
fn last_with_result(look: &Look, path: &Path, file: &str, stage: &str) -> Result<Option<Source>> {
    let told = look.store.records_of_stage(stage)?;
    let told = told.into_iter().map(|record| record.source).filter(|source| source.file == file);
    for source in last_run(look.store, file)?.into_iter().chain(told).take(LISTED) {
        if source.sets == look.args.sets && look.args.device.is_none_or(|device| device.to_string() == source.device) {
            continue;
        }
        if let Standpoint::Stands(named) =
            stands(look, path, &source.sets, source.device.parse().unwrap_or_default(), stage)?
            && named.record.is_some()
        {
            return Ok(Some(source));
        }
    }
    Ok(None)
}

/// Returns the error for a stage that several workflows have with different results, or whose only workflow is unclear.
pub(super) fn several(look: &Look, name: &str, meant: &[(Standpoint, PathBuf)]) -> Result<anyhow::Error> {
    let why = meant.iter().filter_map(|(point, path)| match point {
        Standpoint::Unclear(why) => Some((path.clone(), why.clone())),
        _ => None,
    });
    let why: Vec<(PathBuf, String)> = why.collect();
    if meant.len() == 1 {
        return unclear(look, name, &why);
    }
    let files: Vec<String> = meant.iter().map(|(_, path)| typed_file(path)).collect();
    let again = |file: &String| look.asked.again(look.asked.what, &format!(" --workflow {file}"));
    let again: Vec<String> = files.iter().map(again).collect();
    let message = format!("`{name}` belongs to {}{}", quoted(&files), reasons(&why));
    Ok(Advice::new(message, format!("say which: {}", again.join(", "))).into())
}

fn reasons(why: &[(PathBuf, String)]) -> String {
    why.iter().flat_map(|(path, why)| ["\n  `".to_owned(), typed_file(path), "`: ".to_owned(), why.clone()]).collect()
}

/// Returns the error for a stage that no workflow has any more.
pub(super) fn past(look: &Look, name: &str, others: &[(Standpoint, PathBuf)]) -> Result<anyhow::Error> {
    let told = others.iter().map(|(point, path)| {
        let what = if matches!(point, Standpoint::Gone) { "is not there any more" } else { "has no such stage now" };
        format!("`{}` {what}", typed_file(path))
    });
    let told: Vec<String> = told.collect();
    let results = results(look, name, None)?;
    let message = format!("no workflow says what `{name}` is: {}{}", told.join(", "), listed(&results));
    Ok(Advice::new(message, ways(look, name, Some("FILE"))?).into())
}

/// Returns the error for a name that cannot be resolved: for the reasons in `why`, or because no record names a
/// workflow.
pub(super) fn unclear(look: &Look, name: &str, why: &[(PathBuf, String)]) -> Result<anyhow::Error> {
    let results = results(look, name, None)?;
    let message = format!("what `{name}` stands for cannot be told{}{}", reasons(why), listed(&results));
    Ok(Advice::new(message, ways(look, name, why.is_empty().then_some("FILE"))?).into())
}

/// Returns the error for a stage that has different results on several devices.
pub(super) fn devices(look: &Look, all: &[Named]) -> anyhow::Error {
    let names: Vec<&str> =
        all.iter().filter_map(|named| named.source.as_ref()).map(|source| source.device.as_str()).collect();
    let stage = all.first().map_or("", |named| named.stage.as_str());
    let more = |device: &&str| look.asked.again(look.asked.what, &format!(" --device {device}"));
    let ways: Vec<String> = names.iter().map(more).collect();
    let message = format!("`{stage}` has results of several devices, {}", quoted(&names));
    Advice::new(message, format!("say which: {}", ways.join(", "))).into()
}

/// Returns what to type: a workflow, or one of the results.
fn ways(look: &Look, name: &str, file: Option<&str>) -> Result<String> {
    let mut ways: Vec<String> = file
        .map(|file| look.asked.again(look.asked.what, &format!(" --workflow {file}")))
        .map(|again| format!("say which workflow is meant: {again}"))
        .into_iter()
        .collect();
    ways.extend(by_digest(look, name, &results(look, name, None)?));
    if ways.is_empty() {
        ways.push("mend the workflow first".to_owned());
    }
    Ok(ways.join("; "))
}

fn by_digest(look: &Look, stage: &str, results: &[(Record, String)]) -> Option<String> {
    let (newest, _) = results.first()?;
    Some(format!("a result has a name of its own: {}", look.asked.again(&look.asked.with_digest(stage, newest), "")))
}

/// Returns the results under a stage's name, the last of the journal first, with the differences of each from the
/// current workflow.
fn results(look: &Look, stage: &str, now: Option<&Value>) -> Result<Vec<(Record, String)>> {
    let mut found: Vec<(Record, String)> = Vec::new();
    let omitted = now.map(|now| omitted(look.global, now)).unwrap_or_default();
    for record in look.store.records_of_stage(stage)?.into_iter().filter(|record| record.deterministic) {
        if found.iter().any(|(other, _)| other.fingerprint == record.fingerprint) {
            continue;
        }
        let mut differs = match (now, look.store.action(&record.fingerprint)?) {
            (Some(now), Some(then)) if found.len() < LISTED => diff(now, &then, &omitted).iter().map(reason).collect(),
            _ => Vec::new(),
        };
        let more = differs.len().saturating_sub(TOLD);
        differs.truncate(TOLD);
        if more > 0 {
            differs.push(format!("{more} more"));
        }
        if !look.store.outputs_are_whole(&record) {
            differs.push("its outputs are gone".to_owned());
        }
        found.push((record, differs.join(", ")));
    }
    Ok(found)
}

fn listed(results: &[(Record, String)]) -> String {
    let mut lines = String::new();
    for (record, differs) in results.iter().take(LISTED) {
        let Source { file, sets, .. } = &record.source;
        let from = format!("{file}{}", typed_sets(sets));
        let line = format!("b3:{}  {}  {from}  {differs}", record.fingerprint.short(), record.finished);
        lines.extend(["\n  ", line.trim_end()]);
    }
    if results.len() > LISTED {
        lines.extend(["\n  and ", &ui::count(results.len() - LISTED, "result"), " before"]);
    }
    lines
}
