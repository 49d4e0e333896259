//! `r1flow log`: prints what a stage's worker wrote to stderr.
//!
//! The log is read and printed piece by piece, whatever its size. Bytes are printed unchanged, except on a terminal:
//! there control characters are escaped, and of a line that was overwritten (a progress bar) only the last state is
//! shown.

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use engine::history::{self, History};
use engine::run;
use serde_json::json;
use store::{Record, Store};

use crate::arguments::{Global, NameArgs};
use crate::exit::Status;
use crate::loading::find_store;
use crate::pieces::{LONGEST, Piece, Pieces};
use crate::results::{Invocation, Look, Named, last_attempt, not_fresh, stage, unfinished};
use crate::ui;
use crate::views::runs::is_running;

/// Bytes that are printed in one write.
const AT_ONCE: usize = 1 << 16;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The stage.
    #[arg(value_name = "STAGE")]
    stage: String,
    /// Keep printing while the run continues.
    #[arg(long, short)]
    follow: bool,
    #[command(flatten)]
    names: NameArgs,
}

pub(crate) fn run(global: &Global, args: &Args) -> Result<Status> {
    let store = find_store(global)?;
    let asked = Invocation { command: "log", what: &args.stage, tail: if args.follow { " --follow" } else { "" } };
    let look = Look { global, store: &store, args: &args.names, asked };
    let named = match stage(&look, &args.stage) {
        Ok(named) => named,
        Err(error) => return print_orphan(global, &store, &args.stage).unwrap_or(Err(error)),
    };
    let attempt = if named.record.is_some() { last_attempt(&store, &named)? } else { unfinished(&store, &named)? };
    match (&attempt, &named.record) {
        (Some(history), _) => {
            let path = run::stage_log(&store.runs_dir().join(&history.id), &named.stage);
            let made = named.record.as_ref().filter(|made| history.settled(&named.stage) == Some(made.fingerprint));
            compare(&store, made, &path);
            match outside::open(&path).map_err(std::io::Error::from) {
                Ok(file) => print_run(global, &store, history, file, args.follow),
                Err(error) => print_kept(global, &store, &named, Some(&error)),
            }
        }
        // The history of its run is gone, or the result is from another workflow.
        (None, Some(_)) => print_kept(global, &store, &named, None),
        (None, None) => match print_orphan(global, &store, &named.stage) {
            Some(printed) => printed,
            None => Err(not_fresh(&look, &named)?),
        },
    }
}

/// Warns if the log of a result differs from the digest in its record.
fn compare(store: &Store, record: Option<&Record>, path: &Path) {
    let Some(log) = record.and_then(|record| record.log) else { return };
    // A missing log is reported where it is opened.
    if store.hash_output(path).is_ok_and(|found| found != log) {
        ui::note("the log has been altered since it was written: `r1flow verify --all` says what else has");
    }
}

/// Prints the newest log of a stage from a run whose history no longer names its workflow; `None` if there is none.
fn print_orphan(global: &Global, store: &Store, stage: &str) -> Option<Result<Status>> {
    let mute = history::newest_first_about(store, stage).ok()?.filter(|history| history.begun().is_none());
    let log = |history: History| {
        let path = run::stage_log(&store.runs_dir().join(&history.id), stage);
        Some((history.id, outside::open(&path).ok()?))
    };
    let (id, file) = { mute }.find_map(log)?;
    ui::note(&format!("the history of {id} is gone, so which workflow's log this is cannot be told"));
    Some(print(global, file).map(|()| Status::Done))
}

/// Prints the copy of a result's log in the store.
fn print_kept(global: &Global, store: &Store, named: &Named, gone: Option<&std::io::Error>) -> Result<Status> {
    if let (Some(gone), None) = (gone, &named.record) {
        ui::note(&format!("its log is gone: {gone}"));
        return Ok(Status::Done);
    }
    match named.record.as_ref().and_then(|record| record.log) {
        None => ui::note("the worker wrote nothing"),
        Some(log) => match store.open_checked(&log) {
            Ok(file) => print(global, file)?,
            Err(error) => ui::note(&format!("its log cannot be shown: {error}")),
        },
    }
    Ok(Status::Done)
}

/// Prints the stage's log in a run; with `follow`, also what is appended until the run is over.
fn print_run(global: &Global, store: &Store, run: &History, mut file: fs_err::File, follow: bool) -> Result<Status> {
    loop {
        // Checked before reading, so that everything written before the end of the run is read.
        let is_over = !follow || !is_running(&history::read_about(store, &run.id, "").entries);
        if is_over {
            if file.metadata()?.len() == 0 && !follow {
                ui::note("the worker has written nothing; its curves are in `r1flow show`");
            }
            print(global, file)?;
            return Ok(Status::Done);
        }
        let length = whole_lines(&mut file)?;
        let position = file.stream_position()?;
        print(global, (&mut file).take(length))?;
        file.seek(SeekFrom::Start(position + length))?;
        if !ui::has_reader() {
            return Ok(Status::Done);
        }
        // Polling: only the length of a log shows that it has grown.
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Returns how many bytes from here on are whole lines. An incomplete line waits for its rest, unless it is a long one.
fn whole_lines(file: &mut fs_err::File) -> std::io::Result<u64> {
    let begin = file.stream_position()?;
    let len = file.metadata()?.len();
    let from = len.saturating_sub(LONGEST as u64).max(begin);
    file.seek(SeekFrom::Start(from))?;
    let mut end = Vec::new();
    (&mut *file).take(len.saturating_sub(from)).read_to_end(&mut end)?;
    file.seek(SeekFrom::Start(begin))?;
    let whole = end.iter().rposition(|byte| *byte == b'\n').map(|at| from + at as u64 + 1);
    Ok(whole.unwrap_or(if len - begin >= LONGEST as u64 { len } else { begin }) - begin)
}

fn print(global: &Global, file: impl Read) -> Result<()> {
    match (global.json, ui::is_terminal()) {
        (true, _) => print_json(file),
        (false, true) => print_lines(file),
        (false, false) => print_bytes(file),
    }
}

fn print_json(file: impl Read) -> Result<()> {
    let mut pieces = Pieces::of(file);
    let mut written = String::new();
    while let Some(Piece { bytes, is_last }) = pieces.next()?.filter(|_| ui::has_reader()) {
        let line = String::from_utf8_lossy(bytes);
        let told = if is_last { json!({ "line": line }) } else { json!({ "line": line, "continues": true }) };
        written.push_str(&told.to_string());
        written.push('\n');
        if written.len() > AT_ONCE {
            ui::json(&written);
            written.clear();
        }
    }
    ui::json(&written);
    Ok(())
}

fn print_lines(file: impl Read) -> Result<()> {
    let mut pieces = Pieces::of(file);
    while let Some(Piece { bytes, is_last }) = pieces.next()?.filter(|_| ui::has_reader()) {
        ui::data(last_state(bytes));
        ui::raw(if is_last { "\n" } else { "" });
    }
    Ok(())
}

fn print_bytes(mut file: impl Read) -> Result<()> {
    let mut bytes = vec![0; AT_ONCE];
    loop {
        let count = file.read(&mut bytes)?;
        ui::data(&bytes[..count]);
        if count == 0 || !ui::has_reader() {
            return Ok(());
        }
    }
}

/// Returns the last state of a line that was overwritten with carriage returns, as a terminal would show it.
fn last_state(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    line.rsplit(|byte| *byte == b'\r').next().unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_line_that_is_written_over_the_last_state_is_left() {
        for (line, expected) in [("plain", "plain"), ("10%\r50%\r100%", "100%"), ("dos\r", "dos"), ("\r", "")] {
            assert_eq!(last_state(line.as_bytes()), expected.as_bytes(), "{line:?}");
        }
    }
}
