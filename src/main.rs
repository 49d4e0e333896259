//! The command line of r1flow: parse, dispatch, exit code.

mod arguments;
mod commands;
mod diagnostic;
mod exit;
mod fetching;
mod first;
mod hub;
mod loading;
mod machine;
mod pieces;
mod reference;
mod refinement;
mod results;
mod running;
mod saved_plan;
mod ui;
mod views;

use std::process::ExitCode;

use clap::Parser;

use commands::{Cli, with_our_name};
use exit::{Advice, Status};

fn main() -> ExitCode {
    std::panic::set_hook(Box::new(|panic| {
        // The store's index catches the panics of sled about files that it cannot read.
        if panic.location().is_some_and(|place| place.file().contains("/sled-")) {
            return;
        }
        ui::error(&format!("{panic}"), Some("this is a bug in r1flow; please report it with the command that you ran"));
    }));
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return ExitCode::from(printed(ui::usage(&with_our_name(error)))),
    };
    ui::start(&cli.global);
    let status = std::panic::catch_unwind(|| commands::run(cli));
    ExitCode::from(printed(match status {
        Ok(Ok(status)) => status.code(),
        Ok(Err(error)) => {
            let message = format!("{error:#}");
            // Errors of libraries have their advice in their text.
            let (message, told) =
                message.split_once("; help: ").map_or((&*message, None), |(text, help)| (text, Some(help)));
            let help = error.downcast_ref::<Advice>().map(|advice| advice.help.as_str());
            ui::error(message, help.or(told));
            Status::Refused.code()
        }
        Err(_) => 101,
    }))
}

/// Returns the exit code of a command: not 0 if its output could not be written.
fn printed(code: u8) -> u8 {
    let Some(reason) = ui::trouble() else { return code };
    ui::error(
        &format!("standard output cannot be written: {reason}"),
        Some("what stands there is cut short: make room, or send it elsewhere, and run the command again"),
    );
    if code == 0 { 2 } else { code }
}
