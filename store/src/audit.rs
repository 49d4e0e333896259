//! The audit: reads every stored byte, whichever workflow it belongs to.
//!
//! It compares objects with their names, lines of the journal with their checksums, and checkpoints and rows with their
//! seals and trees. Damaged objects are moved to quarantine, so that no later command uses them. Three things are not
//! damage: objects that a collection was told to remove (`Keep::only`), half an object that nothing refers to, because a
//! power cut may leave one of unacknowledged work, and a log or curve that it has left empty or not at all: the stage's
//! outputs are there, so it is not run again for them.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::PathBuf;

use rustix::fs::FileType;
use serde::Serialize;

use crate::Store;
use crate::checkpoint::CheckpointRecord;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::layout::{self, digest_of};
use crate::record::{self, OutputRecord};
use crate::rows::RowsRecord;

/// The result of an audit.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Audit {
    /// Objects read.
    pub objects: usize,
    /// Bytes of these objects.
    pub bytes: u64,
    /// Records, checkpoints and parts of rows read.
    pub entries: usize,
    /// Everything that is not as it was written.
    pub damaged: Vec<Damage>,
    /// Stages whose outputs were damaged, each as `workflow: stage`: the next `apply` runs them again.
    pub stages: BTreeSet<String>,
}

/// Something that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Damage {
    /// Its path, relative to the store.
    pub path: PathBuf,
    /// What is wrong, in a few words.
    pub what: String,
}

/// An object that does not match its name.
struct Bad {
    path: PathBuf,
    what: String,
    /// In bytes.
    size: u64,
}

impl Store {
    /// Reads every stored byte. Calls `on_object` with the size of each object after reading it.
    pub fn audit(&self, mut on_object: impl FnMut(u64)) -> Result<Audit> {
        let mut audit = Audit::default();
        let mut bad = BTreeMap::new();
        for (prefix, sort) in self.root.entries(layout::objects())? {
            let objects = if sort == FileType::Directory { self.root.entries(&prefix)? } else { Vec::new() };
            if sort != FileType::Directory {
                audit.push(prefix, "it is not the store's");
            }
            for (path, sort) in objects {
                let Some(digest) = digest_of(&path).filter(|_| sort == FileType::RegularFile) else {
                    audit.push(path, "it is no object of the store");
                    continue;
                };
                let size = self.root.stat(&path)?.map_or(0, |found| found.st_size as u64);
                match self.check_bytes(&digest) {
                    Ok(()) => {
                        audit.objects += 1;
                        audit.bytes += size;
                    }
                    // A collection has removed it meanwhile.
                    Err(Error::Io(error)) if error.kind() == std::io::ErrorKind::NotFound => {}
                    Err(error) => {
                        bad.insert(digest, Bad { path, what: error.to_string(), size });
                    }
                }
                on_object(size);
            }
        }
        if !bad.is_empty() {
            let used = self.used(&HashSet::new(), None)?;
            bad.retain(|digest, _| used.contains(digest));
        }
        if bad.values().any(|found| found.size == 0) {
            let beside = self.logs_and_curves()?;
            bad.retain(|digest, found| found.size > 0 || !beside.contains(digest));
        }
        for Bad { path, what, .. } in bad.values() {
            audit.push(path.clone(), what);
        }
        self.audit_records(&bad.into_keys().collect(), &mut audit)?;
        self.audit_checkpoints(&mut audit)?;
        self.audit_rows(&mut audit)?;
        Ok(audit)
    }

    /// Returns the objects that are the log or the curve of a record.
    fn logs_and_curves(&self) -> Result<HashSet<Digest>> {
        let mut found = HashSet::new();
        self.journal.each_from(0, |line| {
            let record = record::decode(line);
            found.extend(record.into_iter().flat_map(|record| record.log.into_iter().chain(record.metrics)));
        })?;
        Ok(found)
    }

    fn audit_records(&self, bad: &HashSet<Digest>, audit: &mut Audit) -> Result<()> {
        let (mut whole, mut unread, mut missing) = (0, Vec::new(), BTreeMap::<_, BTreeSet<_>>::new());
        self.journal.each_from(0, |line| {
            let Some(record) = record::decode(line) else {
                unread.push(line.start);
                return;
            };
            whole += 1;
            let stage = format!("{}: {}", record.workflow, record.stage);
            let members = |output: &OutputRecord| output.members.iter().map(|it| it.digest).collect::<Vec<_>>();
            let outputs = record.outputs.values().flat_map(|output| members(output).into_iter().chain([output.digest]));
            for digest in outputs {
                if bad.contains(&digest) {
                    audit.stages.insert(stage.clone());
                } else if !self.has(&digest) {
                    missing.entry(digest).or_default().insert(stage.clone());
                }
            }
        })?;
        audit.entries += whole;
        for start in self.journal.torn()?.into_iter().chain(unread) {
            audit.push(layout::journal().to_owned(), &format!("the line at byte {start} is torn or altered"));
        }
        // Read last, because a collection that runs meanwhile lists objects before it removes them.
        let collected = if missing.is_empty() { HashSet::new() } else { self.collected()? };
        for (digest, stages) in missing.into_iter().filter(|(digest, _)| !collected.contains(digest)) {
            audit.push(layout::object(&digest), "it is missing");
            audit.stages.extend(stages);
        }
        Ok(())
    }

    fn audit_checkpoints(&self, audit: &mut Audit) -> Result<()> {
        for key in self.keys(layout::all_checkpoints())? {
            for (path, _) in self.root.entries(&layout::checkpoints(&key))? {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                if name.ends_with(".digest") {
                    self.audit_sealed::<serde_json::Value>(path, |_| None, audit)?;
                } else if let Some(step) = name.strip_suffix(".json") {
                    let step = step.to_owned();
                    let tree = move |it: &CheckpointRecord| (it.step.to_string() == step).then_some(it.tree.digest);
                    self.audit_sealed(path, tree, audit)?;
                }
            }
        }
        Ok(())
    }

    fn audit_rows(&self, audit: &mut Audit) -> Result<()> {
        for key in self.keys(layout::all_rows())? {
            for (path, _) in self.root.entries(&layout::rows(&key))? {
                self.audit_sealed(path, |part: &RowsRecord| Some(part.tree.digest), audit)?;
            }
        }
        Ok(())
    }

    fn audit_sealed<T: serde::de::DeserializeOwned>(
        &self,
        path: PathBuf,
        tree: impl Fn(&T) -> Option<Digest>,
        audit: &mut Audit,
    ) -> Result<()> {
        let Some(value) = self.sealed::<T>(&path)? else {
            // If the file is gone, it has just been retired.
            if self.root.stat(&path)?.is_some() {
                audit.push(path, "it is torn or altered");
            }
            return Ok(());
        };
        audit.entries += 1;
        if tree(&value).is_some_and(|tree| !self.is_whole(&tree)) && self.root.stat(&path)?.is_some() {
            audit.push(path, "objects that it names are missing or damaged");
        }
        Ok(())
    }
}

impl Audit {
    fn push(&mut self, path: PathBuf, what: &str) {
        self.damaged.push(Damage { path, what: what.to_owned() });
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "tests remove what they have made")]

    use serde_json::{Value, json};

    use super::*;
    use crate::checkpoint::checkpoint_file;

    #[test]
    fn a_flipped_bit_anywhere_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let key = Digest::of(b"key");
        let attempt = store.new_attempt_dir("a").unwrap();
        fs_err::write(attempt.path().join("state"), b"weights").unwrap();
        let tree = store.adopt_dir(attempt.path()).unwrap();
        store.put_checkpoint(&key, 3, &tree, Value::Null).unwrap();
        store.put_checkpoint(&key, 4, &tree, Value::Null).unwrap();
        store.retire_checkpoint(&key, 4).unwrap();
        store.put_rows(&key, &RowsRecord { tree, rows: 2 }).unwrap();
        let record = json!({ "fingerprint": key, "workflow": "w", "stage": "a", "kind": "sft", "outputs": { "model":
            { "artifact": "model", "digest": tree.digest, "bytes": 7,
              "members": store.tree(&tree.digest).unwrap().members } },
            "summary": {}, "metrics": null, "log": null, "seconds": 1.0, "cpu_seconds": 1.0, "steps": 3,
            "device": "cpu", "threads": 1, "finished": "2026-01-01", "deterministic": true });
        store.put_record(&serde_json::from_value(record.clone()).unwrap(), &Value::Null).unwrap();
        let audit = store.audit(|_| ()).unwrap();
        assert_eq!((audit.objects, audit.entries, audit.damaged.len()), (2, 4, 0), "{audit:?}");

        let files = [
            store.object_path(&Digest::of(b"weights")),
            store.object_path(&tree.digest),
            store.root().join(checkpoint_file(&key, 3)),
            store.root().join(layout::checkpoints(&key).join("4.digest")),
            store.root().join(layout::rows(&key).join(format!("{}.json", tree.digest.hex()))),
            store.root().join(layout::journal()),
        ];
        for file in files {
            let whole = fs_err::read(&file).unwrap();
            for at in 0..whole.len() {
                let mut flipped = whole.clone();
                flipped[at] ^= 1 << (at % 8);
                fs_err::remove_file(&file).unwrap();
                fs_err::write(&file, &flipped).unwrap();
                let audit = Store::open(dir.path()).unwrap().audit(|_| ()).unwrap();
                assert!(!audit.damaged.is_empty(), "{} at {at}", file.display());
                let is_object = file.to_string_lossy().contains("objects");
                assert_eq!(audit.stages.contains("w: a"), is_object, "{} at {at}", file.display());
                fs_err::write(&file, &whole).unwrap();
            }
        }
        for gone in ["weights".as_bytes(), &fs_err::read(store.object_path(&tree.digest)).unwrap()] {
            let path = store.object_path(&Digest::of(gone));
            fs_err::remove_file(&path).unwrap();
            let audit = store.audit(|_| ()).unwrap();
            assert!(
                audit.stages.contains("w: a") && audit.damaged.iter().any(|it| it.what == "it is missing"),
                "{audit:?}"
            );
            fs_err::write(&path, gone).unwrap();
        }
        let orphan = store.object_path(&store.put_bytes(b"of a run that a power cut has ended").unwrap());
        fs_err::remove_file(&orphan).unwrap();
        fs_err::write(&orphan, b"").unwrap();
        assert_eq!(store.audit(|_| ()).unwrap().damaged, []);
        // The journal was written anew above.
        let store = Store::open(dir.path()).unwrap();
        let mut with_log: crate::Record = serde_json::from_value(record).unwrap();
        with_log.log = Some(store.put_bytes(b"a log that a power cut has emptied").unwrap());
        with_log.fingerprint = Digest::of(b"another");
        store.put_record(&with_log, &Value::Null).unwrap();
        let log = store.object_path(&with_log.log.unwrap());
        for rest in [&b""[..], b"half a log"] {
            fs_err::remove_file(&log).unwrap();
            fs_err::write(&log, rest).unwrap();
            let damaged = store.audit(|_| ()).unwrap().damaged;
            assert_eq!(damaged.is_empty(), rest.is_empty(), "{damaged:?}");
            // It is in quarantine now, and lost: that is said once.
            assert_eq!(store.audit(|_| ()).unwrap().damaged, []);
            fs_err::write(&log, b"").unwrap();
        }
        fs_err::write(dir.path().join("objects/stray"), b"").unwrap();
        let damaged = store.audit(|_| ()).unwrap().damaged;
        assert_eq!(damaged.iter().map(|it| it.path.to_str().unwrap()).collect::<Vec<_>>(), ["objects/stray"]);
    }
}
