//! `r1flow schema`: the JSON schema of workflow files, for editors, and the other generated files, `docs/kinds.md` and
//! `docs/cli.md`.

use std::path::PathBuf;

use anyhow::Result;
use clap::Command;
use engine::schema::editor_schema;

use crate::arguments::Global;
use crate::exit::Status;
use crate::loading::load_kinds;
use crate::reference::{cli, kinds};
use crate::ui;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Write the schema to this file unless it is up to date.
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// Write the reference of kinds to this file, too.
    #[arg(long, value_name = "FILE", requires = "write")]
    reference: Option<PathBuf>,
    /// Write the reference of the command line to this file, too.
    #[arg(long, value_name = "FILE", requires = "write")]
    cli: Option<PathBuf>,
    /// Only check whether the files are up to date.
    #[arg(long, requires = "write")]
    check: bool,
}

pub(crate) fn run(global: &Global, args: &Args, commands: Command) -> Result<Status> {
    let known = load_kinds(global)?;
    let schema = format!("{}\n", serde_json::to_string_pretty(&editor_schema(&known))?);
    let Some(file) = &args.write else {
        ui::raw(&schema);
        return Ok(Status::Done);
    };
    let mut files = vec![(file, schema)];
    files.extend(args.reference.as_ref().map(|file| (file, kinds::markdown(&known))));
    files.extend(args.cli.as_ref().map(|file| (file, cli::markdown(commands))));
    let mut status = Status::Done;
    for (file, text) in files {
        if std::fs::read_to_string(file).is_ok_and(|old| old == text) {
            continue;
        }
        if args.check {
            ui::error(&format!("`{}` is out of date", file.display()), Some("run `make generate`"));
            status = Status::Refused;
        } else {
            fs_err::write(file, text)?;
            ui::note(&format!("wrote {}", file.display()));
        }
    }
    Ok(status)
}
