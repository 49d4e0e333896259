//! What a stage says to the engine during an attempt, and hears from it.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Map, Value};
use store::Made;

use super::StageError;
use crate::event::Level;
use crate::worker::protocol::{FromWorker, Machine, Resume, RunRequest};

/// Least time between two messages about what is being done.
const DOING_EVERY: Duration = Duration::from_millis(200);

/// A stage's access to the engine during an attempt.
pub struct Context {
    request: RunRequest,
    stop: AtomicBool,
    output: Mutex<Box<dyn Write + Send>>,
    last_checkpoint: Mutex<(Instant, u64)>,
    /// What was said last of what is being done, and when.
    last_doing: Mutex<Option<(String, Instant)>>,
}

impl Context {
    /// Makes a context that writes protocol lines to `output`.
    pub fn new(request: RunRequest, output: Box<dyn Write + Send>) -> Self {
        let start = request.resume.as_ref().map_or(0, |resume| resume.step);
        Self {
            request,
            stop: AtomicBool::new(false),
            output: Mutex::new(output),
            last_checkpoint: Mutex::new((Instant::now(), start)),
            last_doing: Mutex::new(None),
        }
    }

    /// Returns the stage's name, for messages.
    pub fn stage(&self) -> &str {
        &self.request.stage
    }

    /// Returns the resources that the attempt may use.
    pub fn machine(&self) -> &Machine {
        &self.request.machine
    }

    /// Returns the checkpoint to start from, if there is one.
    pub fn resume(&self) -> Option<&Resume> {
        self.request.resume.as_ref()
    }

    /// Returns the resolved keys.
    pub fn config(&self) -> &Map<String, Value> {
        &self.request.config
    }

    /// Returns the attempt's folder, for scratch files.
    pub fn dir(&self) -> &Path {
        &self.request.dir
    }

    /// Returns the folder that output `name` is to be written to; it does not exist yet.
    pub fn output(&self, name: &str) -> PathBuf {
        self.request.dir.join(format!("output-{name}"))
    }

    /// Returns the file for rows of output `name` as they come, which people can look at before the stage is done. It is
    /// not part of the output; its folder may not exist yet.
    pub fn growing(&self, name: &str) -> PathBuf {
        let folder = self.request.growing.as_ref().unwrap_or(&self.request.dir);
        folder.join(format!("{name}.jsonl"))
    }

    /// Reports that a step is done.
    pub fn progress(&self, step: u64, total: u64, unit: &str, metrics: BTreeMap<String, f64>) {
        self.send(&FromWorker::Progress { step, total, unit: unit.to_owned(), metrics });
    }

    /// Tells the user what is being done, and how much of it is done of how much. Cheap enough for an inner loop: a part
    /// is sent five times a second at most.
    pub fn doing(&self, what: &str, part: Option<(u64, u64)>) {
        let mut last = self.last_doing.lock().expect("no holder panics");
        let is_told = |(said, when): &(String, Instant)| said == what && when.elapsed() < DOING_EVERY;
        if last.as_ref().is_some_and(is_told) {
            return;
        }
        *last = Some((what.to_owned(), Instant::now()));
        self.send(&FromWorker::Doing { what: what.to_owned(), part });
    }

    /// Sends a detail, which is shown only on request.
    pub fn detail(&self, message: impl Into<String>) {
        self.send(&FromWorker::Note { level: Level::Detail, message: message.into() });
    }

    /// Sends a note to the user.
    pub fn note(&self, message: impl Into<String>) {
        self.send(&FromWorker::Note { level: Level::Info, message: message.into() });
    }

    /// Sends a warning to the user.
    pub fn warn(&self, message: impl Into<String>) {
        self.send(&FromWorker::Note { level: Level::Warn, message: message.into() });
    }

    /// Returns whether the engine asked for a stop.
    pub fn stop_requested(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Requests a stop. The protocol's reader calls this, and so may a test.
    pub fn request_stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Returns whether a checkpoint is due after `step` steps: by time, by count, at a step that another stage resumes
    /// from, or because of a stop.
    pub fn checkpoint_due(&self, step: u64) -> bool {
        let (time, at) = *self.last_checkpoint.lock().expect("no holder panics");
        let machine = self.machine();
        self.stop_requested()
            || time.elapsed().as_secs_f64() >= machine.checkpoint_seconds
            || machine.checkpoint_steps.is_some_and(|every| step >= at.saturating_add(every))
            || machine.checkpoint_at.contains(&step)
    }

    /// Returns folders of rows that this stage, or another stage with the same row key, has sent with
    /// [`keep_rows`](Context::keep_rows), oldest first.
    pub fn known_rows(&self) -> &[PathBuf] {
        &self.request.rows
    }

    /// Hands rows to the engine, as a folder that `write` fills; a later attempt with the same row key finds them among
    /// [`known_rows`](Context::known_rows). It counts as a checkpoint after `step` rows of this attempt.
    pub fn keep_rows<E>(
        &self,
        step: u64,
        rows: u64,
        write: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<(), StageError>
    where
        StageError: From<E>,
    {
        let dir = self.whole_folder("rows", step, write)?;
        self.send(&FromWorker::Rows { step, rows, dir });
        *self.last_checkpoint.lock().expect("no holder panics") = (Instant::now(), step);
        Ok(())
    }

    /// Writes a checkpoint of `step` steps through `write`, whole or not at all, and hands it to the engine.
    pub fn checkpoint<E>(&self, step: u64, write: impl FnOnce(&Path) -> Result<(), E>) -> Result<(), StageError>
    where
        StageError: From<E>,
    {
        let dir = self.whole_folder("checkpoints", step, write)?;
        self.send(&FromWorker::Checkpoint { step, dir });
        *self.last_checkpoint.lock().expect("no holder panics") = (Instant::now(), step);
        Ok(())
    }

    fn whole_folder<E>(
        &self,
        sort: &str,
        step: u64,
        write: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<PathBuf, StageError>
    where
        StageError: From<E>,
    {
        let folder = self.request.dir.join(sort);
        fs_err::create_dir_all(&folder)?;
        // If `write` fails, the partial folder is removed, because the next one may be at the same step.
        let partial = Made::folder(folder.join(format!("{step}.partial")))?;
        let whole = folder.join(step.to_string());
        write(partial.path())?;
        partial.keep_as(&whole)?;
        Ok(whole)
    }

    /// Sends a line. Exits the process if the pipe is closed, because the engine is gone and the work has no use.
    pub(crate) fn send(&self, message: &FromWorker) {
        let mut line = serde_json::to_string(message).expect("messages are plain data");
        line.push('\n');
        let mut output = self.output.lock().expect("no holder panics");
        if output.write_all(line.as_bytes()).and_then(|()| output.flush()).is_err() {
            std::process::exit(1);
        }
    }
}
