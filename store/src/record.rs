//! Records: what a stage made, stored with its action.
//!
//! Both are in one line of the journal. A second record of the same fingerprint with other outputs means that the stage
//! is not deterministic: the first stays valid, the second is kept and marked.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Store;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::index::Open;
use crate::journal::Line;
use crate::publish::Unsynced;
use crate::tree::Member;

/// The arguments that name a record's workflow again. Not part of any fingerprint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Source {
    /// The workflow's file: relative to the folder that holds the store if it is below that folder, else absolute;
    /// empty in records of older programs.
    pub file: String,
    /// Its `--set` arguments.
    pub sets: Vec<String>,
    /// Its `--device`.
    pub device: String,
}

/// What a stage made, by fingerprint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The action's digest.
    pub fingerprint: Digest,
    /// The workflow that ran the stage first.
    pub workflow: String,
    /// The stage's name there.
    pub stage: String,
    /// The file of that workflow, and the arguments given with it.
    #[serde(default)]
    pub source: Source,
    /// The stage's kind.
    pub kind: String,
    /// Outputs by name.
    pub outputs: BTreeMap<String, OutputRecord>,
    /// Counts and means to show.
    pub summary: Map<String, Value>,
    /// The curve: an object of JSON lines, one a step.
    pub metrics: Option<Digest>,
    /// The worker's log.
    pub log: Option<Digest>,
    /// Wall-clock seconds of all attempts and segments that made it.
    pub seconds: f64,
    /// CPU seconds of these.
    pub cpu_seconds: f64,
    /// Steps that the last attempt ran.
    pub steps: u64,
    /// The device of its tensors: `cpu` or `cuda:N`.
    pub device: String,
    /// CPU threads.
    pub threads: usize,
    /// The processor's instruction sets, and which of them were used, as the worker reports them: other instructions
    /// may give other bits. `None` if the worker does not report them, and in records of older programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processor: Option<String>,
    /// When the stage finished, RFC 3339 in UTC.
    pub finished: String,
    /// False if the same action gave other outputs before.
    pub deterministic: bool,
}

/// An output of a record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutputRecord {
    /// The artifact's type.
    pub artifact: String,
    /// Its tree.
    pub digest: Digest,
    /// Bytes of all members.
    pub bytes: u64,
    /// The tree's members, so that checking their presence needs no reading of the tree.
    pub members: Vec<Member>,
}

/// The digest of each output of a stage, by its name.
pub type Outputs = Vec<(String, Digest)>;

impl Store {
    /// Stores a record with its action, durably. The objects that it names must be stored already.
    pub fn put_record(&self, record: &Record, action: &Value) -> Result<()> {
        self.write_record(record, action)?.sync()
    }

    /// Stores a record. It is durable only once the returned [`Unsynced`] and the objects that it names have been
    /// synced. A power cut before that may leave a record whose objects are missing; it counts as absent
    /// ([`Store::outputs_are_whole`]).
    pub fn write_record(&self, record: &Record, action: &Value) -> Result<Unsynced> {
        let mut record = record.clone();
        if let Some(first) = self.record(&record.fingerprint)?
            && outputs_differ(&first, &record)
            && self.outputs_are_whole(&first)
        {
            tracing::warn!(stage = record.stage, "the same action gave other bytes: the stage is not deterministic");
            record.deterministic = false;
        }
        let encode = |source| Error::Encode { path: self.root().to_owned(), source };
        let line = serde_json::to_vec(&record).map_err(encode)?;
        self.journal.append(&record.fingerprint, &line, &serde_json::to_vec(action).map_err(encode)?)
    }

    /// Returns the action document of a fingerprint that has a record.
    pub fn action(&self, fingerprint: &Digest) -> Result<Option<Value>> {
        self.journal.find(fingerprint, |line| serde_json::from_str(line.action).ok())
    }

    /// Returns the valid record of a fingerprint, the newest that is marked deterministic. A line with a wrong checksum
    /// counts as absent.
    pub fn record(&self, fingerprint: &Digest) -> Result<Option<Record>> {
        self.journal.find(fingerprint, |line| decode(line).filter(|record| record.deterministic))
    }

    /// Scans the whole journal, so that later calls need not.
    pub fn look_through_journal(&self) -> Result<()> {
        self.journal.look_through()
    }

    /// Returns the outputs of a fingerprint's valid record if all are present, which means that the stage is fresh.
    pub fn fresh_outputs(&self, fingerprint: &Digest) -> Result<Option<Outputs>> {
        self.outputs_if_present(fingerprint, |digest| self.is_intact(digest).unwrap_or(false))
    }

    /// Does the same as [`Store::fresh_outputs`] without reading any object, and may therefore be unsure.
    pub fn glance(&self, fingerprint: &Digest) -> Result<Glance> {
        let is_sure = Cell::new(true);
        let outputs = self.outputs_if_present(fingerprint, |_| {
            is_sure.set(false);
            true
        })?;
        Ok(match outputs {
            None => Glance::Stale,
            Some(_) if !is_sure.get() => Glance::Unsure,
            Some(outputs) => Glance::Fresh(outputs),
        })
    }

    /// `is_intact` decides about objects that are not read-only.
    fn outputs_if_present(&self, fingerprint: &Digest, is_intact: impl Fn(&Digest) -> bool) -> Result<Option<Outputs>> {
        let decode =
            |line: Line<'_>| serde_json::from_str(line.record).ok().filter(|brief: &Brief| brief.deterministic);
        let brief = self.journal.find(fingerprint, decode)?;
        let is_present = |output: &BriefOutput| {
            let members = output.members.iter().map(|member| (member.digest, member.size));
            self.are_present(&output.digest, members, &is_intact)
        };
        Ok(brief
            .filter(|brief| brief.outputs.values().all(is_present))
            .map(|brief| brief.outputs.into_iter().map(|(name, output)| (name, output.digest)).collect()))
    }

    /// Returns whether every output of a record is present.
    pub fn outputs_are_whole(&self, record: &Record) -> bool {
        record.outputs.values().all(|output| self.is_present(&output.digest, &output.members))
    }

    /// Returns the records that were made under a stage's name in any workflow, in the journal's order from the last
    /// on, because a clock may go back.
    pub fn records_of_stage(&self, stage: &str) -> Result<Vec<Record>> {
        let mut found: Vec<Record> = match self.index.get() {
            Some(open) => self.indexed(open, stage)?,
            None => self.all_records()?.into_iter().filter(|record| record.stage == stage).collect(),
        };
        found.reverse();
        Ok(found)
    }

    /// Returns every record by the name of its stage, each list in the journal's order from the last on.
    pub fn records_by_stage(&self) -> Result<HashMap<String, Vec<Record>>> {
        let mut by_stage: HashMap<_, Vec<Record>> = HashMap::new();
        for record in self.all_records()? {
            by_stage.entry(record.stage.clone()).or_default().push(record);
        }
        for records in by_stage.values_mut() {
            records.reverse();
        }
        Ok(by_stage)
    }

    /// Returns every record that can be read, oldest first.
    pub fn all_records(&self) -> Result<Vec<Record>> {
        let mut records = Vec::new();
        self.journal.each_from(0, |line| records.extend(decode(line)))?;
        Ok(records)
    }

    /// Returns the records of a stage by the index, which is first brought up to date. If the index fails, all records
    /// are read.
    fn indexed(&self, open: &Open, stage: &str) -> Result<Vec<Record>> {
        let starts = match self.catch_up(open)? {
            Ok(()) => starts_of(open, stage),
            Err(error) => Err(error),
        };
        let starts = match starts {
            Ok(starts) => starts,
            Err(error) => {
                tracing::debug!(error, "the index cannot be used");
                return Ok(self.all_records()?.into_iter().filter(|record| record.stage == stage).collect());
            }
        };
        let mut found = Vec::new();
        for start in starts {
            found.extend(self.journal.find_at(start, decode)?.filter(|record| record.stage == stage));
        }
        Ok(found)
    }

    /// Brings the index up to the journal's end. An index that has lost entries, which sled does not report, is
    /// rebuilt.
    fn catch_up(&self, open: &Open) -> Result<std::result::Result<(), String>> {
        let (mut covered, mut count) = match open.ask(covered) {
            Ok(known) => known,
            Err(error) => return Ok(Err(error)),
        };
        let mut keys = Vec::new();
        let end = self.journal.each_from(covered, |line| {
            keys.extend(
                decode(line).map(|record| format!("{}\0{}\0{:016x}", record.stage, record.finished, line.start)),
            );
        })?;
        (covered, count) = (end, count + keys.len() as u64);
        Ok(open.ask(|stages| {
            for key in keys {
                stages.insert(key.as_bytes(), &[])?;
            }
            stages.insert(COVERED, [covered.to_le_bytes(), count.to_le_bytes()].concat()).map(drop)
        }))
    }
}

/// Returns how many bytes of the journal the index covers, and its number of entries. If entries are missing, empties
/// the index and returns zeros.
fn covered(stages: &sled::Tree) -> sled::Result<(u64, u64)> {
    let number = |bytes: &[u8], at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
    let noted = stages.get(COVERED)?.and_then(|bytes| Some((number(&bytes, 0)?, number(&bytes, 8)?)));
    match noted {
        Some((end, count)) if stages.len() as u64 == count + 1 => Ok((end, count)),
        _ => stages.clear().map(|()| (0, 0)),
    }
}

/// Returns the byte offsets of the lines with a stage's records, in the journal's order.
fn starts_of(open: &Open, stage: &str) -> std::result::Result<Vec<u64>, String> {
    let prefix = format!("{stage}\0");
    let start = |key: &[u8]| {
        let text = std::str::from_utf8(key).ok()?;
        u64::from_str_radix(text.rsplit('\0').next()?, 16).ok()
    };
    open.ask(|stages| {
        let keys = stages.scan_prefix(prefix.as_bytes()).keys();
        let starts = keys.filter_map(|key| key.map(|key| start(&key)).transpose());
        let mut starts = starts.collect::<sled::Result<Vec<u64>>>()?;
        // Keys are sorted by time, but a clock may go back.
        starts.sort_unstable();
        Ok(starts)
    })
}

/// The key of the covered bytes: no stage has an empty name.
const COVERED: &[u8] = b"";

pub(crate) fn decode(line: Line<'_>) -> Option<Record> {
    serde_json::from_str(line.record).ok()
}

/// The result of [`Store::glance`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Glance {
    /// The stage is fresh; these are its outputs.
    Fresh(Outputs),
    /// The stage must run.
    Stale,
    /// Only [`Store::fresh_outputs`] can decide: an object is not read-only, so its bytes must be checked.
    Unsure,
}

/// The part of a [`Record`] that decides whether a stage is fresh; parsing skips the rest.
#[derive(Deserialize)]
struct Brief {
    outputs: BTreeMap<String, BriefOutput>,
    deterministic: bool,
}

#[derive(Deserialize)]
struct BriefOutput {
    digest: Digest,
    members: Vec<BriefMember>,
}

#[derive(Deserialize)]
struct BriefMember {
    digest: Digest,
    size: u64,
}

fn outputs_differ(one: &Record, two: &Record) -> bool {
    let digests = |record: &Record| record.outputs.iter().map(|(k, v)| (k.clone(), v.digest)).collect::<Vec<_>>();
    digests(one) != digests(two)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "tests remove what they have made")]

    use super::*;

    fn record(stage: &str, finished: &str, output: &[u8]) -> Record {
        let output =
            OutputRecord { artifact: "model".to_owned(), digest: Digest::of(output), bytes: 1, members: Vec::new() };
        Record {
            fingerprint: Digest::of(format!("{stage}{finished}").as_bytes()),
            workflow: "w".to_owned(),
            stage: stage.to_owned(),
            source: Source::default(),
            kind: "sft".to_owned(),
            outputs: BTreeMap::from([("model".to_owned(), output)]),
            summary: Map::new(),
            metrics: None,
            log: None,
            seconds: 1.5,
            cpu_seconds: 1.0,
            steps: 3,
            device: "cpu".to_owned(),
            threads: 1,
            processor: None,
            finished: finished.to_owned(),
            deterministic: true,
        }
    }

    #[test]
    fn the_journal_decides_what_is_newest_with_and_without_an_index() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        for (stage, finished) in [("a", "2026-01-01"), ("a", "2026-01-03"), ("b", "2026-01-02"), ("a", "2026-01-02")] {
            store.put_record(&record(stage, finished, b"x"), &Value::Null).unwrap();
        }
        let times = |store: &Store| -> Vec<_> {
            store.records_of_stage("a").unwrap().into_iter().map(|record| record.finished).collect()
        };
        let expected = ["2026-01-02", "2026-01-03", "2026-01-01"];
        assert_eq!(times(&store), expected);
        let second = Store::open(dir.path()).unwrap();
        assert_eq!(times(&second), expected, "the first holds the index");
        drop(second);
        let lose = |stages: &sled::Tree| {
            let lost = stages.scan_prefix(b"a").keys().next().unwrap()?;
            stages.remove(lost)
        };
        assert!(store.index.get().unwrap().ask(lose).unwrap().is_some());
        assert_eq!(times(&store), expected, "an entry is lost");
        drop(store);
        fs_err::remove_dir_all(dir.path().join("index")).unwrap();
        assert_eq!(times(&Store::open(dir.path()).unwrap()), expected, "the index is gone");
    }

    #[test]
    fn other_bytes_for_the_same_action_are_kept_beside_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        fs_err::create_dir_all(dir.path().join("in")).unwrap();
        let whole = store.adopt_dir(&dir.path().join("in")).unwrap();
        let mut first = record("a", "2026-01-01", b"x");
        first.outputs.get_mut("model").unwrap().digest = whole.digest;
        let mut second = first.clone();
        second.outputs.get_mut("model").unwrap().digest = Digest::of(b"other");
        store.put_record(&first, &Value::Null).unwrap();
        store.put_record(&second, &Value::Null).unwrap();
        assert_eq!(store.record(&first.fingerprint).unwrap(), Some(first));
        assert_eq!(store.all_records().unwrap().iter().filter(|record| !record.deterministic).count(), 1);
    }

    #[test]
    fn an_action_reads_as_written() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let document = serde_json::json!({"kind": "sft", "params": {"lr": 1e-4, "text": "tab\tand\nline"}});
        let record = record("a", "2026-01-01", b"x");
        assert_eq!(store.action(&record.fingerprint).unwrap(), None);
        store.put_record(&record, &document).unwrap();
        assert_eq!(store.action(&record.fingerprint).unwrap(), Some(document));
        assert_eq!(store.record(&record.fingerprint).unwrap(), Some(record));
    }
}
