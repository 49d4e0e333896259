//! Writes the event file of a stage that is done, from its record in the store.
//!
//! A curve has no times. Its steps are spread evenly over the time that the stage took, up to the moment when it
//! finished.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;
use store::{Record, Store};

use super::board::{Board, folder};
use super::curve::each_step;
use super::rows::{ENDING, Rows};

/// Why no event file is written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store returned an error.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The system returned an error; the message names the path.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Exported {
    /// The stage.
    pub stage: String,
    /// The event file.
    pub file: PathBuf,
    /// Steps of the curve.
    pub steps: u64,
    /// Rows of outputs that say at which step they were sampled.
    pub rows: u64,
}

/// Writes the curve and the rollouts of a finished stage to a new event file below `dir`. In TensorBoard they replace
/// what earlier files of the stage show. Returns `None`, and writes nothing, if the stage has neither.
pub fn export(store: &Store, (stage, record): (&str, &Record), dir: &Path) -> Result<Option<Exported>, Error> {
    let mut exporter = Exporter { folder: folder(dir, stage), record, board: None, last: 0, steps: 0, rows: 0 };
    if let Some(digest) = &record.metrics {
        let last = &mut exporter.last;
        each_step(store.open_checked(digest)?, |step| {
            *last = step.step.max(*last);
            Ok(())
        })?;
        exporter.curve(store.open_checked(digest)?)?;
    }
    for (output, made) in &record.outputs {
        for member in store.tree(&made.digest)?.members.iter().filter(|member| member.path.ends_with(ENDING)) {
            exporter.rows(output, store.open_checked(&member.digest)?)?;
        }
    }
    let Exporter { board, steps, rows, .. } = exporter;
    let Some(mut board) = board else { return Ok(None) };
    board.write()?;
    Ok(Some(Exported { stage: stage.to_owned(), file: board.path().to_owned(), steps, rows }))
}

struct Exporter<'a> {
    folder: PathBuf,
    record: &'a Record,
    /// Absent before the first value.
    board: Option<Board>,
    /// The last step of the curve.
    last: u64,
    steps: u64,
    rows: u64,
}

impl Exporter<'_> {
    fn curve(&mut self, file: fs_err::File) -> std::io::Result<()> {
        each_step(file, |step| {
            if step.metrics.is_empty() {
                return Ok(());
            }
            let time = self.time(step.step);
            self.steps += 1;
            let board = self.board()?;
            board.step(step.step, &step.metrics, time);
            board.write_if_enough()
        })
    }

    fn rows(&mut self, output: &str, file: fs_err::File) -> std::io::Result<()> {
        let mut rows = Rows::of(file);
        while let Some(row) = rows.next()? {
            let time = self.time(row.of_step());
            self.rows += 1;
            let board = self.board()?;
            board.row(output, row, time);
            board.write_if_enough()?;
        }
        let end = self.time(u64::MAX);
        if let Some(board) = &mut self.board {
            board.settle(u64::MAX, end);
        }
        Ok(())
    }

    fn board(&mut self) -> std::io::Result<&mut Board> {
        if self.board.is_none() {
            self.board = Some(Board::begin(&self.folder, Some(0))?);
        }
        Ok(self.board.as_mut().expect("it has just been begun"))
    }

    /// Returns about when a step was done, in seconds since 1970.
    fn time(&self, step: u64) -> f64 {
        let finished = self.record.finished.parse().map_or(0.0, |time: Timestamp| time.as_millisecond() as f64 / 1e3);
        let rest = self.last.saturating_sub(step) as f64 / self.last.max(1) as f64;
        finished - self.record.seconds * rest
    }
}
