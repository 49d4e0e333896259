//! Collection: removal of objects that nothing refers to any more.
//!
//! Objects that a record, a checkpoint or rows refer to are kept. A caller that knows which of these are still needed
//! may have the others removed as well ([`Keep::only`]): their lines stay in the journal, which is never rewritten, but
//! a record without its outputs counts as absent. An object is made before its reference. So a process holds the store
//! from before it makes an object until it has made the reference ([`Store::hold`]), and a collection runs only while
//! no process holds it.

use std::collections::HashSet;
use std::fs::File;
use std::path::Path;

use serde::Serialize;

use crate::Store;
use crate::checkpoint::checkpoint_file;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::layout::{self, digest_of};
use crate::lock::locked;
use crate::record::{Record, decode};

pub(crate) use marks::Marks;

#[path = "marks.rs"]
mod marks;

/// A shared lock under which objects without a reference may be made; released when dropped.
#[derive(Debug)]
pub struct Hold {
    _file: File,
}

/// Which of the referenced objects a collection keeps.
#[derive(Clone, Debug, Default)]
pub struct Keep {
    /// How many of the newest checkpoints under each key are kept; all if `None`. The digests of the others stay.
    pub checkpoints: Option<usize>,
    /// What is still needed; everything if `None`.
    pub only: Option<Alive>,
}

/// The records, checkpoints and rows that are still needed.
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
    /// Number of objects that nothing else refers to.
    pub objects: usize,
    /// Bytes of these objects.
    pub bytes: u64,
}

/// What a collection would remove: how much, the forgotten checkpoints, and the objects that nothing refers to then.
struct Collectable {
    collected: Collected,
    forgotten: HashSet<(Digest, u64)>,
    objects: Vec<Digest>,
}

impl Store {
    /// Keeps objects from being collected until the result is dropped. Blocks the thread while a collection is running.
    pub fn hold(&self) -> Result<Hold> {
        let file = self.collection_lock()?;
        self.collection_locked(file.lock_shared())?;
        Ok(Hold { _file: file })
    }

    /// Forgets the checkpoints and rows that are not to be kept, then removes every object that nothing refers to.
    /// Returns how much was removed. Blocks the thread while any process holds the store. With [`Keep::only`] it fails
    /// if another process is at work, because that process may rely on results that would be removed.
    pub fn collect(&self, keep: &Keep) -> Result<Collected> {
        let _alone = self.alone()?;
        if keep.only.is_some() && self.is_in_use()? {
            return Err(Error::InUse);
        }
        let Collectable { collected, forgotten, objects } = self.collectable(keep)?;
        forgotten.iter().try_for_each(|(key, step)| self.forget_checkpoint(key, *step))?;
        for key in self.keys(layout::all_rows())?.iter().filter(|key| !keeps_rows(keep.only.as_ref(), key)) {
            self.root.remove_tree(&layout::rows(key))?;
        }
        self.note_collected(if keep.only.is_some() { &objects } else { &[] })?;
        for digest in objects {
            self.root.remove_file(&layout::object(&digest))?;
        }
        self.sweep_drafts()?;
        Ok(collected)
    }

    /// Returns what [`Store::collect`] would remove, and removes nothing. Works on a read-only store, too.
    pub fn would_collect(&self, keep: &Keep) -> Result<Collected> {
        let _alone = match self.alone() {
            Err(Error::Io(error)) if is_read_only(&error) => None,
            alone => Some(alone?),
        };
        Ok(self.collectable(keep)?.collected)
    }

    fn collectable(&self, keep: &Keep) -> Result<Collectable> {
        let forgotten = self.superfluous(keep)?;
        let only = keep.only.as_ref();
        let used = self.used(&forgotten, only)?;
        let mut collected = Collected { checkpoints: forgotten.len(), ..Collected::default() };
        if let Some(only) = only {
            collected.records = self.losers(only, &used)?;
        }
        let mut objects = self.keys(layout::objects())?;
        objects.retain(|digest| !used.contains(digest));
        for digest in &objects {
            collected.objects += 1;
            collected.bytes += self.root.stat(&layout::object(digest))?.map_or(0, |found| found.st_size as u64);
        }
        Ok(Collectable { collected, forgotten, objects })
    }

    /// Removes what killed processes have left beside the store's files: drafts, a damaged index, wishes.
    fn sweep_drafts(&self) -> Result<()> {
        let is_draft = |name: &str| {
            (name.starts_with("format.toml-") || name.starts_with("digests.")) || name.starts_with("index-")
        };
        for folder in [Path::new(""), Path::new("quarantine")] {
            for (path, _) in self.root.entries(folder)? {
                if path.file_name().and_then(|name| name.to_str()).is_some_and(is_draft) {
                    self.root.remove_tree(&path)?;
                }
            }
        }
        self.sweep_wishes()
    }

    /// Removes those of `candidates` that nothing refers to. The caller must have the exclusive lock
    /// ([`Store::alone`]).
    pub(crate) fn collect_among(&self, candidates: &HashSet<Digest>) -> Result<()> {
        for digest in self.marks.unused_among(self, candidates)? {
            self.root.remove_file(&layout::object(&digest))?;
        }
        Ok(())
    }

    /// Returns the checkpoints that are not to be kept.
    fn superfluous(&self, keep: &Keep) -> Result<HashSet<(Digest, u64)>> {
        let mut found = HashSet::new();
        for key in self.keys(layout::all_checkpoints())? {
            let is_alive = keep.only.as_ref().is_none_or(|only| only.checkpoints.contains(&key));
            let kept = if is_alive { keep.checkpoints.unwrap_or(usize::MAX) } else { 0 };
            let wished = if is_alive { self.wished_checkpoints(&key)? } else { Vec::new() };
            let newest_first = self.checkpoint_steps(&key)?.into_iter().rev();
            found.extend(newest_first.skip(kept).filter(|step| !wished.contains(step)).map(|step| (key, step)));
        }
        Ok(found)
    }

    /// Returns the number of records that now have all outputs and would lose one: they are not in `only`, and an
    /// output's digest is not in `used`.
    fn losers(&self, only: &Alive, used: &HashSet<Digest>) -> Result<usize> {
        let loses = |record: &Record| {
            let mut outputs = record.outputs.values();
            outputs.any(|output| !used.contains(&output.digest)) && self.outputs_are_whole(record)
        };
        let records = self.all_records()?.into_iter().filter(|record| !only.records.contains(&record.fingerprint));
        Ok(records.filter(loses).count())
    }

    /// Returns every object that something refers to, except for the `forgotten` checkpoints and what is not in `only`.
    /// Logs and curves of all records are kept.
    pub(crate) fn used(&self, forgotten: &HashSet<(Digest, u64)>, only: Option<&Alive>) -> Result<HashSet<Digest>> {
        let mut used = HashSet::new();
        self.journal.each_from(0, |line| match only.zip(decode(line)) {
            Some((only, record)) if !only.records.contains(&record.fingerprint) => {
                used.extend(record.log.into_iter().chain(record.metrics));
            }
            _ => used.extend(named_in(line.record)),
        })?;
        for key in self.keys(layout::all_checkpoints())? {
            for step in self.checkpoint_steps(&key)? {
                if !forgotten.contains(&(key, step)) {
                    let reference = self.root.read_if_there(&checkpoint_file(&key, step))?;
                    self.mark(&reference.unwrap_or_default(), &mut used);
                }
            }
        }
        for key in self.keys(layout::all_rows())?.iter().filter(|key| keeps_rows(only, key)) {
            for (part, _) in self.root.entries(&layout::rows(key))? {
                self.mark(&self.root.read_if_there(&part)?.unwrap_or_default(), &mut used);
            }
        }
        Ok(used)
    }

    /// Returns the digests of all entries in a fanned-out folder of the store.
    pub(crate) fn keys(&self, folder: &Path) -> Result<Vec<Digest>> {
        let mut keys = Vec::new();
        for (prefix, sort) in self.root.entries(folder)? {
            if sort == rustix::fs::FileType::Directory {
                keys.extend(self.root.entries(&prefix)?.iter().filter_map(|(path, _)| digest_of(path)));
            }
        }
        Ok(keys)
    }

    /// Adds the digests in a checkpoint's or a part of rows' file to `used`, and the members of its tree.
    pub(crate) fn mark(&self, reference: &[u8], used: &mut HashSet<Digest>) {
        for digest in named_in(&String::from_utf8_lossy(reference)) {
            used.insert(digest);
            used.extend(self.marks.members(self, &digest).iter());
        }
    }

    pub(crate) fn alone(&self) -> Result<File> {
        let file = self.collection_lock()?;
        self.collection_locked(file.lock())?;
        Ok(file)
    }

    fn collection_lock(&self) -> Result<File> {
        self.root.append(layout::collection_lock())
    }

    fn collection_locked(&self, result: std::io::Result<()>) -> Result<()> {
        locked(result, &self.root.path().join(layout::collection_lock()))
    }
}

fn is_read_only(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::ReadOnlyFilesystem | std::io::ErrorKind::PermissionDenied)
}

fn keeps_rows(only: Option<&Alive>, key: &Digest) -> bool {
    only.is_none_or(|only| only.rows.contains(key))
}

/// Returns every digest in a text.
pub(crate) fn named_in(text: &str) -> impl Iterator<Item = Digest> {
    text.match_indices("b3:").filter_map(|(start, mark)| Digest::from_hex(text.get(start + mark.len()..)?.get(..64)?))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::rows::RowsRecord;

    /// Stores a folder with these files, each with its own name as content.
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
        let would = store.would_collect(&keep).unwrap();
        // Three files, and the manifests of their folders.
        assert_eq!((would.records, would.checkpoints, would.objects), (1, 1, 6));
        assert!(store.fresh_outputs(&past).unwrap().is_some(), "it only counts");
        let other = Store::open(dir.path()).unwrap();
        other.announce().unwrap();
        assert!(matches!(store.collect(&keep), Err(Error::InUse)), "it may have found fresh what is to go");
        drop(other);
        assert_eq!(store.collect(&keep).unwrap(), would);
        for (file, stays) in [("shared", true), ("log", true), ("new", true), ("old", false)] {
            assert_eq!(has(&store, file), stays, "{file}");
        }
        for (key, stays) in [(of_use, true), (past, false)] {
            assert_eq!(store.fresh_outputs(&key).unwrap().is_some(), stays);
            assert_eq!(store.checkpoint(&key, 3).unwrap().is_some(), stays);
            assert_eq!(store.rows(&key).unwrap().len(), usize::from(stays));
            assert!(store.record(&key).unwrap().is_some(), "what there was can still be told");
        }
        assert_eq!(store.collect(&keep).unwrap(), Collected::default());
        assert_eq!(store.audit(|_| ()).unwrap().damaged, [], "what was to go is not lost");
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
        let would = store.would_collect(&Keep::default()).unwrap();
        assert!(would.objects == 2 && has(&store, "orphan"), "{would:?}");
        assert_eq!(store.collect(&Keep::default()).unwrap(), would);
        assert!(!has(&store, "orphan"));
        for kept in ["weights", "moments", "curve", "rows", "model", "log"] {
            assert!(has(&store, kept), "{kept}");
        }
        assert!(store.checkpoint(&key, 3).unwrap().is_some() && store.fresh_outputs(&key).unwrap().is_some());
        assert_eq!(store.collect(&Keep::default()).unwrap(), Collected::default());
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

        // The same for a collection of the whole store, for which the user gives the number of checkpoints that stay.
        let third = tree(&store, &["frozen", "three"]);
        store.put_checkpoint(&key, 3, &third, Value::Null).unwrap();
        let newest = Keep { checkpoints: Some(1), only: None };
        let would = store.would_collect(&newest).unwrap();
        assert!(would.checkpoints == 1 && would.objects == 2 && has(&store, "two"), "{would:?}");
        assert_eq!(store.collect(&newest).unwrap(), would);
        assert!(!has(&store, "two") && has(&store, "three") && has(&store, "frozen"));
        assert_eq!(store.checkpoint_steps(&key).unwrap(), [3]);
        assert_eq!(store.checkpoint_digests(&key).unwrap().len(), 3);
    }

    #[test]
    fn nothing_is_collected_while_a_process_holds_the_store() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let hold = store.hold().unwrap();
        let orphan = store.put_bytes(b"orphan").unwrap();
        std::thread::scope(|scope| {
            let collection = scope.spawn(|| store.collect(&Keep::default()).unwrap());
            // A second holder gets in while the first is still there.
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
