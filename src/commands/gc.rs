//! `r1flow gc`: gives back the disk that nothing refers to any more.
//!
//! What a record refers to stays, for an edit that is taken back finds its results there. What training needs to go on
//! stays, too, unless the user wants fewer checkpoints of each trajectory.

use std::num::NonZeroUsize;

use anyhow::Result;

use super::{Global, Status, find_store, print_json};
use crate::ui::{self, count};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only say what would go.
    #[arg(long)]
    dry_run: bool,
    /// Remove all but the newest N checkpoints of each training run as well.
    #[arg(long, value_name = "N")]
    keep_checkpoints: Option<NonZeroUsize>,
}

pub(crate) fn run(global: &Global, args: &Args) -> Result<Status> {
    let store = find_store(global)?;
    if !args.dry_run {
        store.sweep_attempts()?;
    }
    let collected = store.collect(args.keep_checkpoints.map(NonZeroUsize::get), args.dry_run)?;
    if global.json {
        return print_json(&collected);
    }
    let verb = if args.dry_run { "would remove" } else { "removed" };
    let (checkpoints, objects) = (count(collected.checkpoints, "checkpoint"), count(collected.objects, "object"));
    ui::line(&format!("{verb} {checkpoints}, {objects}, {}", ui::bytes(collected.bytes)));
    Ok(Status::Done)
}
