//! Follows a running stage: a thread of its own writes what the attempt tells it, so that a slow disk slows no stage.
//!
//! The attempt never waits for the thread, except for [`PATIENCE`] at the end. What goes wrong ends the writing, and the
//! attempt is told once.
//!
//! Rows are looked at when a step is done: then the rows of this step are there, and the worker has replaced a file that
//! an earlier attempt left.

use std::collections::BTreeMap;
use std::io::Result;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::oneshot;

use super::board::{folder, seconds};
use super::follower::{Followed, Follower};

/// The most messages that wait for the thread.
const WAITING: usize = 1 << 16;

/// The most messages that are taken at once.
const AT_ONCE: usize = 1 << 10;

/// The longest wait for the thread at the end of an attempt.
const PATIENCE: Duration = Duration::from_secs(2);

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
    let mut follower = Follower::of(followed);
    while let Ok(first) = told.recv() {
        let batch: Vec<Told> = std::iter::once(first).chain(told.try_iter().take(AT_ONCE)).collect();
        let now = seconds(SystemTime::now());
        if batch.iter().any(|told| matches!(told, Told::Step { .. })) {
            follower.open_growing()?;
        }
        follower.read_rows(now)?;
        for told in batch {
            match told {
                Told::Step { step, metrics, time } => follower.step(step, &metrics, time)?,
                Told::Outputs(outputs) => {
                    follower.open_outputs(&outputs)?;
                    follower.read_rows(now)?;
                    follower.settle(u64::MAX, now);
                }
            }
        }
        follower.write()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::tensorboard::board::event_files;
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
        let row = |step: &u64| format!(r#"{{"step": {step}, "completion": "c{step}", "tokens": {step}}}"#);
        steps.iter().map(row).collect::<Vec<_>>().join("\n") + "\n"
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
        // Opening a pipe without a writer blocks.
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
