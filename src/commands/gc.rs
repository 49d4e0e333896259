//! `r1flow gc`: frees disk space by removing objects that nothing refers to any more.
//!
//! Objects that a record refers to are kept, because an edit that is taken back finds its results there. `--only`
//! removes those that the named workflows do not reach. Checkpoints from which training can resume are kept, too;
//! `--keep-checkpoints` limits their number for each training run.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use engine::diagnostic::quoted;
use engine::past::reach;
use engine::placement::Device;
use engine::workflow::StageName;
use store::{Alive, Keep, Store};

use crate::arguments::{Global, WorkflowArgs};
use crate::exit::Status;
use crate::loading::{find_store, load_workflow};
use crate::ui::{self, count};

/// The most stages that an error message names.
const NAMED: usize = 5;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only print what would be removed.
    #[arg(long)]
    dry_run: bool,
    /// Also remove all but the newest N checkpoints of each training run.
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    keep_checkpoints: Option<NonZeroUsize>,
    /// Keep only the results that this workflow reaches as it is now (repeatable); remove those of its earlier versions
    /// and of other workflows.
    #[arg(long, value_name = "FILE")]
    only: Vec<PathBuf>,
    /// The `--device` of those workflows; results from another backend are removed.
    #[arg(long, default_value_t, requires = "only")]
    device: Device,
}

/// Parses a number of checkpoints to keep.
fn at_least_one(text: &str) -> Result<NonZeroUsize, String> {
    let message = "a whole number from 1; the newest checkpoint is what a raised `steps` goes on from";
    text.parse().map_err(|_| message.to_owned())
}

pub(crate) fn run(global: &Global, args: &Args) -> Result<Status> {
    let store = find_store(global)?;
    if !args.dry_run {
        store.sweep_attempts()?;
    }
    let mut keep = Keep { checkpoints: args.keep_checkpoints.map(NonZeroUsize::get), only: None };
    if !args.only.is_empty() {
        let Some(alive) = alive(global, args, &store)? else { return Ok(Status::Refused) };
        keep.only = Some(alive);
    }
    let collected = if args.dry_run { store.would_collect(&keep)? } else { store.collect(&keep)? };
    if global.json {
        ui::print_json(&collected)?;
        return Ok(Status::Done);
    }
    let verb = if args.dry_run { "would remove" } else { "removed" };
    let (checkpoints, objects) = (count(collected.checkpoints, "checkpoint"), count(collected.objects, "object"));
    let results = if args.only.is_empty() {
        String::new()
    } else {
        format!("the outputs of {}, ", count(collected.records, "earlier result"))
    };
    ui::line(&format!("{verb} {results}{checkpoints}, {objects}, {}", ui::bytes(collected.bytes)));
    Ok(Status::Done)
}

/// Returns what the named workflows reach; `None` if one has mistakes, which have been shown.
fn alive(global: &Global, args: &Args, store: &Store) -> Result<Option<Alive>> {
    if store.is_in_use()? {
        bail!(store::Error::InUse);
    }
    let mut alive = Alive::default();
    for file in &args.only {
        let source = WorkflowArgs { file: file.clone(), sets: Vec::new(), device: args.device };
        let Some(workflow) = load_workflow(global, &source)? else { return Ok(None) };
        let reach = reach(workflow, store)?;
        if !reach.stale.is_empty() {
            bail!(not_fresh(file, &reach.stale));
        }
        alive.records.extend(reach.alive.records);
        alive.checkpoints.extend(reach.alive.checkpoints);
        alive.rows.extend(reach.alive.rows);
    }
    Ok(Some(alive))
}

fn not_fresh(file: &Path, stale: &[StageName]) -> String {
    let named: Vec<&str> = stale.iter().take(NAMED).map(|stage| stage.0.as_str()).collect();
    let named = quoted(&named);
    let more = if stale.len() > NAMED { ", …" } else { "" };
    let (stages, are, file) =
        (count(stale.len(), "stage"), if stale.len() == 1 { "is" } else { "are" }, file.display());
    format!(
        "{stages} of `{file}` {are} not fresh ({named}{more}), and what they will need cannot be told yet: run `r1flow apply {file}` first"
    )
}
