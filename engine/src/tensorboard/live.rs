//! Follows a running stage: a thread of its own writes what the attempt tells it, so that a slow disk slows no stage.
//!
//! The attempt never waits for the thread, except for [`PATIENCE`] at the end. What goes wrong ends the writing, and the
//! attempt is told once.
//!
//! Rows are read from the files that the worker appends to. They are looked at when a step is done: then the rows of
//! this step are there, and the worker has replaced a file that an earlier attempt left.

use std::collections::BTreeMap;
use std::io::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::oneshot;

use super::board::{Board, event_files, folder, seconds};
use super::curve::each_step;
use super::rows::{ENDING, Rows};

/// The most messages that wait for the thread.
const WAITING: usize = 1 << 16;

/// The most messages that are taken at once.
const AT_ONCE: usize = 1 << 10;

/// Bytes of events after which they are written.
const ENOUGH: usize = 1 << 20;

/// The longest wait for the thread at the end of an attempt.
const PATIENCE: Duration = Duration::from_secs(2);

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

/// A stage that is followed.
#[derive(Debug)]
pub(crate) struct Live {
    /// Absent once nothing is written any more.
    sender: Option<SyncSender<Told>>,
    ended: oneshot::Receiver<()>,
    trouble: Arc<Mutex<Option<String>>>,
    followed: Followed,
}

/// What the attempt tells the thread.
#[derive(Debug)]
enum Told {
    Step {
        step: u64,
        metrics: BTreeMap<String, f64>,
        time: f64,
    },
    /// The outputs' folders, once they are complete.
    Outputs(Vec<(String, PathBuf)>),
}

impl Live {
    /// Begins to follow an attempt. Nothing is written before its first step.
    pub(crate) fn begin(followed: Followed) -> Self {
        let (sender, told) = sync_channel(WAITING);
        let (end, ended) = oneshot::channel();
        let trouble = Arc::new(Mutex::new(None));
        let (of_thread, slot) = (followed.clone(), Arc::clone(&trouble));
        let thread = std::thread::Builder::new().name("tensorboard".to_owned()).spawn(move || {
            if let Err(error) = follow(&of_thread, &told) {
                tell(&slot, &of_thread, &error.to_string());
            }
            // The attempt may be gone.
            let _ = end.send(());
        });
        let mut live = Self { sender: Some(sender), ended, trouble, followed };
        if let Err(error) = thread {
            live.give_up(&error.to_string());
        }
        live
    }

    /// Tells a step of the curve.
    pub(crate) fn step(&mut self, step: u64, metrics: &BTreeMap<String, f64>) {
        self.send(Told::Step { step, metrics: metrics.clone(), time: seconds(SystemTime::now()) });
    }

    /// Ends the file, with the rows of the outputs at these paths that have not been seen. Returns what went wrong.
    pub(crate) async fn finish(mut self, outputs: Vec<(String, PathBuf)>) -> Option<String> {
        self.send(Told::Outputs(outputs));
        self.sender = None;
        if tokio::time::timeout(PATIENCE, &mut self.ended).await.is_err() {
            self.give_up("the disk is too slow");
        }
        self.trouble()
    }

    /// Returns what went wrong, once.
    pub(crate) fn trouble(&mut self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn send(&mut self, told: Told) {
        match self.sender.as_ref().map(|sender| sender.try_send(told)) {
            None | Some(Ok(())) => {}
            Some(Err(TrySendError::Full(_))) => self.give_up("the disk is too slow"),
            // The thread has told why.
            Some(Err(TrySendError::Disconnected(_))) => self.sender = None,
        }
    }

    fn give_up(&mut self, why: &str) {
        self.sender = None;
        tell(&self.trouble, &self.followed, why);
    }
}

fn tell(slot: &Mutex<Option<String>>, followed: &Followed, why: &str) {
    let Followed { dir, stage, .. } = followed;
    let message = format!(
        "TensorBoard's events in `{}` are not written any more: {why}; the stage goes on without them. \
         Make `run.tensorboard` a folder that can be written to; `r1flow export {stage} DIR --tensorboard` \
         writes all of them once the stage is done",
        folder(dir, stage).display()
    );
    *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(message);
}

/// Writes what is told until the sender is gone.
fn follow(followed: &Followed, told: &Receiver<Told>) -> Result<()> {
    let mut follower = Follower { followed, board: None, first: 0, rows: BTreeMap::new() };
    while let Ok(first) = told.recv() {
        let batch: Vec<Told> = std::iter::once(first).chain(told.try_iter().take(AT_ONCE)).collect();
        let now = seconds(SystemTime::now());
        follower.open_growing()?;
        follower.read_rows(now)?;
        for told in batch {
            match told {
                Told::Step { step, metrics, time } => follower.step(step, &metrics, time)?,
                Told::Outputs(outputs) => {
                    follower.open_outputs(outputs)?;
                    follower.read_rows(now)?;
                    follower.settle(u64::MAX, now);
                }
            }
        }
        follower.write()?;
    }
    Ok(())
}

struct Follower<'a> {
    followed: &'a Followed,
    /// Absent before the first value.
    board: Option<Board>,
    /// The first step that is written: earlier ones are in the files of earlier attempts.
    first: u64,
    /// The rows of each output.
    rows: BTreeMap<String, (PathBuf, Rows<fs_err::File>)>,
}

impl Follower<'_> {
    fn step(&mut self, step: u64, metrics: &BTreeMap<String, f64>, time: f64) -> Result<()> {
        if !metrics.is_empty() {
            self.board()?.step(step, metrics, time);
        }
        self.settle(step, time);
        self.write_if(ENOUGH)
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
                let so_far = std::io::Read::take(fs_err::File::open(&curve.0)?, curve.1);
                each_step(so_far, |step| {
                    board.step(step.step, &step.metrics, now);
                    if board.waiting() >= ENOUGH { board.write() } else { Ok(()) }
                })?;
            }
            self.board = Some(board);
        }
        Ok(self.board.as_mut().expect("it has just been begun"))
    }

    /// Opens the files of rows that are new. An open file is read to its end even after the worker has renamed it.
    fn open_growing(&mut self) -> Result<()> {
        let entries = match fs_err::read_dir(&self.followed.growing) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(ENDING));
            if let Some(output) = name.filter(|output| !self.rows.contains_key(*output)) {
                self.open(output.to_owned(), &path)?;
            }
        }
        Ok(())
    }

    /// Opens the files of outputs whose rows have not been seen while they grew.
    fn open_outputs(&mut self, outputs: Vec<(String, PathBuf)>) -> Result<()> {
        for (output, dir) in outputs {
            if self.rows.contains_key(&output) {
                continue;
            }
            for entry in fs_err::read_dir(dir)? {
                let path = entry?.path();
                if path.to_string_lossy().ends_with(ENDING) {
                    self.open(output.clone(), &path)?;
                }
            }
        }
        Ok(())
    }

    fn open(&mut self, output: String, path: &Path) -> Result<()> {
        match outside::open(path) {
            // The worker has just renamed it.
            Err(outside::Error::Io(error)) if error.kind() == ErrorKind::NotFound => {}
            opened => drop(self.rows.insert(output, (path.to_owned(), Rows::of(opened?)))),
        }
        Ok(())
    }

    fn read_rows(&mut self, now: f64) -> Result<()> {
        let mut all = std::mem::take(&mut self.rows);
        for (output, (path, rows)) in &mut all {
            let named = |error: Error| Error::new(error.kind(), format!("`{}`: {error}", path.display()));
            while let Some(row) = rows.next().map_err(named)? {
                // Only the board knows which step is the first.
                self.board()?;
                if row.of_step() >= self.first {
                    self.board()?.row(output, row, now);
                    self.write_if(ENOUGH)?;
                }
            }
        }
        self.rows = all;
        Ok(())
    }

    fn settle(&mut self, step: u64, time: f64) {
        if let Some(board) = &mut self.board {
            board.settle(step, time);
        }
    }

    fn write(&mut self) -> Result<()> {
        self.write_if(0)
    }

    fn write_if(&mut self, least: usize) -> Result<()> {
        match &mut self.board {
            Some(board) if board.waiting() >= least => board.write(),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensorboard::message::{Datum, Event, What};
    use crate::tensorboard::record;

    fn followed(root: &Path, resumed: u64) -> Followed {
        Followed {
            dir: root.join("logs"),
            stage: "zero/small".to_owned(),
            resumed,
            curve: (root.join("curve.jsonl"), 0),
            growing: root.join("rows"),
        }
    }

    fn rows(steps: &[u64]) -> String {
        steps
            .iter()
            .map(|step| format!("{{\"step\": {step}, \"completion\": \"c{step}\", \"tokens\": {step}}}\n"))
            .collect()
    }

    /// Follows these steps to the end, and returns what went wrong.
    async fn write(followed: Followed, steps: std::ops::RangeInclusive<u64>) -> Option<String> {
        let mut live = Live::begin(followed);
        steps.for_each(|step| live.step(step, &[("loss".to_owned(), step as f64)].into()));
        live.finish(Vec::new()).await
    }

    /// Returns what the files hold, in the order of their names.
    fn told(root: &Path) -> Vec<String> {
        let folder = root.join("logs/zero/small");
        let mut names = event_files(&folder).unwrap();
        names.sort();
        let read = |name: &String| record::read(&fs_err::read(folder.join(name)).unwrap()).unwrap();
        names.iter().flat_map(read).map(|event| event_told(&event)).collect()
    }

    fn event_told(event: &Event) -> String {
        let what = match event.what.as_ref().unwrap() {
            What::FileVersion(_) => "file".to_owned(),
            What::SessionLog(_) => "start".to_owned(),
            What::Summary(summary) => match &summary.value[0].datum {
                Some(Datum::Scalar(number)) => format!("{} {number}", summary.value[0].tag),
                Some(Datum::Histogram(histogram)) => format!("{} of {}", summary.value[0].tag, histogram.num),
                other => format!("{other:?}"),
            },
        };
        format!("{} {what}", event.step)
    }

    #[tokio::test]
    async fn a_resumed_attempt_begins_where_the_repeated_steps_are() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        fs_err::create_dir_all(root.join("rows")).unwrap();
        fs_err::write(root.join("rows/rollouts.jsonl"), rows(&[0, 0, 1])).unwrap();
        assert_eq!(write(followed(root, 0), 1..=2).await, None);
        let first = ["0 file", "0 start", "1 rollouts/tokens of 2", "1 train/loss 1", "2 train/loss 2"];
        let first: Vec<String> = first.into_iter().chain(["2 rollouts/tokens of 1"]).map(str::to_owned).collect();
        assert_eq!(told(root), first);
        // The worker writes the rows of the checkpoint again.
        fs_err::write(root.join("rows/rollouts.jsonl"), rows(&[0, 0, 1])).unwrap();
        assert_eq!(write(followed(root, 1), 2..=2).await, None);
        let second = ["0 file", "2 start", "2 train/loss 2", "2 rollouts/tokens of 1"];
        assert_eq!(told(root)[first.len()..], second);
    }

    #[tokio::test]
    async fn a_first_file_has_the_curve_up_to_the_checkpoint() {
        let dir = tempfile::tempdir().unwrap();
        let line = |step: u64| format!("{{\"step\":{step},\"metrics\":{{\"loss\":{step}}}}}\n");
        let curve = dir.path().join("curve.jsonl");
        fs_err::write(&curve, line(1) + &line(2) + &line(9)).unwrap();
        let so_far = (curve, (line(1) + &line(2)).len() as u64);
        assert_eq!(write(Followed { curve: so_far, ..followed(dir.path(), 2) }, 3..=3).await, None);
        let expected = ["0 file", "0 start", "1 train/loss 1", "2 train/loss 2", "3 train/loss 3"];
        assert_eq!(told(dir.path()), expected);
    }

    #[tokio::test]
    async fn rows_that_were_complete_too_soon_are_read_from_the_output() {
        let dir = tempfile::tempdir().unwrap();
        let output = dir.path().join("output-rollouts");
        fs_err::create_dir_all(&output).unwrap();
        fs_err::write(output.join("samples.jsonl"), rows(&[0])).unwrap();
        let live = Live::begin(followed(dir.path(), 0));
        assert_eq!(live.finish(vec![("rollouts".to_owned(), output)]).await, None);
        assert_eq!(told(dir.path()), ["0 file", "0 start", "1 rollouts/tokens of 1"]);
    }

    #[tokio::test]
    async fn without_a_value_there_is_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let mut live = Live::begin(followed(dir.path(), 0));
        live.step(1, &BTreeMap::new());
        assert_eq!(live.finish(Vec::new()).await, None);
        assert!(!dir.path().join("logs").exists());
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_made_is_told_once() {
        let dir = tempfile::tempdir().unwrap();
        fs_err::write(dir.path().join("logs"), "a file").unwrap();
        let mut live = Live::begin(followed(dir.path(), 0));
        live.step(1, &[("loss".to_owned(), 1.0)].into());
        let trouble = loop {
            tokio::time::sleep(Duration::from_millis(1)).await;
            if let Some(trouble) = live.trouble() {
                break trouble;
            }
        };
        let folder = dir.path().join("logs/zero/small");
        let begin = format!("TensorBoard's events in `{}` are not written any more: ", folder.display());
        assert!(trouble.starts_with(&begin) && trouble.contains("`r1flow export zero/small DIR"), "{trouble}");
        live.step(2, &[("loss".to_owned(), 1.0)].into());
        assert_eq!(live.finish(Vec::new()).await, None);
    }

    #[tokio::test]
    async fn a_disk_that_hangs_holds_nothing_up() {
        let dir = tempfile::tempdir().unwrap();
        let curve = dir.path().join("pipe");
        let name = std::ffi::CString::new(curve.to_str().unwrap()).unwrap();
        // SAFETY: the name is a string that ends with a zero.
        assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
        // Opening a pipe that nobody writes to does not return.
        let mut live = Live::begin(Followed { curve: (curve.clone(), 1), ..followed(dir.path(), 1) });
        for step in 0..WAITING as u64 * 2 {
            live.step(step, &[("loss".to_owned(), 1.0)].into());
        }
        assert!(live.trouble().is_some_and(|trouble| trouble.contains("the disk is too slow")));
        assert_eq!(live.trouble(), None);
        // Now the thread can end.
        drop(fs_err::OpenOptions::new().write(true).open(&curve).unwrap());
    }
}
