//! Collection: objects that nothing refers to any more are removed.
//!
//! What a record, a checkpoint or rows refer to stays; nothing else is an artifact. Whoever knows which of those are still
//! of use may let the others go as well ([`Keep::only`]): their lines stay in the journal, which is never rewritten, and
//! say what there was, but without its outputs a record counts as absent. An object comes before what refers to
//! it, so whoever makes one holds the store from before the object until after the reference ([`Store::hold`]), and a
//! collection works only while nobody does.

use std::collections::HashSet;
use std::fs::File;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::digest::Digest;
use crate::error::Result;
use crate::record::{Record, decode, read_if_there};
use crate::{Store, layout};

/// The right to make objects that nothing refers to yet, until dropped; any number at a time.
#[derive(Debug)]
pub struct Hold {
    _file: File,
}

/// What a collection leaves of what is referred to.
#[derive(Clone, Debug, Default)]
pub struct Keep {
    /// The newest checkpoints of each trajectory; all unless given. Of the others the digests stay.
    pub checkpoints: Option<usize>,
    /// What alone is of use; everything unless given.
    pub only: Option<Alive>,
}

/// Some of what a store holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Alive {
    /// Fingerprints of records.
    pub records: HashSet<Digest>,
    /// Keys of checkpoints.
    pub checkpoints: HashSet<Digest>,
    /// Keys of rows.
    pub rows: HashSet<Digest>,
}

/// What a collection has removed, or would remove.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Collected {
    /// Number of records that lose outputs.
    pub records: usize,
    /// Number of checkpoints.
    pub checkpoints: usize,
    /// Number of objects.
    pub objects: usize,
    /// Their bytes.
    pub bytes: u64,
}

impl Store {
    /// Keeps objects from being collected. Waits while a collection is at work, and blocks the thread meanwhile.
    pub fn hold(&self) -> Result<Hold> {
        let file = self.collection_lock()?;
        file.lock_shared()?;
        Ok(Hold { _file: file })
    }

    /// Forgets the checkpoints and rows that are not to be kept, then removes every object that nothing refers to. Returns
    /// how much that was; `is_dry` only counts. Waits while anybody holds the store, and blocks the thread meanwhile.
    pub fn collect(&self, keep: &Keep, is_dry: bool) -> Result<Collected> {
        let _alone = self.alone()?;
        let forgotten = self.superfluous(keep)?;
        let only = keep.only.as_ref();
        let used = self.used(&forgotten, only)?;
        let mut collected = Collected { checkpoints: forgotten.len(), ..Collected::default() };
        if let Some(only) = only {
            collected.records = self.losers(only, &used)?;
        }
        if !is_dry {
            forgotten.iter().try_for_each(|(key, step)| self.forget_checkpoint(key, *step))?;
            for key in self.keys("rows")?.iter().filter(|key| !keeps_rows(only, key)) {
                fs_err::remove_dir_all(layout::rows(self.root(), key))?;
            }
        }
        for folder in fs_err::read_dir(layout::objects(self.root()))? {
            for object in fs_err::read_dir(folder?.path())? {
                let path = object?.path();
                if digest_of(&path).is_some_and(|digest| !used.contains(&digest)) {
                    collected.take(path, is_dry)?;
                }
            }
        }
        Ok(collected)
    }

    /// Removes those of these objects that nothing refers to.
    pub(crate) fn collect_among(&self, candidates: &HashSet<Digest>) -> Result<()> {
        let _alone = self.alone()?;
        for digest in candidates.difference(&self.used(&HashSet::new(), None)?) {
            let path = self.object_path(digest);
            if path.exists() {
                fs_err::remove_file(path)?;
            }
        }
        Ok(())
    }

    /// Returns the checkpoints that are not to be kept.
    fn superfluous(&self, keep: &Keep) -> Result<HashSet<(Digest, u64)>> {
        let mut found = HashSet::new();
        for key in self.keys("checkpoints")? {
            let is_alive = keep.only.as_ref().is_none_or(|only| only.checkpoints.contains(&key));
            let kept = if is_alive { keep.checkpoints.unwrap_or(usize::MAX) } else { 0 };
            let newest_first = self.checkpoint_steps(&key)?.into_iter().rev();
            found.extend(newest_first.skip(kept).map(|step| (key, step)));
        }
        Ok(found)
    }

    /// Returns the number of whole records, beside those that are to be kept, that need an object which is not in `used`.
    fn losers(&self, only: &Alive, used: &HashSet<Digest>) -> Result<usize> {
        let loses = |record: &Record| {
            let mut outputs = record.outputs.values();
            outputs.any(|output| !used.contains(&output.digest)) && self.outputs_are_whole(record)
        };
        let records = self.all_records()?.into_iter().filter(|record| !only.records.contains(&record.fingerprint));
        Ok(records.filter(loses).count())
    }

    /// Returns every object that something refers to, but for the `forgotten` checkpoints and what is not among `only`. Of
    /// any record the log and the curve stay.
    fn used(&self, forgotten: &HashSet<(Digest, u64)>, only: Option<&Alive>) -> Result<HashSet<Digest>> {
        let mut used = HashSet::new();
        self.journal.each_from(0, |line| match only.zip(decode(line)) {
            Some((only, record)) if !only.records.contains(&record.fingerprint) => {
                used.extend(record.log.into_iter().chain(record.metrics));
            }
            _ => used.extend(named_in(line.record)),
        })?;
        for key in self.keys("checkpoints")? {
            for step in self.checkpoint_steps(&key)? {
                if !forgotten.contains(&(key, step)) {
                    self.mark(&read_if_there(&self.checkpoint_file(&key, step))?.unwrap_or_default(), &mut used);
                }
            }
        }
        for key in self.keys("rows")?.iter().filter(|key| keeps_rows(only, key)) {
            for part in fs_err::read_dir(layout::rows(self.root(), key))? {
                self.mark(&fs_err::read(part?.path())?, &mut used);
            }
        }
        Ok(used)
    }

    /// Returns the keys under which a folder of the store holds something.
    fn keys(&self, folder: &str) -> Result<Vec<Digest>> {
        let mut keys = Vec::new();
        for prefix in fs_err::read_dir(self.root().join(folder))? {
            for key in fs_err::read_dir(prefix?.path())? {
                keys.extend(digest_of(&key?.path()));
            }
        }
        Ok(keys)
    }

    /// Adds what a checkpoint or a part of rows names, and what its tree names.
    pub(crate) fn mark(&self, reference: &[u8], used: &mut HashSet<Digest>) {
        for digest in named_in(&String::from_utf8_lossy(reference)) {
            used.insert(digest);
            // A tree that is gone or damaged keeps nothing: its owner counts as absent.
            if let Ok(tree) = self.tree(&digest) {
                used.extend(tree.members.iter().map(|member| member.digest));
            }
        }
    }

    fn alone(&self) -> Result<File> {
        let file = self.collection_lock()?;
        file.lock()?;
        Ok(file)
    }

    fn collection_lock(&self) -> Result<File> {
        let path = layout::collection_lock(self.root());
        Ok(fs_err::OpenOptions::new().create(true).append(true).open(path)?.into_parts().0)
    }
}

impl Collected {
    fn take(&mut self, object: PathBuf, is_dry: bool) -> Result<()> {
        self.objects += 1;
        self.bytes += fs_err::metadata(&object)?.len();
        if is_dry { Ok(()) } else { Ok(fs_err::remove_file(object)?) }
    }
}

fn keeps_rows(only: Option<&Alive>, key: &Digest) -> bool {
    only.is_none_or(|only| only.rows.contains(key))
}

/// Returns every digest in a text.
fn named_in(text: &str) -> impl Iterator<Item = Digest> {
    text.match_indices("b3:").filter_map(|(start, mark)| Digest::from_hex(text.get(start + mark.len()..)?.get(..64)?))
}

/// Returns the digest that a place in a fanned-out folder stands for.
fn digest_of(place: &Path) -> Option<Digest> {
    let folder = place.parent()?.file_name()?.to_str()?;
    Digest::from_hex(&format!("{folder}{}", place.file_name()?.to_str()?))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::rows::RowsRecord;

    /// Stores a folder with these files, each of its own name's bytes.
    fn tree(store: &Store, files: &[&str]) -> crate::TreeRef {
        let attempt = store.new_attempt_dir("a").unwrap();
        for file in files {
            fs_err::write(attempt.path().join(file), file).unwrap();
        }
        store.adopt_dir(attempt.path()).unwrap()
    }

    fn has(store: &Store, file: &str) -> bool {
        store.has(&Digest::of(file.as_bytes()))
    }

    /// Records a stage that made a folder with these files.
    fn record(store: &Store, fingerprint: Digest, files: &[&str]) {
        let output = tree(store, files);
        let record = json!({ "fingerprint": fingerprint, "workflow": "w", "stage": "a", "kind": "sft", "outputs": { "model":
            { "artifact": "model", "digest": output.digest, "bytes": 5,
              "members": store.tree(&output.digest).unwrap().members } },
            "summary": {}, "metrics": null, "log": store.put_bytes(b"log").unwrap(), "seconds": 1.0, "cpu_seconds": 1.0,
            "steps": 3, "device": "cpu", "threads": 1, "finished": "2026-01-01", "deterministic": true });
        store.put_record(&serde_json::from_value(record).unwrap(), &Value::Null).unwrap();
    }

    #[test]
    fn what_is_of_no_use_goes_with_all_that_nothing_else_shares() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let [of_use, past] = [Digest::of(b"of use"), Digest::of(b"past")];
        for (key, own) in [(of_use, "new"), (past, "old")] {
            record(&store, key, &["shared", own]);
            store.put_checkpoint(&key, 3, &tree(&store, &[&format!("{own} state")]), Value::Null).unwrap();
            store.put_rows(&key, &RowsRecord { tree: tree(&store, &[&format!("{own} rows")]), rows: 1 }).unwrap();
        }
        let only = HashSet::from([of_use]);
        let only = Alive { records: only.clone(), checkpoints: only.clone(), rows: only };
        let keep = Keep { only: Some(only), checkpoints: None };
        let would = store.collect(&keep, true).unwrap();
        // Three files, and the manifests of their folders.
        assert_eq!((would.records, would.checkpoints, would.objects), (1, 1, 6));
        assert!(store.fresh_outputs(&past).unwrap().is_some(), "it only counts");
        assert_eq!(store.collect(&keep, false).unwrap(), would);
        for (file, stays) in [("shared", true), ("log", true), ("new", true), ("old", false)] {
            assert_eq!(has(&store, file), stays, "{file}");
        }
        for (key, stays) in [(of_use, true), (past, false)] {
            assert_eq!(store.fresh_outputs(&key).unwrap().is_some(), stays);
            assert_eq!(store.checkpoint(&key, 3).unwrap().is_some(), stays);
            assert_eq!(store.rows(&key).unwrap().len(), usize::from(stays));
            assert!(store.record(&key).unwrap().is_some(), "what there was can still be told");
        }
        assert_eq!(store.collect(&keep, false).unwrap(), Collected::default());
        record(&store, past, &["shared", "old"]);
        assert!(store.fresh_outputs(&past).unwrap().is_some(), "made again, it is there again");
    }

    #[test]
    fn only_what_nothing_refers_to_goes() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let key = Digest::of(b"key");
        let curve = store.put_bytes(b"curve").unwrap();
        store.put_checkpoint(&key, 3, &tree(&store, &["weights", "moments"]), json!({ "metrics": curve })).unwrap();
        store.put_rows(&key, &RowsRecord { tree: tree(&store, &["rows"]), rows: 1 }).unwrap();
        record(&store, key, &["model"]);
        tree(&store, &["orphan", "model"]);

        // The orphan and its manifest.
        let would = store.collect(&Keep::default(), true).unwrap();
        assert!(would.objects == 2 && has(&store, "orphan"), "{would:?}");
        assert_eq!(store.collect(&Keep::default(), false).unwrap(), would);
        assert!(!has(&store, "orphan"));
        for kept in ["weights", "moments", "curve", "rows", "model", "log"] {
            assert!(has(&store, kept), "{kept}");
        }
        assert!(store.checkpoint(&key, 3).unwrap().is_some() && store.fresh_outputs(&key).unwrap().is_some());
        assert_eq!(store.collect(&Keep::default(), false).unwrap(), Collected::default());
    }

    #[test]
    fn a_retired_checkpoint_leaves_its_digest_and_what_others_share_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let key = Digest::of(b"key");
        let first = tree(&store, &["frozen", "one"]);
        let curve = store.put_bytes(b"curve").unwrap();
        store.put_checkpoint(&key, 1, &first, json!({ "metrics": curve })).unwrap();
        store.put_checkpoint(&key, 2, &tree(&store, &["frozen", "two"]), Value::Null).unwrap();
        store.retire_checkpoint(&key, 1).unwrap();
        assert!(!has(&store, "one") && !has(&store, "curve") && has(&store, "frozen"));
        assert_eq!(store.checkpoint_steps(&key).unwrap(), [2]);
        let digests = store.checkpoint_digests(&key).unwrap();
        assert_eq!(digests.keys().copied().collect::<Vec<_>>(), [1, 2]);
        assert_eq!(digests[&1], first.digest);

        // The same of a whole store, where the number that stays is the user's.
        let third = tree(&store, &["frozen", "three"]);
        store.put_checkpoint(&key, 3, &third, Value::Null).unwrap();
        let newest = Keep { checkpoints: Some(1), only: None };
        let would = store.collect(&newest, true).unwrap();
        assert!(would.checkpoints == 1 && would.objects == 2 && has(&store, "two"), "{would:?}");
        assert_eq!(store.collect(&newest, false).unwrap(), would);
        assert!(!has(&store, "two") && has(&store, "three") && has(&store, "frozen"));
        assert_eq!(store.checkpoint_steps(&key).unwrap(), [3]);
        assert_eq!(store.checkpoint_digests(&key).unwrap().len(), 3);
    }

    #[test]
    fn nothing_is_collected_while_somebody_holds_the_store() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let hold = store.hold().unwrap();
        let orphan = store.put_bytes(b"orphan").unwrap();
        std::thread::scope(|scope| {
            let collection = scope.spawn(|| store.collect(&Keep::default(), false).unwrap());
            // A second holder is let in as long as the first has not gone.
            drop(store.hold().unwrap());
            store
                .put_checkpoint(&Digest::of(b"key"), 1, &tree(&store, &["late"]), json!({ "metrics": orphan }))
                .unwrap();
            drop(hold);
            assert_eq!(collection.join().unwrap(), Collected::default());
        });
        assert!(store.has(&orphan) && has(&store, "late"));
    }
}
