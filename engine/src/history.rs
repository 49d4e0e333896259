//! Reads the history of runs. The history is a help and never authoritative: what is missing or damaged is skipped,
//! without an error.
//!
//! A line counts if its seal is right and its version is known. [`crate::run`] writes the history.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use store::{Digest, Store, is_sealed};

use crate::event::{Entry, Event, VERSION};
use crate::placement::Device;

/// The readable part of a run's history.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// The run's id.
    pub id: String,
    /// Its events, in order.
    pub entries: Vec<Entry>,
    /// Number of damaged lines; a last line that was cut off does not count.
    pub spoilt: usize,
    /// Why the history could not be read, if so.
    pub trouble: Option<String>,
}

/// How a run began.
#[derive(Clone, Copy, Debug)]
pub struct Begun<'a> {
    /// The workflow's name.
    pub workflow: &'a str,
    /// Its file, in the form of [`crate::run::file_name`].
    pub file: &'a str,
    /// Its `--set` arguments.
    pub sets: &'a [String],
    /// Its `--device`.
    pub device: Device,
    /// The engine's process.
    pub pid: u32,
    /// Inputs from a hub, by name: the id and the commit that it resolved to.
    pub inputs: &'a BTreeMap<String, String>,
}

impl History {
    /// Returns how the run began, if that event can be read.
    pub fn begun(&self) -> Option<Begun<'_>> {
        self.entries.iter().find_map(|entry| match &entry.event {
            Event::RunStarted { workflow, file, sets, device, pid, inputs, .. } => {
                Some(Begun { workflow, file, sets, device: *device, pid: *pid, inputs })
            }
            _ => None,
        })
    }

    /// Returns whether it is a run of this workflow file.
    pub fn is_of(&self, file: &str) -> bool {
        self.begun().is_some_and(|begun| begun.file == file)
    }

    /// Returns the fingerprint of a stage's last attempt in this run.
    pub fn attempted(&self, stage: &str) -> Option<Digest> {
        self.entries.iter().rev().find_map(|entry| match &entry.event {
            Event::Started { stage: of, fingerprint, .. } if of == stage => Some(*fingerprint),
            _ => None,
        })
    }

    /// Returns the fingerprint under which this run completed a stage or found it fresh.
    pub fn settled(&self, stage: &str) -> Option<Digest> {
        self.entries.iter().rev().find_map(|entry| match &entry.event {
            Event::Fresh { stage: of, fingerprint } | Event::Done { stage: of, fingerprint, .. } if of == stage => {
                Some(*fingerprint)
            }
            _ => None,
        })
    }
}

/// Returns the ids of all runs, oldest first. A plain file with the name of a run is listed as well.
pub fn list(store: &Store) -> std::io::Result<Vec<String>> {
    let folder = match fs_err::read_dir(store.runs_dir()) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(Vec::new()),
        folder => folder?,
    };
    let mut ids = Vec::new();
    for entry in folder {
        let entry = entry?;
        let Ok(id) = entry.file_name().into_string() else { continue };
        if number(&id) > 0 || entry.path().is_dir() {
            ids.push(id);
        }
    }
    ids.sort_by(|one, two| (number(one), one).cmp(&(number(two), two)));
    Ok(ids)
}

/// Returns the number that a run's id begins with; 0 for ids of older versions, which have none.
pub fn number(id: &str) -> u64 {
    let number = id.split_once('-').map_or("", |(number, _)| number);
    let is_number = (6..=15).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { number.parse().unwrap_or(0) } else { 0 }
}

/// Returns the file of events in a run's folder.
pub(crate) fn events_file(run: &Path) -> PathBuf {
    run.join("events.jsonl")
}

/// Returns the readable history of every run, newest first; each is read when the iterator reaches it.
pub fn newest_first(store: &Store) -> std::io::Result<impl Iterator<Item = History>> {
    Ok(list(store)?.into_iter().rev().map(|id| read(store, &id)))
}

/// Does the same as [`newest_first`], with only the events of one stage and of the runs themselves. Lines of other
/// stages are skipped without parsing them.
pub fn newest_first_about<'a>(
    store: &'a Store,
    stage: &'a str,
) -> std::io::Result<impl Iterator<Item = History> + use<'a>> {
    Ok(list(store)?.into_iter().rev().map(move |id| read_about(store, &id, stage)))
}

/// Returns the readable history of a run, with only the events of one stage and of the run itself.
pub fn read_about(store: &Store, id: &str, stage: &str) -> History {
    const OF_A_STAGE: &[u8] = b"\"stage\":";
    let wanted = [OF_A_STAGE, &serde_json::to_vec(stage).unwrap_or_default()].concat();
    let has = |line: &[u8], part: &[u8]| line.windows(part.len()).any(|window| window == part);
    read_lines(store, id, |line| has(line, &wanted) || !has(line, OF_A_STAGE))
}

/// Returns the readable history of a run.
pub fn read(store: &Store, id: &str) -> History {
    read_lines(store, id, |_| true)
}

fn read_lines(store: &Store, id: &str, is_wanted: impl Fn(&[u8]) -> bool) -> History {
    let mut history = History { id: id.to_owned(), ..History::default() };
    match read_file(&events_file(&store.runs_dir().join(id))) {
        Ok(bytes) => {
            for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty() && is_wanted(line)) {
                if is_sealed(id, line) {
                    // Events of an unknown version or kind are skipped.
                    let entry = serde_json::from_slice::<Entry>(line).ok();
                    history.entries.extend(entry.filter(|entry| entry.v == VERSION));
                } else if !is_cut(id, line, &bytes) {
                    history.spoilt += 1;
                }
            }
        }
        Err(error) => history.trouble = Some(error.to_string()),
    }
    history
}

/// Returns whether a line is the last one and was cut off by a kill or a power cut. A whole line whose line break was
/// altered does not count.
fn is_cut(id: &str, line: &[u8], file: &[u8]) -> bool {
    file.ends_with(line) && !is_sealed(id, &line[..line.len() - 1])
}

/// Reads a file; does not block on a named pipe.
fn read_file(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    outside::open(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "tests remove what they have made")]

    use super::*;
    use crate::run::Run;

    fn event(stage: &str) -> Event {
        Event::Waiting { stage: stage.to_owned() }
    }

    fn events(store: &Store, id: &str) -> Vec<Event> {
        read(store, id).entries.into_iter().map(|entry| entry.event).collect()
    }

    fn run(store: &Store, events: &[Event]) -> (String, PathBuf) {
        let mut run = Run::begin(store).unwrap();
        run.record(events).unwrap();
        run.flush().unwrap();
        (run.id.clone(), events_file(run.dir()))
    }

    #[test]
    fn a_torn_last_line_costs_that_line() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let (id, path) = run(&store, &[event("a"), event("b")]);
        let bytes = fs_err::read(&path).unwrap();
        let first = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        for length in first..bytes.len() - 1 {
            fs_err::write(&path, &bytes[..length]).unwrap();
            assert_eq!(events(&store, &id), [event("a")], "cut at {length}");
            assert_eq!(read(&store, &id).spoilt, 0, "cut at {length}: no damage");
        }
        let mut altered = bytes;
        *altered.last_mut().unwrap() ^= 1;
        fs_err::write(&path, altered).unwrap();
        assert_eq!((events(&store, &id), read(&store, &id).spoilt), (vec![event("a")], 1));
        assert_eq!(list(&store).unwrap(), [id]);
    }

    #[test]
    fn a_flipped_bit_costs_its_line() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let (id, path) = run(&store, &[event("a"), event("b"), event("c")]);
        let bytes = fs_err::read(&path).unwrap();
        let lines: Vec<_> = bytes.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::len).collect();
        for at in lines[0]..lines[0] + lines[1] - 1 {
            for bit in 0..8 {
                let mut spoilt = bytes.clone();
                spoilt[at] ^= 1 << bit;
                fs_err::write(&path, spoilt).unwrap();
                assert_eq!(events(&store, &id), [event("a"), event("c")], "bit {bit} of byte {at}");
                assert_ne!(read(&store, &id).spoilt, 0, "bit {bit} of byte {at}");
            }
        }
    }

    #[test]
    fn the_number_decides_what_is_newest() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let names =
            ["20270101T000000.000Z-0001", "000002-20250101T000000.000Z-0001", "000001-20260101T000000.000Z-0001"];
        for name in names {
            fs_err::create_dir_all(store.runs_dir().join(name)).unwrap();
        }
        assert_eq!(list(&store).unwrap(), [names[0], names[2], names[1]]);
        let (third, _) = run(&store, &[event("a")]);
        assert!(third.starts_with("000003-"), "{third}");
        assert_eq!(list(&store).unwrap().last(), Some(&third));
    }

    #[test]
    fn whatever_lies_there_is_no_error() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        fs_err::create_dir(store.runs_dir()).unwrap();
        fs_err::write(store.runs_dir().join(".DS_Store"), b"x").unwrap();
        fs_err::write(store.runs_dir().join("000001-20260101T000000.000Z-0001"), b"x").unwrap();
        fs_err::create_dir(store.runs_dir().join("000002-20260101T000000.000Z-0001")).unwrap();
        let noise = store.runs_dir().join("000003-20260101T000000.000Z-0001");
        fs_err::create_dir(&noise).unwrap();
        fs_err::write(events_file(&noise), b"\xff\xfe\n{}\n\n\"}\n").unwrap();
        let all: Vec<_> = newest_first(&store).unwrap().collect();
        assert_eq!(
            all.iter().map(|one| (one.spoilt, one.trouble.is_some())).collect::<Vec<_>>(),
            [(3, false), (0, true), (0, true)]
        );
        fs_err::remove_dir_all(store.runs_dir()).unwrap();
        assert_eq!(list(&store).unwrap(), Vec::<String>::new());
        fs_err::write(store.runs_dir(), b"x").unwrap();
        assert_eq!(list(&store).unwrap(), Vec::<String>::new());
    }
}
