//! A stage's `metrics.jsonl`: a line a step, on disk for whoever looks, and in memory for the store.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

use serde_json::json;

/// The curve of a running stage.
#[derive(Default)]
pub(crate) struct Curve {
    path: PathBuf,
    file: Option<fs_err::File>,
    /// All lines so far.
    pub(crate) bytes: Vec<u8>,
    pub(crate) last_step: u64,
}

impl Curve {
    /// Begins the file at `path` with the lines of earlier attempts; it is made when there is something to say.
    pub(crate) fn begin(path: PathBuf, so_far: Vec<u8>) -> Self {
        Self { path, file: None, bytes: so_far, last_step: 0 }
    }

    pub(crate) fn add(&mut self, step: u64, metrics: &BTreeMap<String, f64>) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(&json!({ "step": step, "metrics": metrics }))?;
        line.push(b'\n');
        let file = if let Some(file) = &mut self.file {
            file
        } else {
            let mut file = fs_err::File::create(&self.path)?;
            file.write_all(&self.bytes)?;
            self.file.insert(file)
        };
        file.write_all(&line)?;
        self.bytes.extend(line);
        self.last_step = step;
        Ok(())
    }
}
