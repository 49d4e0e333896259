//! Runs: the append-only history of each `apply`.
//!
//! ```text
//! runs/20261124T131500.123Z-1f2e/
//! ├── events.jsonl                      one event a line; a torn last line is ignored
//! └── stages/student~qwen.{log, metrics.jsonl}
//! ```

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;
use store::{Digest, Store};

use crate::event::{Entry, Event, VERSION};

/// A run that is being written.
#[derive(Debug)]
pub struct Run {
    /// Its id; ids sort by time.
    pub id: String,
    dir: PathBuf,
    events: BufWriter<fs_err::File>,
}

/// An [`Entry`] to write.
#[derive(Serialize)]
struct Line<'a> {
    v: u32,
    time: &'a str,
    #[serde(flatten)]
    event: &'a Event,
}

impl Run {
    /// Begins a run's history.
    pub fn begin(store: &Store) -> std::io::Result<Self> {
        let stamp = Timestamp::now().strftime("%Y%m%dT%H%M%S.%3fZ").to_string();
        let id = format!("{stamp}-{:04x}", std::process::id() & 0xffff);
        let dir = store.runs_dir().join(&id);
        fs_err::create_dir_all(stages_dir(&dir))?;
        let events = fs_err::OpenOptions::new().create(true).append(true).open(dir.join("events.jsonl"))?;
        Ok(Self { id, dir, events: BufWriter::with_capacity(1 << 16, events) })
    }

    /// Appends events that have just happened; readers see them after [`Run::flush`]. Progress is not kept: a stage's
    /// metrics have it.
    pub fn record(&mut self, events: &[Event]) -> std::io::Result<()> {
        let time = now();
        for event in events.iter().filter(|event| !matches!(event, Event::Progress { .. })) {
            serde_json::to_writer(&mut self.events, &Line { v: VERSION, time: &time, event })?;
            self.events.write_all(b"\n")?;
        }
        Ok(())
    }

    /// Writes what is recorded, in one go: thousands of fresh stages are one write.
    pub fn flush(&mut self) -> std::io::Result<()> {
        self.events.flush()
    }

    /// Returns its folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

/// Returns the time of day, RFC 3339 in UTC.
pub fn now() -> String {
    Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

/// Returns where a run's folder has what is kept of its stages.
pub(crate) fn stages_dir(run: &Path) -> PathBuf {
    run.join("stages")
}

/// Returns where a stage's worker wrote its stderr during a run.
pub fn stage_log(run: &Path, stage: &str) -> PathBuf {
    stages_dir(run).join(format!("{}.log", stage.replace('/', "~")))
}

/// Returns where a stage's curve of a run is.
pub fn stage_metrics(run: &Path, stage: &str) -> PathBuf {
    stages_dir(run).join(format!("{}.metrics.jsonl", stage.replace('/', "~")))
}

/// Returns the ids of all runs, oldest first.
pub fn list(store: &Store) -> std::io::Result<Vec<String>> {
    let mut ids = Vec::new();
    for entry in fs_err::read_dir(store.runs_dir())? {
        ids.extend(entry?.file_name().into_string());
    }
    ids.sort();
    Ok(ids)
}

/// Returns the events of a run; lines that are torn or of another version are skipped.
pub fn events(store: &Store, id: &str) -> std::io::Result<Vec<Entry>> {
    let text = fs_err::read(store.runs_dir().join(id).join("events.jsonl"))?;
    let entries = text.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<Entry>(line).ok());
    Ok(entries.filter(|entry| entry.v == VERSION).collect())
}

/// Returns the fingerprints under which a stage was done or found fresh, newest first; the same several times in a row
/// is given once. A name is all that the history knows: the record may have been made under another.
pub fn fingerprints(store: &Store, stage: &str) -> std::io::Result<Vec<Digest>> {
    let mut found: Vec<Digest> = Vec::new();
    for id in list(store)?.iter().rev() {
        for entry in events(store, id)?.into_iter().rev() {
            if let Event::Fresh { stage: of, fingerprint } | Event::Done { stage: of, fingerprint, .. } = entry.event
                && of == stage
            {
                found.extend(fingerprint.parse::<Digest>());
            }
        }
    }
    found.dedup();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_last_line_costs_that_line() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let mut run = Run::begin(&store).unwrap();
        let event = |stage: &str| Event::Waiting { stage: stage.to_owned() };
        run.record(&[event("a"), event("b")]).unwrap();
        run.flush().unwrap();
        let path = store.runs_dir().join(&run.id).join("events.jsonl");
        let bytes = fs_err::read(&path).unwrap();
        let first = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        for length in first..bytes.len() - 1 {
            fs_err::write(&path, &bytes[..length]).unwrap();
            let found: Vec<_> = events(&store, &run.id).unwrap().into_iter().map(|entry| entry.event).collect();
            assert_eq!(found, [event("a")], "cut at {length}");
        }
        assert_eq!(list(&store).unwrap(), [run.id]);
    }
}
