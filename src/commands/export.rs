//! `r1flow export`: copies an output of a stage to a folder of the user's own.

use std::path::PathBuf;

use anyhow::Result;

use crate::arguments::{Global, NameArgs, local};
use crate::exit::Status;
use crate::loading::find_store;
use crate::results::{Invocation, Look, output, typed_file};
use crate::ui::{self, bytes};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// `stage.output`, or `b3:…`.
    #[arg(value_name = "WHAT")]
    what: String,
    /// The folder to make. A model becomes a Hugging Face folder.
    #[arg(value_name = "DIR", value_parser = local)]
    dir: PathBuf,
    #[command(flatten)]
    names: NameArgs,
}

pub(crate) fn run(global: &Global, args: &Args) -> Result<Status> {
    let store = find_store(global)?;
    let tail = format!(" {}", typed_file(&args.dir));
    let asked = Invocation { command: "export", what: &args.what, tail: &tail };
    let look = Look { global, store: &store, args: &args.names, asked };
    let digest = output(&look, &args.what)?;
    store.export(&digest, &args.dir)?;
    let tree = store.tree(&digest)?;
    if global.json {
        ui::print_json(&serde_json::json!({ "digest": digest, "dir": args.dir, "files": tree.members.len() }))?;
        return Ok(Status::Done);
    }
    ui::line(&format!("{}: {}, {}", args.dir.display(), ui::count(tree.members.len(), "file"), bytes(tree.bytes())));
    Ok(Status::Done)
}
