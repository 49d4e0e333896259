//! `r1flow export`: copies an output of a stage to a folder of the user's own, or writes what TensorBoard shows of it.

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail};
use engine::tensorboard::{self, Exported};
use store::{Record, Store};

use crate::arguments::{Global, NameArgs, WorkflowArgs, local};
use crate::exit::{Advice, Status};
use crate::loading::{find_store, load_workflow};
use crate::results::{Invocation, Look, fresh_records, not_fresh, output, stage, typed_file};
use crate::ui::{self, bytes, count};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// `stage.output`, or `b3:…`. With `--tensorboard` a stage, or a workflow file for all its stages.
    #[arg(value_name = "WHAT")]
    what: String,
    /// The folder to make. A model becomes a Hugging Face folder.
    #[arg(value_name = "DIR", value_parser = local)]
    dir: PathBuf,
    /// Write the curve and the rollouts of a finished stage as an event file of TensorBoard, in `DIR/STAGE`.
    #[arg(long)]
    tensorboard: bool,
    #[command(flatten)]
    names: NameArgs,
}

pub(crate) fn run(global: &Global, args: &Args) -> Result<Status> {
    if args.tensorboard && Path::new(&args.what).extension().is_some_and(|extension| extension == "toml") {
        return export_workflow(global, args);
    }
    let store = find_store(global)?;
    let form = if args.tensorboard { " --tensorboard" } else { "" };
    let tail = format!(" {}{form}", typed_file(&args.dir));
    let asked = Invocation { command: "export", what: &args.what, tail: &tail };
    let look = Look { global, store: &store, args: &args.names, asked };
    if args.tensorboard {
        let named = stage(&look, &args.what)?;
        let Some(record) = &named.record else { return Err(not_fresh(&look, &named)?) };
        return export_stages(global, args, &store, [(named.stage.as_str(), record)]);
    }
    let digest = output(&look, &args.what)?;
    store.export(&digest, &args.dir)?;
    let tree = store.tree(&digest)?;
    if global.json {
        ui::print_json(&serde_json::json!({ "digest": digest, "dir": args.dir, "files": tree.members.len() }))?;
        return Ok(Status::Done);
    }
    ui::line(&format!("{}: {}, {}", args.dir.display(), count(tree.members.len(), "file"), bytes(tree.bytes())));
    Ok(Status::Done)
}

/// Writes event files for the stages of a workflow that are fresh.
fn export_workflow(global: &Global, args: &Args) -> Result<Status> {
    let NameArgs { workflow, sets, device } = &args.names;
    if workflow.is_some() {
        bail!("`{}` is a workflow itself: leave out `--workflow`, or name a stage", args.what);
    }
    let named =
        WorkflowArgs { file: PathBuf::from(&args.what), sets: sets.clone(), device: device.unwrap_or_default() };
    let Some(workflow) = load_workflow(global, &named)? else { return Ok(Status::Refused) };
    let store = find_store(global)?;
    let records = fresh_records(workflow, &store)?;
    if records.is_empty() {
        return Err(anyhow!("nothing of `{}` is fresh: run `r1flow apply` first", workflow.name));
    }
    export_stages(global, args, &store, records.iter().map(|(stage, record)| (stage.as_str(), record)))
}

fn export_stages<'a>(
    global: &Global,
    args: &Args,
    store: &Store,
    stages: impl IntoIterator<Item = (&'a str, &'a Record)>,
) -> Result<Status> {
    let exported = stages.into_iter().map(|stage| tensorboard::export(store, stage, &args.dir));
    let exported: Vec<Option<Exported>> = exported.collect::<Result<_, _>>()?;
    let exported: Vec<Exported> = exported.into_iter().flatten().collect();
    if exported.is_empty() {
        let message = format!("`{}` has neither a curve nor rollouts, so there is nothing to write", args.what);
        return Err(Advice::new(message, "stages that train have a curve: `r1flow show STAGE` draws it").into());
    }
    if global.json {
        ui::print_json(&exported)?;
        return Ok(Status::Done);
    }
    for Exported { file, steps, rows, .. } in &exported {
        let (steps, rows) = (count(*steps as usize, "step"), count(*rows as usize, "rollout"));
        ui::line(&format!("{}: {steps}, {rows}", file.display()));
    }
    ui::note(&format!("`tensorboard --logdir {}` shows them", typed_file(&args.dir)));
    Ok(Status::Done)
}
