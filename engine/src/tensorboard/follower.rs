//! Reads what a running stage makes and adds it to the attempt's event file: steps as the attempt tells them, rows from
//! the files that the worker appends to.

use std::collections::BTreeMap;
use std::io::{Error, ErrorKind, Read, Result};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::board::{Board, event_files, folder, seconds};
use super::curve::each_step;
use super::rows::{ENDING, Rows};

/// What is followed.
#[derive(Clone, Debug)]
pub(crate) struct Followed {
    /// `run.tensorboard`.
    pub(crate) dir: PathBuf,
    pub(crate) stage: String,
    /// Steps of the checkpoint that the attempt resumes from, 0 at the beginning.
    pub(crate) resumed: u64,
    /// The curve up to this checkpoint: a file, and how many of its bytes.
    pub(crate) curve: (PathBuf, u64),
    /// The folder of rows as they come.
    pub(crate) growing: PathBuf,
}

/// Writes the event file of one attempt.
pub(super) struct Follower<'a> {
    followed: &'a Followed,
    /// Absent before the first value.
    board: Option<Board>,
    /// The first step that is written: earlier ones are in the files of earlier attempts.
    first: u64,
    files: Vec<RowFile>,
}

/// An open file with rows of an output.
struct RowFile {
    output: String,
    path: PathBuf,
    rows: Rows<fs_err::File>,
}

impl<'a> Follower<'a> {
    /// Begins without a file.
    pub(super) fn of(followed: &'a Followed) -> Self {
        Self { followed, board: None, first: 0, files: Vec::new() }
    }

    /// Adds a step of the curve.
    pub(super) fn step(&mut self, step: u64, metrics: &BTreeMap<String, f64>, time: f64) -> Result<()> {
        if !metrics.is_empty() {
            self.board()?.step(step, metrics, time);
        }
        self.settle(step, time);
        self.board.as_mut().map_or(Ok(()), Board::write_if_enough)
    }

    /// Returns the event file, begun if there is none yet. If no attempt has written one, the file begins with the curve
    /// up to the checkpoint: it was trained before `run.tensorboard` was given, or by another stage.
    fn board(&mut self) -> Result<&mut Board> {
        if self.board.is_none() {
            let Followed { dir, stage, resumed, curve, .. } = self.followed;
            let folder = folder(dir, stage);
            let goes_on = *resumed > 0 && !event_files(&folder)?.is_empty();
            self.first = if goes_on { resumed + 1 } else { 0 };
            let mut board = Board::begin(&folder, Some(self.first))?;
            if !goes_on && *resumed > 0 && curve.1 > 0 {
                let now = seconds(SystemTime::now());
                each_step(fs_err::File::open(&curve.0)?.take(curve.1), |step| {
                    board.step(step.step, &step.metrics, now);
                    board.write_if_enough()
                })?;
            }
            self.board = Some(board);
        }
        Ok(self.board.as_mut().expect("it has just been begun"))
    }

    /// Opens the files of rows that are new. An open file is read to its end even after the worker has renamed it.
    pub(super) fn open_growing(&mut self) -> Result<()> {
        for path in files(&self.followed.growing)? {
            let output = path.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned);
            if let Some(output) = output.filter(|output| !self.has(output)) {
                self.open(&output, path)?;
            }
        }
        Ok(())
    }

    /// Opens the files in the folders of outputs whose rows have not been seen while they grew.
    pub(super) fn open_outputs(&mut self, outputs: &[(String, PathBuf)]) -> Result<()> {
        for (output, folder) in outputs {
            if !self.has(output) {
                files(folder)?.into_iter().try_for_each(|path| self.open(output, path))?;
            }
        }
        Ok(())
    }

    fn has(&self, output: &str) -> bool {
        self.files.iter().any(|file| file.output == output)
    }

    fn open(&mut self, output: &str, path: PathBuf) -> Result<()> {
        match outside::open(&path) {
            // The worker has just renamed it.
            Err(outside::Error::Io(error)) if error.kind() == ErrorKind::NotFound => {}
            opened => self.files.push(RowFile { output: output.to_owned(), rows: Rows::of(opened?), path }),
        }
        Ok(())
    }

    /// Adds the rows that are new.
    pub(super) fn read_rows(&mut self, now: f64) -> Result<()> {
        let mut all = std::mem::take(&mut self.files);
        for RowFile { output, path, rows } in &mut all {
            let named = |error: Error| Error::new(error.kind(), format!("`{}`: {error}", path.display()));
            while let Some(row) = rows.next().map_err(named)? {
                self.board()?;
                if row.of_step() >= self.first {
                    let board = self.board()?;
                    board.row(output, row, now);
                    board.write_if_enough()?;
                }
            }
        }
        self.files = all;
        Ok(())
    }

    /// Adds the rows of steps up to this one, all of which have been read.
    pub(super) fn settle(&mut self, step: u64, time: f64) {
        if let Some(board) = &mut self.board {
            board.settle(step, time);
        }
    }

    /// Writes the events so far.
    pub(super) fn write(&mut self) -> Result<()> {
        self.board.as_mut().map_or(Ok(()), Board::write)
    }
}

/// Returns the files with rows in a folder, sorted; none if there is no folder.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = match fs_err::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let paths: Result<Vec<PathBuf>> = entries.map(|entry| Ok(entry?.path())).collect();
    let mut paths = paths?;
    paths.retain(|path| path.to_string_lossy().ends_with(ENDING));
    paths.sort();
    Ok(paths)
}
