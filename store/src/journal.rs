//! The journal of records: one append-only file, a line for each stage that was ever done.
//!
//! ```text
//! <checksum of the rest, 64 hex> <fingerprint, 64 hex> <record, JSON> \t <action, JSON> \n
//! ```
//! A line is written at once; nothing is ever rewritten. A line that was cut off or edited does not match its
//! checksum and counts as absent; the next line begins on a line of its own. Only places of lines are kept in memory:
//! what a line says is read when somebody asks.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard};

use crate::digest::Digest;
use crate::error::Result;
use crate::publish::Unsynced;

/// Hex digits of a digest.
const HEX: usize = 64;
/// Where the record begins in a line.
const BODY: usize = 2 * (HEX + 1);

/// The file, with what has been seen of it.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    file: Option<File>,
    /// Bytes that have been looked through: whole lines only.
    end: u64,
    lines: Vec<Place>,
    /// The last line of each fingerprint.
    newest: HashMap<Digest, usize>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    start: u64,
    len: usize,
    /// The line before it of the same fingerprint.
    previous: Option<usize>,
}

/// A line whose checksum holds.
#[derive(Debug)]
pub(crate) struct Line {
    bytes: Vec<u8>,
    /// Where the tab stands.
    tab: usize,
    /// Where it begins in the file.
    pub(crate) start: u64,
}

impl Line {
    pub(crate) fn record(&self) -> &[u8] {
        &self.bytes[BODY..self.tab]
    }

    pub(crate) fn action(&self) -> &[u8] {
        &self.bytes[self.tab + 1..]
    }
}

impl Journal {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, seen: Mutex::default() }
    }

    /// Appends a line; durably once what is returned has been synced. `record` and `action` are JSON without line breaks or
    /// tabs.
    pub(crate) fn append(&self, fingerprint: &Digest, record: &[u8], action: &[u8]) -> Result<Unsynced> {
        let mut rest = fingerprint.hex().into_bytes();
        for part in [b" ", record, b"\t", action] {
            rest.extend_from_slice(part);
        }
        let mut line = Digest::of(&rest).hex().into_bytes();
        line.push(b' ');
        line.extend(rest);
        line.push(b'\n');
        let mut file = fs_err::OpenOptions::new().create(true).read(true).append(true).open(&self.path)?;
        // Held until the file is closed: two writers on a network file system would mix their lines.
        file.file().lock()?;
        let len = file.metadata()?.len();
        let mut last = [b'\n'];
        if len > 0 {
            file.file().read_exact_at(&mut last, len - 1)?;
        }
        if last != [b'\n'] {
            line.insert(0, b'\n');
        }
        file.write_all(&line)?;
        Ok(Unsynced::of([self.path.clone()]))
    }

    /// Returns the whole lines of a fingerprint, newest first.
    pub(crate) fn lines_of(&self, fingerprint: &Digest) -> Result<Vec<Line>> {
        let mut seen = self.open()?;
        // What is known is as good as what others may have appended since: equal actions give equal records.
        if !seen.newest.contains_key(fingerprint) {
            seen.catch_up()?;
        }
        let mut found = Vec::new();
        let mut at = seen.newest.get(fingerprint).copied();
        while let Some(index) = at {
            let place = seen.lines[index];
            found.extend(seen.read(place)?);
            at = place.previous;
        }
        Ok(found)
    }

    /// Calls `take` with every whole line that begins at `start` or later, oldest first, and returns the end.
    pub(crate) fn each_from(&self, start: u64, mut take: impl FnMut(Line) -> Result<()>) -> Result<u64> {
        let seen = self.look()?;
        let first = seen.lines.partition_point(|place| place.start < start);
        for place in &seen.lines[first..] {
            if let Some(line) = seen.read(*place)? {
                take(line)?;
            }
        }
        Ok(seen.end)
    }

    /// Returns the line that begins at `start` if there is one and it is whole.
    pub(crate) fn line_at(&self, start: u64) -> Result<Option<Line>> {
        let seen = self.look()?;
        match seen.lines.binary_search_by_key(&start, |place| place.start) {
            Ok(index) => seen.read(seen.lines[index]),
            Err(_) => Ok(None),
        }
    }

    /// Looks through what has been appended since the last time, by whomever.
    fn look(&self) -> Result<MutexGuard<'_, Seen>> {
        let mut seen = self.open()?;
        seen.catch_up()?;
        Ok(seen)
    }

    fn open(&self) -> Result<MutexGuard<'_, Seen>> {
        let mut seen = self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if seen.file.is_none() {
            if !self.path.exists() {
                return Ok(seen);
            }
            seen.file = Some(fs_err::File::open(&self.path)?.into_parts().0);
        }
        Ok(seen)
    }
}

impl Seen {
    fn catch_up(&mut self) -> Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        if file.metadata()?.len() <= self.end {
            return Ok(());
        }
        let mut reader = BufReader::with_capacity(1 << 16, file);
        reader.seek(SeekFrom::Start(self.end))?;
        let mut line = Vec::new();
        loop {
            line.clear();
            // What has no end yet is looked at again next time.
            if reader.read_until(b'\n', &mut line)? == 0 || line.last() != Some(&b'\n') {
                return Ok(());
            }
            if let Some(fingerprint) = fingerprint(&line) {
                let index = self.lines.len();
                let previous = self.newest.insert(fingerprint, index);
                self.lines.push(Place { start: self.end, len: line.len() - 1, previous });
            } else if line.len() > 1 {
                tracing::warn!(at = self.end, "a line of the journal is torn and counts as absent");
            }
            self.end += line.len() as u64;
        }
    }

    fn read(&self, place: Place) -> Result<Option<Line>> {
        let Some(file) = &self.file else { return Ok(None) };
        let mut bytes = vec![0; place.len];
        file.read_exact_at(&mut bytes, place.start)?;
        let is_whole = bytes[..HEX] == *Digest::of(&bytes[HEX + 1..]).hex().as_bytes() && bytes[HEX] == b' ';
        let tab = bytes.iter().position(|byte| *byte == b'\t').filter(|tab| is_whole && *tab >= BODY);
        if tab.is_none() {
            tracing::warn!(at = place.start, "a line of the journal is torn or edited and counts as absent");
        }
        Ok(tab.map(|tab| Line { bytes, tab, start: place.start }))
    }
}

/// Reads the fingerprint out of a line, without a look at the rest.
fn fingerprint(line: &[u8]) -> Option<Digest> {
    let hex = std::str::from_utf8(line.get(HEX + 1..BODY - 1)?).ok()?;
    Digest::from_hex(hex)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(journal: &Journal) -> Vec<String> {
        let mut found = Vec::new();
        let take = |line: Line| {
            found.push(String::from_utf8_lossy(line.record()).into_owned());
            Ok(())
        };
        journal.each_from(0, take).unwrap();
        found
    }

    #[test]
    fn a_torn_line_costs_that_line_and_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("records.jsonl");
        let key = Digest::of(b"key");
        let journal = Journal::new(path.clone());
        journal.append(&key, b"1", b"a").unwrap().sync().unwrap();
        let one = fs_err::metadata(&path).unwrap().len();
        journal.append(&key, b"2", b"a").unwrap().sync().unwrap();
        let whole = fs_err::read(&path).unwrap();
        for cut in one as usize..whole.len() - 1 {
            fs_err::write(&path, &whole[..cut]).unwrap();
            assert_eq!(records(&Journal::new(path.clone())), ["1"], "cut at {cut}");
            let writer = Journal::new(path.clone());
            writer.append(&Digest::of(b"other"), b"3", b"a").unwrap().sync().unwrap();
            assert_eq!(records(&writer), ["1", "3"], "appended after a cut at {cut}");
        }
        for at in one as usize..whole.len() - 1 {
            let mut edited = whole.clone();
            edited[at] ^= 1;
            fs_err::write(&path, &edited).unwrap();
            assert_eq!(records(&Journal::new(path.clone())), ["1"], "edited at {at}");
        }
    }

    #[test]
    fn what_others_append_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("records.jsonl");
        let (reader, writer) = (Journal::new(path.clone()), Journal::new(path));
        let key = Digest::of(b"key");
        assert!(reader.lines_of(&key).unwrap().is_empty());
        for record in [b"1", b"2"] {
            writer.append(&key, record, b"a").unwrap().sync().unwrap();
        }
        assert_eq!(reader.lines_of(&key).unwrap()[0].record(), b"2");
        let starts: Vec<u64> = reader.lines_of(&key).unwrap().iter().map(|line| line.start).collect();
        assert_eq!(starts.len(), 2);
        assert_eq!(reader.line_at(starts[0]).unwrap().unwrap().record(), b"2");
        assert_eq!(reader.line_at(starts[1]).unwrap().unwrap().action(), b"a");
    }
}
