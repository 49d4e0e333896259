//! `r1flow log`: what a stage's worker wrote to stderr.

use std::io::{Read, Seek, SeekFrom};
use std::time::Duration;

use anyhow::{Result, anyhow};
use engine::event::Event;
use engine::run;
use serde_json::json;
use store::Store;

use super::show::newest;
use super::status::is_running;
use super::{Global, Status, find_store};
use crate::ui;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The stage.
    #[arg(value_name = "STAGE")]
    stage: String,
    /// Go on printing while the run goes on.
    #[arg(long, short)]
    follow: bool,
}

pub(crate) fn run(global: &Global, args: &Args) -> Result<Status> {
    let store = find_store(global)?;
    let started = |event: &Event| matches!(event, Event::Started { stage, .. } if *stage == args.stage);
    for id in run::list(&store)?.iter().rev() {
        if run::events(&store, id)?.iter().any(|entry| started(&entry.event)) {
            return print_run(global, &store, id, args);
        }
    }
    // A stage that another machine ran has its log in the store.
    let record =
        newest(&store, &args.stage)?.ok_or_else(|| anyhow!("stage `{}` has not run in this store", args.stage))?;
    match record.log {
        Some(log) => print(global, &store.read(&log)?),
        None => ui::note("the worker wrote nothing"),
    }
    Ok(Status::Done)
}

/// Prints the stage's log of a run and, if asked, what is added to it until the run is over.
fn print_run(global: &Global, store: &Store, id: &str, args: &Args) -> Result<Status> {
    let path = run::stage_log(&store.runs_dir().join(id), &args.stage);
    let mut file = fs_err::File::open(path)?;
    let mut position = 0;
    loop {
        // Asked first: what is written before the end is read after it.
        let is_over = !args.follow || !is_running(&run::events(store, id)?);
        file.seek(SeekFrom::Start(position))?;
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        if !is_over {
            // Half a line waits for its other half.
            text.truncate(text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1));
        }
        position += text.len() as u64;
        print(global, &text);
        if is_over || !ui::has_reader() {
            return Ok(Status::Done);
        }
        // A log has no other sign of growth than its length.
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn print(global: &Global, text: &[u8]) {
    let text = String::from_utf8_lossy(text);
    if !global.json {
        return ui::raw(&text);
    }
    for line in text.lines() {
        ui::line(&json!({ "line": line }).to_string());
    }
}
