//! A stage's `metrics.jsonl`: a line a step, in the run's folder for people to look at, copied from there into the store.
//!
//! ```text
//! {"step": 3, "metrics": {"loss": 0.25, "reward": null}}
//! ```
//! A number that is none, NaN or an infinity, is `null`: JSON has no other word for it. Nothing is kept in memory but lines
//! that are not written yet, and those not for long.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::blocking::off_thread;

/// Bytes of lines that wait to be written, at most.
const WAITING: usize = 1 << 16;

/// Time that a line waits, at most.
const PAUSE: Duration = Duration::from_millis(100);

/// The curve of a running stage.
#[derive(Debug)]
pub(crate) struct Curve {
    path: PathBuf,
    /// Bytes in the file that are the curve's: before the first line there may be others, of an attempt that failed.
    len: u64,
    waiting: Vec<u8>,
    written: Option<Instant>,
    pub(crate) last_step: u64,
}

impl Curve {
    /// Begins a curve; its file is made when there is something to say.
    pub(crate) fn begin(path: PathBuf) -> Self {
        Self { path, len: 0, waiting: Vec::new(), written: None, last_step: 0 }
    }

    /// Goes on with a file whose first `len` bytes earlier attempts have written.
    pub(crate) fn go_on(path: PathBuf, len: u64) -> Self {
        Self { len, ..Self::begin(path) }
    }

    /// Returns its file, and how much of that is the curve.
    pub(crate) fn file(&self) -> (&Path, u64) {
        (&self.path, self.len)
    }

    pub(crate) fn add(&mut self, step: u64, metrics: &BTreeMap<String, f64>) -> std::io::Result<()> {
        serde_json::to_writer(&mut self.waiting, &json!({ "step": step, "metrics": metrics }))?;
        self.waiting.push(b'\n');
        self.last_step = step;
        Ok(())
    }

    /// Returns whether lines have waited long enough.
    pub(crate) fn is_due(&self) -> bool {
        let has_paused = self.written.is_none_or(|written| written.elapsed() >= PAUSE);
        self.waiting.len() >= WAITING || has_paused && !self.waiting.is_empty()
    }

    /// Writes what waits.
    pub(crate) async fn write(&mut self) -> std::io::Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let (path, at, lines) = (self.path.clone(), self.len, std::mem::take(&mut self.waiting));
        let len = lines.len() as u64;
        off_thread(move || {
            let mut file = fs_err::OpenOptions::new().create(true).append(true).open(path)?;
            file.set_len(at)?;
            file.write_all(&lines)
        })
        .await?;
        self.len += len;
        self.written = Some(Instant::now());
        Ok(())
    }
}
