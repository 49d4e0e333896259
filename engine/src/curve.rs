//! A stage's `metrics.jsonl`: one line per step, in the run's folder for people to read, copied from there into the
//! store.
//!
//! ```text
//! {"step": 3, "metrics": {"loss": 0.25, "reward": null}}
//! ```
//! NaN and infinities are written as `null`, because JSON cannot represent them. Only lines that are not written yet
//! are in memory, and those not for long.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::blocking::off_thread;

/// Bytes of waiting lines after which they are written.
const WAITING: usize = 1 << 16;

/// Longest time that a line waits.
const PAUSE: Duration = Duration::from_millis(100);

/// The curve of a running stage.
#[derive(Debug)]
pub(crate) struct Curve {
    path: PathBuf,
    /// Bytes of the file that belong to the curve. A write cuts off bytes after these, which a failed attempt may have
    /// left.
    len: u64,
    waiting: Vec<u8>,
    written: Option<Instant>,
    pub(crate) last_step: u64,
}

impl Curve {
    /// Begins a curve; its file is created with the first line.
    pub(crate) fn begin(path: PathBuf) -> Self {
        Self { path, len: 0, waiting: Vec::new(), written: None, last_step: 0 }
    }

    /// Continues a file whose first `len` bytes were written by earlier attempts.
    pub(crate) fn go_on(path: PathBuf, len: u64) -> Self {
        Self { len, ..Self::begin(path) }
    }

    /// Returns the file, and how many of its bytes belong to the curve.
    pub(crate) fn file(&self) -> (&Path, u64) {
        (&self.path, self.len)
    }

    pub(crate) fn add(&mut self, step: u64, metrics: &BTreeMap<String, f64>) -> std::io::Result<()> {
        serde_json::to_writer(&mut self.waiting, &json!({ "step": step, "metrics": metrics }))?;
        self.waiting.push(b'\n');
        self.last_step = step;
        Ok(())
    }

    /// Returns whether waiting lines should be written now.
    pub(crate) fn is_due(&self) -> bool {
        let has_paused = self.written.is_none_or(|written| written.elapsed() >= PAUSE);
        self.waiting.len() >= WAITING || has_paused && !self.waiting.is_empty()
    }

    /// Writes the waiting lines.
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
