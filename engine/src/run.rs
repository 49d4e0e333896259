//! Runs: the append-only history of each `apply`, as it is written. [`crate::history`] reads it.
//!
//! ```text
//! runs/000042-20261124T131500.123Z-1f2e/
//! ├── events.jsonl                      one event a line, sealed under the run's id
//! └── stages/student~qwen.{log, metrics.jsonl, doing.json, rows/}      rows: of outputs that are not complete
//! ```
//! An id begins with the largest number so far plus one. Runs are sorted by that number, because a clock may go back.
//! Two runs that begin at once may share a number; then the rest of their ids decides.

use std::hash::{BuildHasher, Hasher};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;
use store::{Source, Store, seal};

use crate::event::{Event, VERSION};
use crate::history;
use crate::workflow::Workflow;

const LOG: &str = ".log";
const METRICS: &str = ".metrics.jsonl";
const DOING: &str = ".doing.json";
const ROWS: &str = ".rows";

/// A run that is being written.
#[derive(Debug)]
pub struct Run {
    /// Its id.
    pub id: String,
    dir: PathBuf,
    /// Created with the first event, so that a rejected run leaves nothing on disk.
    events: Option<BufWriter<fs_err::File>>,
}

/// An [`crate::event::Entry`] to write.
#[derive(Serialize)]
struct Line<'a> {
    v: u32,
    time: &'a str,
    #[serde(flatten)]
    event: &'a Event,
}

impl Run {
    /// Begins a run's history; nothing is on disk before the first event.
    pub fn begin(store: &Store) -> std::io::Result<Self> {
        let number = history::list(store)?.last().map_or(0, |id| history::number(id)) + 1;
        let stamp = Timestamp::now().strftime("%Y%m%dT%H%M%S.%3fZ");
        let id = format!("{number:06}-{stamp}-{:04x}", drawn());
        let dir = store.runs_dir().join(&id);
        Ok(Self { id, dir, events: None })
    }

    /// Appends events that have just happened; readers see them after [`Run::flush`]. Progress is not kept, because it
    /// is in the stage's metrics, nor what a stage is doing, because it is soon over.
    pub fn record(&mut self, events: &[Event]) -> std::io::Result<()> {
        let time = now();
        let mut line = Vec::new();
        for event in events.iter().filter(|event| !matches!(event, Event::Progress { .. } | Event::Doing { .. })) {
            line.clear();
            serde_json::to_writer(&mut line, &Line { v: VERSION, time: &time, event })?;
            line = seal(&self.id, line);
            line.push(b'\n');
            self.file()?.write_all(&line)?;
        }
        Ok(())
    }

    /// Writes recorded events to the file. They are buffered, so thousands of fresh stages take few writes.
    pub fn flush(&mut self) -> std::io::Result<()> {
        self.events.as_mut().map_or(Ok(()), Write::flush)
    }

    /// Returns the run's folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    fn file(&mut self) -> std::io::Result<&mut BufWriter<fs_err::File>> {
        if self.events.is_none() {
            fs_err::create_dir_all(stages_dir(&self.dir))?;
            let path = history::events_file(&self.dir);
            let file = fs_err::OpenOptions::new().create(true).append(true).open(path)?;
            self.events = Some(BufWriter::with_capacity(1 << 16, file));
        }
        Ok(self.events.as_mut().expect("it has just been opened"))
    }
}

/// Returns random bits, to tell apart two runs that begin at the same moment; process ids repeat across containers.
fn drawn() -> u16 {
    std::collections::hash_map::RandomState::new().build_hasher().finish() as u16
}

/// Returns the current time, RFC 3339 in UTC.
pub fn now() -> String {
    Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

/// Returns the seconds since a moment in the form of [`now`].
pub fn seconds_since(time: &str) -> Option<f64> {
    let then: Timestamp = time.parse().ok()?;
    Some(Timestamp::now().duration_since(then).as_secs_f64())
}

/// Returns the file, `--set` arguments and device from which a workflow can be loaded again.
pub fn source(store: &Store, workflow: &Workflow) -> Source {
    let Workflow { file, sets, device, .. } = workflow;
    Source { file: file_name(store, file), sets: sets.clone(), device: device.to_string() }
}

/// Returns a workflow's file as it is written to the history. A file below the folder that contains the store is
/// relative to that folder, so that both can be moved; any other is absolute.
pub fn file_name(store: &Store, file: &Path) -> String {
    let home = store.root().parent();
    home.and_then(|home| file.strip_prefix(home).ok()).unwrap_or(file).display().to_string()
}

/// Returns the path of a workflow's file from its [`file_name`].
pub fn file_path(store: &Store, name: &str) -> PathBuf {
    store.root().parent().unwrap_or(Path::new("/")).join(name)
}

/// Returns the folder of the stages' files in a run's folder.
pub(crate) fn stages_dir(run: &Path) -> PathBuf {
    run.join("stages")
}

/// Returns the path of a stage's log in a run's folder.
pub fn stage_log(run: &Path, stage: &str) -> PathBuf {
    stages_dir(run).join(format!("{}{LOG}", stage.replace('/', "~")))
}

/// Returns the path of a stage's curve in a run's folder.
pub fn stage_metrics(run: &Path, stage: &str) -> PathBuf {
    stages_dir(run).join(format!("{}{METRICS}", stage.replace('/', "~")))
}

/// Returns the path in a run's folder of what a stage is doing.
pub(crate) fn stage_doing(run: &Path, stage: &str) -> PathBuf {
    stages_dir(run).join(format!("{}{DOING}", stage.replace('/', "~")))
}

/// Returns the folder in a run's folder where a stage writes rows of its outputs as they come, `OUTPUT.jsonl`.
pub fn stage_rows(run: &Path, stage: &str) -> PathBuf {
    stages_dir(run).join(format!("{}{ROWS}", stage.replace('/', "~")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits;

    #[test]
    fn the_longest_name_fits_wherever_it_names_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let mut run = Run::begin(&store).unwrap();
        let name = "a".repeat(limits::STAGE_NAME);
        run.record(&[Event::Waiting { stage: name.clone() }]).unwrap();
        fs_err::write(stage_log(run.dir(), &name), b"").unwrap();
        fs_err::write(stage_metrics(run.dir(), &name), b"").unwrap();
        assert!(fs_err::write(stage_metrics(run.dir(), &format!("{name}a")), b"").is_err(), "one more does not");
        // More attempts than any engine makes.
        assert!(limits::STAGE_NAME + "-9999999999999".len() <= limits::FILE_NAME);
        drop(store.new_attempt_dir(&name).unwrap());
    }

    #[test]
    fn what_is_refused_before_its_first_event_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        drop(Run::begin(&store).unwrap());
        assert_eq!(history::list(&store).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn a_file_below_the_stores_folder_moves_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let root = fs_err::canonicalize(dir.path()).unwrap();
        let store = Store::open(&root.join("store")).unwrap();
        assert_eq!(file_name(&store, &root.join("sub/w.toml")), "sub/w.toml");
        assert_eq!(file_path(&store, "sub/w.toml"), root.join("sub/w.toml"));
        assert_eq!(file_name(&store, Path::new("/elsewhere/w.toml")), "/elsewhere/w.toml");
        assert_eq!(file_path(&store, "/elsewhere/w.toml"), Path::new("/elsewhere/w.toml"));
    }
}
