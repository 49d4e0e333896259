//! What a running stage is doing, in a small file of its run's folder that readers may look at: `status` works from files
//! alone. The file is replaced whole, at most twice a second, and says nothing once the stage is no longer running.
//!
//! ```text
//! {"what": "sampling", "part": [37, 64], "stepping_since": "2026-11-24T13:15:00.123Z"}
//! ```

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::blocking::off_thread;
use crate::run::{self, now};

/// Least time between two writes.
const PAUSE: Duration = Duration::from_millis(500);

/// What precedes the first step of an attempt, and says nothing about the speed of steps.
const BEFORE_STEPS: [&str; 2] = ["loading", "tokenising"];

/// What a stage is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doing {
    /// A word, as in `sampling`; absent between a step and what follows it.
    pub what: Option<String>,
    /// How much of it is done, and how much there is.
    pub part: Option<(u64, u64)>,
    /// When the attempt's first step began, RFC 3339.
    pub stepping_since: Option<String>,
}

/// Returns whether this is part of a step, not of what precedes the first one.
pub fn is_of_step(what: &str) -> bool {
    !BEFORE_STEPS.contains(&what)
}

/// Returns what a running stage of a run is doing, if it has said so.
pub fn read(run: &Path, stage: &str) -> Option<Doing> {
    const LONGEST: u64 = 1 << 16;
    let file = outside::open(&run::stage_doing(run, stage)).ok()?;
    serde_json::from_reader(std::io::Read::take(file, LONGEST)).ok()
}

/// The file of a running stage.
#[derive(Debug)]
pub(crate) struct DoingFile {
    path: PathBuf,
    doing: Doing,
    is_waiting: bool,
    written: Option<Instant>,
}

impl DoingFile {
    /// Begins a file; it is created with the first write.
    pub(crate) fn begin(path: PathBuf) -> Self {
        Self { path, doing: Doing::default(), is_waiting: false, written: None }
    }

    /// Notes what is being done.
    pub(crate) fn set(&mut self, what: &str, part: Option<(u64, u64)>) {
        if is_of_step(what) {
            self.doing.stepping_since.get_or_insert_with(now);
        }
        (self.doing.what, self.doing.part) = (Some(what.to_owned()), part);
        self.is_waiting = true;
    }

    /// Notes that a step is done.
    pub(crate) fn step(&mut self) {
        self.is_waiting |= self.doing.what.is_some();
        (self.doing.what, self.doing.part) = (None, None);
    }

    /// Writes the file, if there is something new and the last write is some time ago. What is lost in a power cut is no
    /// loss, so the file is not synced; nor is a failure to write one.
    pub(crate) async fn write_if_due(&mut self) {
        if !self.is_waiting || self.written.is_some_and(|written| written.elapsed() < PAUSE) {
            return;
        }
        (self.is_waiting, self.written) = (false, Some(Instant::now()));
        let (path, doing) = (self.path.clone(), self.doing.clone());
        off_thread(move || {
            let new = path.with_extension("new");
            let written = serde_json::to_vec(&doing).map_err(std::io::Error::from);
            if let Err(error) =
                written.and_then(|bytes| fs_err::write(&new, bytes)).and_then(|()| fs_err::rename(&new, &path))
            {
                tracing::debug!(%error, "what a stage is doing cannot be written");
            }
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::{stage_doing, stages_dir};

    #[tokio::test]
    async fn the_newest_is_read_and_steps_begin_after_loading() {
        let dir = tempfile::tempdir().unwrap();
        fs_err::create_dir_all(stages_dir(dir.path())).unwrap();
        let mut file = DoingFile::begin(stage_doing(dir.path(), "a/b"));
        file.write_if_due().await;
        assert_eq!(read(dir.path(), "a/b"), None);
        file.set("loading", None);
        file.write_if_due().await;
        let told = |what: &str| Doing { what: Some(what.to_owned()), ..Doing::default() };
        assert_eq!(read(dir.path(), "a/b"), Some(told("loading")));
        file.set("sampling", Some((1, 2)));
        file.write_if_due().await;
        assert_eq!(read(dir.path(), "a/b"), Some(told("loading")), "not so soon");
        file.written = None;
        file.write_if_due().await;
        let doing = read(dir.path(), "a/b").unwrap();
        assert_eq!((doing.what.as_deref(), doing.part), (Some("sampling"), Some((1, 2))));
        assert!(doing.stepping_since.is_some());
        (file.written, ()) = (None, file.step());
        file.write_if_due().await;
        assert_eq!(read(dir.path(), "a/b"), Some(Doing { stepping_since: doing.stepping_since, ..Doing::default() }));
    }
}
