//! Actions and records: what decided a stage's outputs, and which they are.
//!
//! A record is one JSON line with a checksum of its body in front, so that a torn or edited file is a miss and never
//! a wrong answer. A second record of the same fingerprint with other outputs means that the stage is not
//! deterministic: the first stays in force, the other is kept beside it and marked.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::{Store, layout, publish};

/// What a stage made, by fingerprint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The action's digest.
    pub fingerprint: Digest,
    /// The workflow that ran it first.
    pub workflow: String,
    /// The stage's name there.
    pub stage: String,
    /// Its kind.
    pub kind: String,
    /// Outputs by name.
    pub outputs: BTreeMap<String, OutputRecord>,
    /// Counts and means worth showing.
    pub summary: Map<String, Value>,
    /// The curve: an object of JSON lines, one a step.
    pub metrics: Option<Digest>,
    /// The worker's log.
    pub log: Option<Digest>,
    /// Wall time of all attempts and segments that made it.
    pub seconds: f64,
    /// CPU time of the same.
    pub cpu_seconds: f64,
    /// Steps that the last attempt ran.
    pub steps: u64,
    /// When, RFC 3339 in UTC.
    pub finished: String,
    /// False when the same action has given other outputs, too.
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
}

impl Store {
    /// Stores the document of an action under its fingerprint.
    pub fn put_action(&self, fingerprint: &Digest, document: &Value) -> Result<()> {
        let path = layout::action(self.root(), fingerprint);
        if path.exists() {
            return Ok(());
        }
        publish::replace(&layout::tmp(self.root()), &path, &encode(&path, document)?)
    }

    /// Returns the document of an action.
    pub fn action(&self, fingerprint: &Digest) -> Result<Option<Value>> {
        let Some(bytes) = read_if_there(&layout::action(self.root(), fingerprint))? else { return Ok(None) };
        Ok(serde_json::from_slice(&bytes).ok())
    }

    /// Stores a record, durably. Objects and trees that it names must be stored before.
    pub fn put_record(&self, record: &Record) -> Result<()> {
        let path = layout::record(self.root(), &record.fingerprint);
        let mut record = record.clone();
        let mut path = path.as_path();
        let aside;
        if let Some(first) = self.record(&record.fingerprint)?
            && outputs_differ(&first, &record)
            && self.outputs_are_whole(&first)
        {
            tracing::warn!(stage = record.stage, "the same action gave other bytes: the stage is not deterministic");
            record.deterministic = false;
            aside = path.with_extension(format!("{}.json", publish::unique()));
            path = &aside;
        }
        let body = encode(path, &record)?;
        let mut bytes = Digest::of(&body).hex().into_bytes();
        bytes.push(b' ');
        bytes.extend(body);
        publish::replace(&layout::tmp(self.root()), path, &bytes)?;
        if let Some(open) = self.index.get()
            && let Err(error) = open.stages.insert(index_key(&record), &[])
        {
            tracing::warn!(%error, "the index takes no more entries");
        }
        Ok(())
    }

    /// Returns the record of a fingerprint. One that does not match its checksum counts as absent.
    pub fn record(&self, fingerprint: &Digest) -> Result<Option<Record>> {
        let path = layout::record(self.root(), fingerprint);
        Ok(read_if_there(&path)?.and_then(|bytes| decode(&path, &bytes)))
    }

    /// Returns whether every output of a record is present.
    pub fn outputs_are_whole(&self, record: &Record) -> bool {
        record.outputs.values().all(|output| self.is_whole(&output.digest))
    }

    /// Returns the records that were made under a stage's name, of whatever workflow, newest first.
    pub fn records_of_stage(&self, stage: &str) -> Result<Vec<Record>> {
        let mut found: Vec<_> = match self.fingerprints_of_stage(stage)? {
            Some(fingerprints) => {
                let records = fingerprints.iter().map(|fingerprint| self.record(fingerprint));
                records.filter_map(Result::transpose).collect::<Result<_>>()?
            }
            None => self.all_records()?.into_iter().filter(|record| record.stage == stage).collect(),
        };
        found.sort_by(|a, b| b.finished.cmp(&a.finished));
        Ok(found)
    }

    /// Returns every record by the name of its stage, newest first, from the files alone.
    pub fn records_by_stage(&self) -> Result<HashMap<String, Vec<Record>>> {
        let mut by_stage: HashMap<_, Vec<Record>> = HashMap::new();
        for record in self.all_records()? {
            by_stage.entry(record.stage.clone()).or_default().push(record);
        }
        for records in by_stage.values_mut() {
            records.sort_by(|a, b| b.finished.cmp(&a.finished));
        }
        Ok(by_stage)
    }

    /// Returns every record that can be read.
    pub fn all_records(&self) -> Result<Vec<Record>> {
        let mut records = Vec::new();
        for path in record_files(self.root())? {
            records.extend(read_if_there(&path)?.and_then(|bytes| decode(&path, &bytes)));
        }
        Ok(records)
    }

    /// Asks the index, after checking that it has seen every record file; `None` when there is no index.
    fn fingerprints_of_stage(&self, stage: &str) -> Result<Option<Vec<Digest>>> {
        let Some(open) = self.index.get() else { return Ok(None) };
        if open.stages.len() != record_files(self.root())?.len() {
            self.rebuild_index(open)?;
        }
        let prefix = format!("{stage}\0");
        let keys = open.stages.scan_prefix(prefix.as_bytes()).keys().filter_map(std::result::Result::ok);
        let hexes = keys.filter_map(|key| String::from_utf8(key.to_vec()).ok());
        Ok(Some(hexes.filter_map(|key| format!("b3:{}", key.rsplit('\0').next()?).parse().ok()).collect()))
    }

    fn rebuild_index(&self, open: &crate::index::Open) -> Result<()> {
        let cleared = open.stages.clear();
        for record in self.all_records()? {
            if let Err(error) = cleared.clone().and_then(|()| open.stages.insert(index_key(&record), &[])) {
                tracing::warn!(%error, "the index cannot be built");
                break;
            }
        }
        Ok(())
    }
}

fn index_key(record: &Record) -> Vec<u8> {
    format!("{}\0{}\0{}", record.stage, record.finished, record.fingerprint.hex()).into_bytes()
}

fn outputs_differ(one: &Record, two: &Record) -> bool {
    let digests = |record: &Record| record.outputs.iter().map(|(k, v)| (k.clone(), v.digest)).collect::<Vec<_>>();
    digests(one) != digests(two)
}

fn record_files(root: &Path) -> Result<Vec<std::path::PathBuf>> {
    let mut files = Vec::new();
    for fan in fs_err::read_dir(layout::records(root))? {
        for file in fs_err::read_dir(fan?.path())? {
            files.push(file?.path());
        }
    }
    Ok(files)
}

pub(crate) fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(_) => Ok(Some(fs_err::read(path)?)),
    }
}

fn encode<T: Serialize>(path: &Path, value: &T) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|source| Error::Encode { path: path.to_owned(), source })
}

fn decode(path: &Path, bytes: &[u8]) -> Option<Record> {
    let decoded = bytes
        .split_at_checked(65)
        .filter(|(sum, body)| sum[..64] == *Digest::of(body).hex().as_bytes())
        .and_then(|(_, body)| serde_json::from_slice(body).ok());
    if decoded.is_none() {
        tracing::warn!(path = %path.display(), "a record is torn or edited and counts as absent");
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(stage: &str, finished: &str, output: &[u8]) -> Record {
        let output = OutputRecord { artifact: "model".to_owned(), digest: Digest::of(output), bytes: 1 };
        Record {
            fingerprint: Digest::of(format!("{stage}{finished}").as_bytes()),
            workflow: "w".to_owned(),
            stage: stage.to_owned(),
            kind: "sft".to_owned(),
            outputs: BTreeMap::from([("model".to_owned(), output)]),
            summary: Map::new(),
            metrics: None,
            log: None,
            seconds: 1.5,
            cpu_seconds: 1.0,
            steps: 3,
            finished: finished.to_owned(),
            deterministic: true,
        }
    }

    #[test]
    fn newest_first_with_and_without_an_index() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        for (stage, finished) in [("a", "2026-01-01"), ("a", "2026-01-03"), ("b", "2026-01-02"), ("a", "2026-01-02")] {
            store.put_record(&record(stage, finished, b"x")).unwrap();
        }
        let times = |store: &Store| -> Vec<_> {
            store.records_of_stage("a").unwrap().into_iter().map(|record| record.finished).collect()
        };
        let expected = ["2026-01-03", "2026-01-02", "2026-01-01"];
        assert_eq!(times(&store), expected);
        let second = Store::open(dir.path()).unwrap();
        assert_eq!(times(&second), expected, "the first holds the index");
        drop((store, second));
        fs_err::remove_dir_all(dir.path().join("index")).unwrap();
        assert_eq!(times(&Store::open(dir.path()).unwrap()), expected, "the index is gone");
    }

    #[test]
    fn a_torn_record_is_a_miss() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let record = record("a", "2026-01-01", b"x");
        store.put_record(&record).unwrap();
        assert_eq!(store.record(&record.fingerprint).unwrap(), Some(record.clone()));
        let path = layout::record(store.root(), &record.fingerprint);
        let bytes = fs_err::read(&path).unwrap();
        for length in 0..bytes.len() {
            fs_err::write(&path, &bytes[..length]).unwrap();
            assert_eq!(store.record(&record.fingerprint).unwrap(), None, "cut at {length}");
        }
        let text = String::from_utf8(bytes).unwrap().replace("\"seconds\":1.5", "\"seconds\":9.5");
        fs_err::write(&path, text).unwrap();
        assert_eq!(store.record(&record.fingerprint).unwrap(), None, "edited");
    }

    #[test]
    fn other_bytes_for_the_same_action_are_kept_beside_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        fs_err::create_dir_all(dir.path().join("in")).unwrap();
        let whole = store.put_dir(&dir.path().join("in")).unwrap();
        let mut first = record("a", "2026-01-01", b"x");
        first.outputs.get_mut("model").unwrap().digest = whole.digest;
        let mut second = first.clone();
        second.outputs.get_mut("model").unwrap().digest = Digest::of(b"other");
        store.put_record(&first).unwrap();
        store.put_record(&second).unwrap();
        assert_eq!(store.record(&first.fingerprint).unwrap(), Some(first));
        assert_eq!(store.all_records().unwrap().iter().filter(|record| !record.deterministic).count(), 1);
    }

    #[test]
    fn an_action_reads_as_written() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let document = serde_json::json!({"kind": "sft", "params": {"lr": 1e-4}});
        let key = Digest::of(b"action");
        assert_eq!(store.action(&key).unwrap(), None);
        store.put_action(&key, &document).unwrap();
        assert_eq!(store.action(&key).unwrap(), Some(document));
    }
}
