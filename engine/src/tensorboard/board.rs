//! Turns the steps of one stage into events, and writes them to one event file.
//!
//! Events are gathered in memory until [`Board::write`]. Values of rows are complete once a row of a later step, or the
//! later step itself, has come.

use std::collections::BTreeMap;
use std::io::{Result, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::message::{Event, FILE_VERSION, SESSION_START, SessionLog, Summary, Value, What};
use super::record;
use super::rollouts::Gathered;
use super::rows::Row;
use super::tags::scalar_tag;

/// What the names of event files begin with; TensorBoard knows them by it.
const PREFIX: &str = "events.out.tfevents.";

/// The least number of seconds that has more than ten digits.
const MOST: u64 = 10_000_000_000;

/// Bytes of events after which they are written.
const ENOUGH: usize = 1 << 20;

/// An event file that is being written.
pub(super) struct Board {
    file: fs_err::File,
    waiting: Vec<u8>,
    /// Rows whose step may not be complete, by the name of their output.
    gathered: BTreeMap<String, (u64, Gathered)>,
}

/// Returns the folder of a stage's event files below `dir`.
pub(super) fn folder(dir: &Path, stage: &str) -> PathBuf {
    dir.join(stage)
}

/// Returns the names of the event files in a folder, which need not exist.
pub(super) fn event_files(folder: &Path) -> Result<Vec<String>> {
    let entries = match fs_err::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let names: Result<Vec<String>> = names.collect();
    Ok(names?.into_iter().filter(|name| name.starts_with(PREFIX)).collect())
}

/// Returns the time as event files have it, in seconds since 1970.
pub(super) fn seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

impl Board {
    /// Begins a file in a stage's folder, which is made if it is not there. With a step, a session begins at it:
    /// TensorBoard drops what other files have of this step and later ones.
    pub(super) fn begin(folder: &Path, session: Option<u64>) -> Result<Self> {
        fs_err::create_dir_all(folder)?;
        let now = seconds(SystemTime::now());
        let mut board = Self { file: create(folder, now as u64)?, waiting: Vec::new(), gathered: BTreeMap::new() };
        board.push(now, 0, What::FileVersion(FILE_VERSION.to_owned()));
        if let Some(step) = session {
            board.push(now, step, What::SessionLog(SessionLog { status: SESSION_START }));
        }
        Ok(board)
    }

    /// Returns the path of the file.
    pub(super) fn path(&self) -> &Path {
        self.file.path()
    }

    /// Adds a step of the curve, measured at `time`, and the rows that belong to it and earlier steps.
    pub(super) fn step(&mut self, step: u64, metrics: &BTreeMap<String, f64>, time: f64) {
        let value = metrics.iter().map(|(name, number)| Value::scalar(scalar_tag(name), *number)).collect();
        self.summary(step, value, time);
        self.settle(step, time);
    }

    /// Adds a row of an output. Rows come in the order of their steps.
    pub(super) fn row(&mut self, output: &str, row: Row, time: f64) {
        let step = row.of_step();
        if self.gathered.get(output).is_some_and(|(of, _)| *of != step) {
            self.settle_output(output, time);
        }
        self.gathered.entry(output.to_owned()).or_insert_with(|| (step, Gathered::default())).1.add(row);
    }

    /// Adds the rows that belong to `step` and earlier ones, all of which have come.
    pub(super) fn settle(&mut self, step: u64, time: f64) {
        let complete = self.gathered.iter().filter(|(_, (of, _))| *of <= step);
        let complete: Vec<String> = complete.map(|(output, _)| output.clone()).collect();
        for output in complete {
            self.settle_output(&output, time);
        }
    }

    fn settle_output(&mut self, output: &str, time: f64) {
        if let Some((step, gathered)) = self.gathered.remove(output) {
            self.summary(step, gathered.values(output), time);
        }
    }

    fn summary(&mut self, step: u64, value: Vec<Value>, time: f64) {
        if !value.is_empty() {
            self.push(time, step, What::Summary(Summary { value }));
        }
    }

    fn push(&mut self, wall_time: f64, step: u64, what: What) {
        let event = Event { wall_time, step: i64::try_from(step).unwrap_or(i64::MAX), what: Some(what) };
        record::append(&mut self.waiting, &event);
    }

    /// Writes the gathered events.
    pub(super) fn write(&mut self) -> Result<()> {
        self.file.write_all(&self.waiting)?;
        self.waiting.clear();
        Ok(())
    }

    /// Writes the gathered events if they are many.
    pub(super) fn write_if_enough(&mut self) -> Result<()> {
        if self.waiting.len() >= ENOUGH { self.write() } else { Ok(()) }
    }
}

/// Creates an event file whose name sorts after those in the folder, because TensorBoard reads them in this order: two
/// attempts may begin in the same second, and a clock may go back.
fn create(folder: &Path, now: u64) -> Result<fs_err::File> {
    let second = |name: &String| name.strip_prefix(PREFIX)?.split('.').next()?.parse::<u64>().ok();
    // A number with more digits is no time, and would not be in order.
    let newest = event_files(folder)?.iter().filter_map(second).filter(|second| *second < MOST).max();
    let mut second = newest.map_or(now, |newest| now.max(newest + 1));
    loop {
        let path = folder.join(format!("{PREFIX}{second:010}.r1flow"));
        let mut options = fs_err::OpenOptions::new();
        match options.write(true).create_new(true).open(path) {
            // Another process was faster.
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => second += 1,
            created => return created,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_in_the_order_of_their_making() {
        let dir = tempfile::tempdir().unwrap();
        let name = |now: u64| {
            let file = create(dir.path(), now).unwrap();
            file.path().file_name().unwrap().to_str().unwrap().to_owned()
        };
        let names = [name(1_795_862_100), name(1_795_862_100), name(1_795_862_000), name(1_795_862_200)];
        assert_eq!(names[0], "events.out.tfevents.1795862100.r1flow");
        assert!(names.is_sorted() && names[2].contains("1795862102") && names[3].contains("1795862200"), "{names:?}");
        let mut found = event_files(dir.path()).unwrap();
        found.sort();
        assert_eq!(found, names);
        fs_err::write(dir.path().join(format!("{PREFIX}{}", u64::MAX)), "").unwrap();
        assert!(name(1_795_862_100).contains("1795862201"));
        assert_eq!(event_files(&dir.path().join("none")).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn rows_are_written_with_the_step_that_they_belong_to() {
        let dir = tempfile::tempdir().unwrap();
        let mut board = Board::begin(&folder(dir.path(), "student/qwen"), Some(4)).unwrap();
        let row = |step: u64| -> Row {
            serde_json::from_str(&format!(r#"{{"step": {step}, "completion": "c", "reward": {step}}}"#)).unwrap()
        };
        board.row("rollouts", row(3), 1.0);
        board.row("rollouts", row(3), 1.0);
        board.step(4, &[("loss".to_owned(), 0.5), ("eval_loss".to_owned(), f64::NAN)].into(), 2.0);
        board.row("rollouts", row(4), 3.0);
        board.row("rollouts", row(5), 4.0);
        board.settle(9, 5.0);
        board.step(6, &BTreeMap::new(), 6.0);
        board.write().unwrap();
        assert_eq!(board.path().parent(), Some(dir.path().join("student/qwen").as_path()));
        let events = record::read(&fs_err::read(board.path()).unwrap()).unwrap();
        let told: Vec<String> = events.iter().map(told).collect();
        let expected = [
            "0 version",
            "4 start",
            "4 eval/loss train/loss",
            "4 rollouts/reward rollouts/completion",
            "5 rollouts/reward rollouts/completion",
            "6 rollouts/reward rollouts/completion",
        ];
        assert_eq!(told, expected);
    }

    fn told(event: &Event) -> String {
        let what = match event.what.as_ref().unwrap() {
            What::FileVersion(_) => "version".to_owned(),
            What::SessionLog(_) => "start".to_owned(),
            What::Summary(summary) => {
                let tags: Vec<&str> = summary.value.iter().map(|value| value.tag.as_str()).collect();
                tags.join(" ")
            }
        };
        format!("{} {what}", event.step)
    }
}
