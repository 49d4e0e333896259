//! `r1flow completions`: prints the completion script of a shell.

use clap::{Command, ValueEnum};
use clap_complete::generate;

use crate::exit::Status;
use crate::ui;

#[derive(Debug, clap::Args)]
#[command(after_help = PLACES)]
pub(crate) struct Args {
    /// The shell.
    #[arg(value_enum, value_name = "SHELL")]
    shell: Shell,
}

/// A shell with a completion script.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// Where shells look for completion scripts.
const PLACES: &str = "\
bash reads `~/.local/share/bash-completion/completions/r1flow`, zsh `_r1flow` in a folder of its `fpath`, fish \
`~/.config/fish/completions/r1flow.fish`. Packages install `share/bash-completion/completions/r1flow`, \
`share/zsh/site-functions/_r1flow` and `share/fish/vendor_completions.d/r1flow.fish`, and so does `make install`.";

pub(crate) fn run(args: &Args, mut cli: Command) -> Status {
    let shell = match args.shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
    };
    let name = cli.get_name().to_owned();
    let mut script = Vec::new();
    generate(shell, &mut cli, name, &mut script);
    ui::data(&script);
    Status::Done
}
