//! `r1flow man`: a man page for the program and for each command.

use std::path::PathBuf;

use anyhow::Result;
use clap::Command;
use clap_mangen::Man;

use crate::exit::Status;
use crate::ui::{self, count};

#[derive(Debug, clap::Args)]
#[command(after_help = PLACES)]
pub(crate) struct Args {
    /// The folder to write to; it is created if it is missing.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

/// Where `man` looks for pages.
const PLACES: &str = "\
`man r1flow-apply` finds a page in `~/.local/share/man/man1`. Packages install the pages in `share/man/man1`, and so \
does `make install`.";

pub(crate) fn run(args: &Args, cli: Command) -> Result<Status> {
    let mut cli = cli.disable_help_subcommand(true);
    // Only `build` gives commands their full names.
    cli.build();
    let commands = cli.get_subcommands().filter(|command| !command.is_hide_set());
    let pages: Vec<Man> = [&cli].into_iter().chain(commands).map(|command| Man::new(command.clone())).collect();
    fs_err::create_dir_all(&args.dir)?;
    for page in &pages {
        let mut text = Vec::new();
        page.render(&mut text)?;
        fs_err::write(args.dir.join(page.get_filename()), text)?;
    }
    ui::note(&format!("wrote {} to {}", count(pages.len(), "page"), args.dir.display()));
    Ok(Status::Done)
}
