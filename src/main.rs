//! The command line of r1flow: parse, dispatch, exit code.

mod commands;
mod diagnostic;
mod hub;
mod machine;
mod ui;

use std::process::ExitCode;

use clap::Parser;

use commands::{Cli, Status};

fn main() -> ExitCode {
    std::panic::set_hook(Box::new(|panic| {
        ui::error(&format!("{panic}"), Some("this is a bug in r1flow; please report it with the command that you ran"));
    }));
    let cli = Cli::parse();
    ui::start(&cli.global);
    let status = std::panic::catch_unwind(|| commands::run(cli));
    ExitCode::from(match status {
        Ok(Ok(status)) => status.code(),
        Ok(Err(error)) => {
            ui::error(&format!("{error:#}"), None);
            Status::Refused.code()
        }
        Err(_) => 101,
    })
}
