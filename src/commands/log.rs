//! `r1flow log`: what a stage's worker wrote to stderr.

use std::io::{Read, Seek, SeekFrom};
use std::time::Duration;

use anyhow::{Result, anyhow};
use engine::event::Event;
use engine::run;

use super::show::newest;
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
        let events = run::events(&store, id)?;
        if !events.iter().any(|entry| started(&entry.event)) {
            continue;
        }
        let path = run::stage_dir(&store.runs_dir().join(id), &args.stage).join("log");
        let mut file = fs_err::File::open(path)?;
        let mut position = 0;
        loop {
            file.seek(SeekFrom::Start(position))?;
            let mut text = Vec::new();
            position += file.read_to_end(&mut text)? as u64;
            ui::raw(&String::from_utf8_lossy(&text));
            let is_over = run::events(&store, id)?.iter().any(|entry| matches!(entry.event, Event::RunFinished { .. }));
            if !args.follow || is_over || !ui::has_reader() {
                return Ok(Status::Done);
            }
            // A log has no other sign of growth than its length.
            std::thread::sleep(Duration::from_millis(200));
        }
    }
    // A stage that another machine ran has its log in the store.
    let record =
        newest(&store, &args.stage)?.ok_or_else(|| anyhow!("stage `{}` has not run in this store", args.stage))?;
    match record.log {
        Some(log) => ui::raw(&String::from_utf8_lossy(&store.read(&log)?)),
        None => ui::note("the worker wrote nothing"),
    }
    Ok(Status::Done)
}
