//! The journal of records: one append-only file with a line for each stage that was ever finished.
//!
//! ```text
//! <checksum of the rest, 64 hex> <fingerprint, 64 hex> <record, JSON> \t <action, JSON> \n
//! ```
//! A line is written by one call, and nothing is ever rewritten. A line that was cut off or edited does not match its
//! checksum and counts as absent; the next append first ends it. Only the positions of lines are kept in memory: a line
//! is read on request, with some that follow it, because these are usually requested next.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::layout;
use crate::lock::locked;
use crate::publish::Unsynced;
use crate::root::{Root, named};

/// Hex digits of a digest.
const HEX: usize = 64;
/// Where the record begins in a line.
const BODY: usize = 2 * (HEX + 1);
/// Bytes that are read at once: some twenty lines, at hardly more cost than one.
const WINDOW: usize = 1 << 14;

/// The end of a line that a kill or a power cut left unfinished, written by the next process that appends.
const CUT: &[u8] = b" cut\n";

/// Longest possible line: a record of a hundred thousand files takes a sixth of this.
const MOST_LINE: usize = 128 << 20;

/// The journal's file, with the positions of the lines seen so far.
#[derive(Debug)]
pub(crate) struct Journal {
    root: Arc<Root>,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    file: Option<File>,
    /// Bytes that have been scanned: whole lines only.
    end: u64,
    lines: Vec<Position>,
    /// Offsets of lines that do not even have a line's form.
    torn: Vec<u64>,
    /// The last line of each fingerprint.
    newest: HashMap<Digest, usize>,
    /// Whether this process has appended since the last scan.
    has_more: bool,
    /// The bytes that were read last; `window_start` is their offset in the file.
    window: Vec<u8>,
    window_start: u64,
}

#[derive(Clone, Copy, Debug)]
struct Position {
    start: u64,
    len: usize,
    /// Index of the previous line with the same fingerprint.
    previous: Option<usize>,
}

/// A line whose checksum holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line<'a> {
    /// JSON.
    pub(crate) record: &'a str,
    /// JSON.
    pub(crate) action: &'a str,
    /// Where the line begins in the file.
    pub(crate) start: u64,
}

impl Journal {
    pub(crate) fn new(root: Arc<Root>) -> Self {
        Self { root, seen: Mutex::default() }
    }

    /// Appends a line, which is durable once the returned [`Unsynced`] has been synced. `record` and `action` are JSON
    /// without line breaks or tabs.
    pub(crate) fn append(&self, fingerprint: &Digest, record: &[u8], action: &[u8]) -> Result<Unsynced> {
        let mut rest = fingerprint.digits().as_bytes().to_owned();
        for part in [b" ", record, b"\t", action] {
            rest.extend_from_slice(part);
        }
        let mut line = Digest::of(&rest).digits().as_bytes().to_owned();
        line.push(b' ');
        line.extend(rest);
        line.push(b'\n');
        let mut file = self.root.append(layout::journal())?;
        let path = self.root.path().join(layout::journal());
        // Locked until the file is closed: two writers on a network file system would mix their lines.
        locked(file.lock(), &path)?;
        let len = file.metadata()?.len();
        let mut last = [b'\n'];
        if len > 0 {
            file.read_exact_at(&mut last, len - 1)?;
        }
        if last != [b'\n'] {
            line.splice(..0, CUT.iter().copied());
        }
        file.write_all(&line).map_err(|error| named(error, "write", &path))?;
        self.seen().has_more = true;
        Ok(Unsynced::of(&self.root, [layout::journal().to_owned()]))
    }

    /// Calls `look` with the whole lines of a fingerprint, newest first, and returns the first result that is not
    /// `None`.
    pub(crate) fn find<T>(
        &self,
        fingerprint: &Digest,
        mut look: impl FnMut(Line<'_>) -> Option<T>,
    ) -> Result<Option<T>> {
        let mut seen = self.open()?;
        // A known line is as good as one that others may have appended since: equal actions give equal records.
        if seen.has_more || !seen.newest.contains_key(fingerprint) {
            seen.catch_up()?;
        }
        let mut at = seen.newest.get(fingerprint).copied();
        while let Some(index) = at {
            let place = seen.lines[index];
            if let Some(found) = seen.read(place)?.and_then(&mut look) {
                return Ok(Some(found));
            }
            at = place.previous;
        }
        Ok(None)
    }

    /// Calls `take` with every whole line that begins at `start` or later, oldest first, and returns the end of the
    /// last line scanned.
    pub(crate) fn each_from(&self, start: u64, mut take: impl FnMut(Line<'_>)) -> Result<u64> {
        let mut seen = self.look()?;
        let first = seen.lines.partition_point(|place| place.start < start);
        for index in first..seen.lines.len() {
            let place = seen.lines[index];
            seen.read(place)?.into_iter().for_each(&mut take);
        }
        Ok(seen.end)
    }

    /// Returns the result of `look` for the line that begins at `start`, if there is one and it is whole.
    pub(crate) fn find_at<T>(&self, start: u64, look: impl FnOnce(Line<'_>) -> Option<T>) -> Result<Option<T>> {
        let mut seen = self.look()?;
        match seen.lines.binary_search_by_key(&start, |place| place.start) {
            Ok(index) => {
                let place = seen.lines[index];
                Ok(seen.read(place)?.and_then(look))
            }
            Err(_) => Ok(None),
        }
    }

    /// Returns the offsets of lines that do not match their checksums. Lines that were cut off are not damage, because
    /// they were never acknowledged. A last line without a line break counts as cut off, unless it is whole but for
    /// another byte in the line break's place.
    pub(crate) fn torn(&self) -> Result<Vec<u64>> {
        let mut seen = self.look()?;
        let mut torn = seen.torn.clone();
        for index in 0..seen.lines.len() {
            let place = seen.lines[index];
            if seen.read(place)?.is_none() {
                torn.push(place.start);
            }
        }
        torn.extend(seen.has_altered_end()?.then_some(seen.end));
        torn.sort_unstable();
        Ok(torn)
    }

    pub(crate) fn look_through(&self) -> Result<()> {
        self.look().map(drop)
    }

    /// Scans what any process has appended since the last scan.
    fn look(&self) -> Result<MutexGuard<'_, Seen>> {
        let mut seen = self.open()?;
        seen.catch_up()?;
        Ok(seen)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn open(&self) -> Result<MutexGuard<'_, Seen>> {
        let mut seen = self.seen();
        if seen.file.is_none() {
            seen.file = match self.root.open_file(layout::journal()) {
                Err(Error::Io(error)) if error.kind() == ErrorKind::NotFound => None,
                file => Some(file?),
            };
        }
        Ok(seen)
    }
}

impl Seen {
    fn catch_up(&mut self) -> Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        self.has_more = false;
        if file.metadata()?.len() <= self.end {
            return Ok(());
        }
        let mut reader = BufReader::with_capacity(1 << 16, file);
        reader.seek(SeekFrom::Start(self.end))?;
        let mut line = Vec::new();
        loop {
            line.clear();
            let len = read_line(&mut reader, &mut line)?;
            // A line without its end is scanned again next time.
            let Some(len) = len else { return Ok(()) };
            if line.ends_with(CUT) {
                tracing::debug!(at = self.end, "a line of the journal was cut off and counts as absent");
            } else if let Some(fingerprint) = fingerprint(&line).filter(|_| len == line.len() as u64) {
                let index = self.lines.len();
                let previous = self.newest.insert(fingerprint, index);
                self.lines.push(Position { start: self.end, len: line.len() - 1, previous });
            } else if len > 1 {
                tracing::warn!(at = self.end, "a line of the journal is torn and counts as absent");
                self.torn.push(self.end);
            }
            self.end += len;
        }
    }

    /// Returns whether the file ends with a whole line and another byte in place of its line break.
    fn has_altered_end(&self) -> Result<bool> {
        let Some(file) = &self.file else { return Ok(false) };
        let mut reader = BufReader::new(file);
        reader.seek(SeekFrom::Start(self.end))?;
        let mut rest = Vec::new();
        reader.take(MOST_LINE as u64).read_to_end(&mut rest)?;
        Ok(rest.pop().is_some() && parse(&rest, self.end).is_some())
    }

    fn read(&mut self, place: Position) -> Result<Option<Line<'_>>> {
        let Some(file) = &self.file else { return Ok(None) };
        let window_end = self.window_start + self.window.len() as u64;
        if place.start < self.window_start || place.start + place.len as u64 > window_end {
            // The window stays empty until it is read: a failed read must not leave bytes that could pass for a line.
            let mut window = std::mem::take(&mut self.window);
            window.resize(place.len.max(WINDOW).min((self.end - place.start) as usize), 0);
            file.read_exact_at(&mut window, place.start)?;
            (self.window, self.window_start) = (window, place.start);
        }
        let start = (place.start - self.window_start) as usize;
        let line = parse(&self.window[start..start + place.len], place.start);
        if line.is_none() {
            tracing::warn!(at = place.start, "a line of the journal is torn or edited and counts as absent");
        }
        Ok(line)
    }
}

/// Reads a line into `line`, which keeps at most [`MOST_LINE`] bytes of it, and returns its length with the line break;
/// `None` if the file ends first.
fn read_line(reader: &mut BufReader<&File>, line: &mut Vec<u8>) -> Result<Option<u64>> {
    let mut len = 0;
    loop {
        let part = reader.by_ref().take(1 << 20).read_until(b'\n', line)? as u64;
        len += part;
        match line.ends_with(b"\n") {
            true => return Ok(Some(len)),
            false if part == 0 => return Ok(None),
            false => line.truncate(MOST_LINE),
        }
    }
}

/// Parses a line, if its checksum matches.
fn parse(line: &[u8], start: u64) -> Option<Line<'_>> {
    let (checksum, rest) = line.split_at_checked(HEX + 1)?;
    let is_whole = checksum[..HEX] == *Digest::of(rest).digits().as_bytes() && checksum[HEX] == b' ';
    let body = std::str::from_utf8(rest).ok().filter(|_| is_whole)?.get(BODY - HEX - 1..)?;
    let (record, action) = body.split_once('\t')?;
    Some(Line { record, action, start })
}

/// Returns the fingerprint in a line without checking the rest.
fn fingerprint(line: &[u8]) -> Option<Digest> {
    let hex = std::str::from_utf8(line.get(HEX + 1..BODY - 1)?).ok()?;
    Digest::from_hex(hex)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn journal_in(dir: &Path) -> Journal {
        Journal::new(Arc::new(Root::open(dir).unwrap()))
    }

    fn records(journal: &Journal) -> Vec<String> {
        let mut found = Vec::new();
        journal.each_from(0, |line| found.push(line.record.to_owned())).unwrap();
        found
    }

    #[test]
    fn a_torn_line_costs_that_line_and_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("records.jsonl");
        let key = Digest::of(b"key");
        let journal = journal_in(dir.path());
        journal.append(&key, b"1", b"a").unwrap().sync().unwrap();
        let one = fs_err::metadata(&path).unwrap().len();
        journal.append(&key, b"2", b"a").unwrap().sync().unwrap();
        let whole = fs_err::read(&path).unwrap();
        for cut in one as usize..whole.len() - 1 {
            fs_err::write(&path, &whole[..cut]).unwrap();
            assert_eq!(records(&journal_in(dir.path())), ["1"], "cut at {cut}");
            assert_eq!(journal_in(dir.path()).torn().unwrap(), Vec::<u64>::new(), "a cut is no damage");
            let writer = journal_in(dir.path());
            writer.append(&Digest::of(b"other"), b"3", b"a").unwrap().sync().unwrap();
            assert_eq!(records(&writer), ["1", "3"], "appended after a cut at {cut}");
            assert_eq!(writer.torn().unwrap(), Vec::<u64>::new());
        }
        for at in one as usize..whole.len() {
            let mut edited = whole.clone();
            edited[at] ^= 1;
            fs_err::write(&path, &edited).unwrap();
            assert_eq!(records(&journal_in(dir.path())), ["1"], "edited at {at}");
            assert_eq!(journal_in(dir.path()).torn().unwrap(), [one], "edited at {at}");
        }
    }

    #[test]
    fn what_others_append_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let (reader, writer) = (journal_in(dir.path()), journal_in(dir.path()));
        let key = Digest::of(b"key");
        assert!(reader.find(&key, |line| Some(line.start)).unwrap().is_none());
        for record in [b"1", b"2"] {
            writer.append(&key, record, b"a").unwrap().sync().unwrap();
        }
        let mut starts = Vec::new();
        let mut take = |line: Line<'_>| {
            starts.push(line.start);
            (starts.len() == 2).then(|| line.record.to_owned())
        };
        assert_eq!(reader.find(&key, &mut take).unwrap().unwrap(), "1", "the older comes second");
        assert_eq!(reader.find_at(starts[0], |line| Some(line.record.to_owned())).unwrap().unwrap(), "2");
        assert_eq!(reader.find_at(starts[1], |line| Some(line.action.to_owned())).unwrap().unwrap(), "a");
        assert!(reader.find_at(1, |line| Some(line.start)).unwrap().is_none());
    }

    #[test]
    fn the_newest_is_what_this_process_has_appended() {
        let dir = tempfile::tempdir().unwrap();
        let journal = journal_in(dir.path());
        let key = Digest::of(b"key");
        for record in ["1", "2", "3"] {
            journal.append(&key, record.as_bytes(), b"a").unwrap().sync().unwrap();
            assert_eq!(journal.find(&key, |line| Some(line.record.to_owned())).unwrap().unwrap(), record);
        }
    }

    #[test]
    fn lines_are_found_wherever_they_stand_to_one_another() {
        let dir = tempfile::tempdir().unwrap();
        let journal = journal_in(dir.path());
        // Many lines in one window, a line that fills it, and one that is larger.
        let lens = (0..40).map(|at| at * 100).chain([WINDOW, 3 * WINDOW]).chain((0..40).map(|at| at * 50));
        let records: Vec<String> = lens.map(|len| "x".repeat(len)).collect();
        let key = |at: usize| Digest::of(&at.to_le_bytes());
        for (at, record) in records.iter().enumerate() {
            journal.append(&key(at), record.as_bytes(), b"a").unwrap().sync().unwrap();
        }
        let forward = 0..records.len();
        let strides = (0..records.len()).map(|at| at * 37 % records.len());
        for at in forward.clone().chain(forward.rev()).chain(strides) {
            assert_eq!(journal.find(&key(at), |line| Some(line.record == records[at])).unwrap(), Some(true), "{at}");
        }
    }
}
