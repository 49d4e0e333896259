//! Checkpoints: resumable training state, kept under (prefix fingerprint, step).
//!
//! A checkpoint that is no longer kept leaves its digest, so that training can be run again and compared at that step.
//!
//! ```text
//! checkpoints/ab/<62 hex>/<n>.json            step, tree, meta, sealed
//! checkpoints/ab/<62 hex>/<n>.digest          {"digest": …}, sealed
//! checkpoints/ab/<62 hex>/<n>.wish-<process>  a stage of that process waits and wants to resume from `n` or before
//! ```

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::seal::{is_sealed, seal};
use crate::tree::TreeRef;
use crate::{Store, layout};

/// A stored checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckpointRecord {
    /// Steps done.
    pub step: u64,
    /// The tree of its folder.
    pub tree: TreeRef,
    /// Data of the engine: seconds so far, the curve so far.
    pub meta: Value,
}

/// The training state after a step whose checkpoint is no longer kept.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Retired {
    digest: Digest,
}

impl Store {
    /// Stores a checkpoint after `step` steps under `key`, durably; its tree must be stored already.
    pub fn put_checkpoint(&self, key: &Digest, step: u64, tree: &TreeRef, meta: Value) -> Result<()> {
        self.put_sealed(&checkpoint_file(key, step), &CheckpointRecord { step, tree: *tree, meta })
    }

    /// Returns the steps that have a checkpoint under `key`, ascending.
    pub fn checkpoint_steps(&self, key: &Digest) -> Result<Vec<u64>> {
        self.steps_with(key, ".json")
    }

    /// Returns the digest of the training state after each step that has or had a checkpoint under `key`.
    pub fn checkpoint_digests(&self, key: &Digest) -> Result<BTreeMap<u64, Digest>> {
        let mut digests = BTreeMap::new();
        for step in self.steps_with(key, ".digest")? {
            let retired = self.sealed::<Retired>(&digest_file(key, step))?;
            digests.extend(retired.map(|retired| (step, retired.digest)));
        }
        for step in self.checkpoint_steps(key)? {
            digests.extend(self.checkpoint(key, step)?.map(|checkpoint| (step, checkpoint.tree.digest)));
        }
        Ok(digests)
    }

    /// Returns the steps of the files under `key` whose names end with `suffix`, ascending.
    fn steps_with(&self, key: &Digest, suffix: &str) -> Result<Vec<u64>> {
        let mut steps = Vec::new();
        for (file, _) in self.root.entries(&layout::checkpoints(key))? {
            let name = file.file_name().and_then(|name| name.to_str());
            steps.extend(name.and_then(|name| name.strip_suffix(suffix)?.parse::<u64>().ok()));
        }
        steps.sort_unstable();
        Ok(steps)
    }

    /// Returns a checkpoint if it exists and all its objects are present.
    pub fn checkpoint(&self, key: &Digest, step: u64) -> Result<Option<CheckpointRecord>> {
        let record = self.sealed::<CheckpointRecord>(&checkpoint_file(key, step))?;
        Ok(record.filter(|record| record.step == step && self.is_whole(&record.tree.digest)))
    }

    /// Replaces a checkpoint by its digest, and removes the objects that nothing else refers to. The caller must not
    /// hold the store, because this waits until no process does. Does nothing if another process has retired the
    /// checkpoint before.
    pub fn retire_checkpoint(&self, key: &Digest, step: u64) -> Result<()> {
        let _alone = self.alone()?;
        let Some(bytes) = self.root.read_if_there(&checkpoint_file(key, step))? else { return Ok(()) };
        self.forget_checkpoint(key, step)?;
        let mut objects = HashSet::new();
        self.mark(&bytes, &mut objects);
        self.collect_among(&objects)
    }

    /// Replaces a checkpoint by its digest; its objects stay.
    pub(crate) fn forget_checkpoint(&self, key: &Digest, step: u64) -> Result<()> {
        let path = checkpoint_file(key, step);
        if let Some(record) = self.sealed::<CheckpointRecord>(&path)? {
            self.put_sealed(&digest_file(key, step), &Retired { digest: record.tree.digest })?;
        }
        self.root.remove_file(&path).map(drop)
    }

    /// Writes a small sealed file, durably.
    pub(crate) fn put_sealed(&self, path: &Path, value: &impl Serialize) -> Result<()> {
        let bytes = serde_json::to_vec(value).map_err(|source| Error::Encode { path: path.to_owned(), source })?;
        self.replace(path, &seal(&path.to_string_lossy(), bytes))
    }

    /// Returns the content of a small sealed file, or `None` if it is missing or damaged.
    pub(crate) fn sealed<T: DeserializeOwned>(&self, path: &Path) -> Result<Option<T>> {
        let bytes = self.root.read_if_there(path)?;
        let bytes = bytes.filter(|bytes| {
            let is_sealed = is_sealed(&path.to_string_lossy(), bytes);
            if !is_sealed {
                tracing::warn!(path = %path.display(), "a file of the store is damaged and counts as absent");
            }
            is_sealed
        });
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }
}

pub(crate) fn checkpoint_file(key: &Digest, step: u64) -> PathBuf {
    layout::checkpoints(key).join(format!("{step}.json"))
}

fn digest_file(key: &Digest, step: u64) -> PathBuf {
    layout::checkpoints(key).join(format!("{step}.digest"))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "tests remove what they have made")]

    use serde_json::json;

    use super::*;

    #[test]
    fn ascending_and_only_whole_ones() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let key = Digest::of(b"key");
        assert!(store.checkpoint_steps(&key).unwrap().is_empty());
        for step in [100, 20, 3] {
            let attempt = store.new_attempt_dir("a").unwrap();
            fs_err::write(attempt.path().join("state"), step.to_string()).unwrap();
            let tree = store.adopt_dir(attempt.path()).unwrap();
            store.put_checkpoint(&key, step, &tree, json!({"seconds": 1.0})).unwrap();
        }
        assert_eq!(store.checkpoint_steps(&key).unwrap(), [3, 20, 100]);
        fs_err::remove_file(store.object_path(&Digest::of(b"20"))).unwrap();
        let is_whole = |step| store.checkpoint(&key, step).unwrap().is_some_and(|checkpoint| checkpoint.step == step);
        assert_eq!([3, 20, 100].map(is_whole), [true, false, true]);
        store.retire_checkpoint(&key, 3).unwrap();
        assert_eq!(store.checkpoint_steps(&key).unwrap(), [20, 100]);
    }

    #[test]
    fn a_changed_number_or_a_file_in_the_place_of_another_is_no_checkpoint() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let key = Digest::of(b"key");
        for step in [4, 6] {
            let attempt = store.new_attempt_dir("a").unwrap();
            fs_err::write(attempt.path().join("state"), step.to_string()).unwrap();
            let tree = store.adopt_dir(attempt.path()).unwrap();
            store.put_checkpoint(&key, step, &tree, json!({"seconds": 1.0})).unwrap();
        }
        let [four, six] = [4, 6].map(|step| store.root().join(checkpoint_file(&key, step)));
        let text = fs_err::read_to_string(&four).unwrap();
        assert!(text.contains("\"step\":4"));
        fs_err::write(&four, text.replace("\"step\":4", "\"step\":5")).unwrap();
        assert_eq!(store.checkpoint(&key, 4).unwrap(), None);
        fs_err::rename(&six, &four).unwrap();
        assert_eq!(store.checkpoint(&key, 4).unwrap(), None);
        fs_err::write(&four, text).unwrap();
        assert!(store.checkpoint(&key, 4).unwrap().is_some());
    }

    #[test]
    fn two_processes_retire_one_checkpoint_without_harm() {
        let dir = tempfile::tempdir().unwrap();
        let stores = [(); 2].map(|()| Store::open(&dir.path().join("store")).unwrap());
        let key = Digest::of(b"key");
        for round in 0..50 {
            let attempt = stores[0].new_attempt_dir("a").unwrap();
            fs_err::write(attempt.path().join("state"), round.to_string()).unwrap();
            let tree = stores[0].adopt_dir(attempt.path()).unwrap();
            stores[0].put_checkpoint(&key, round, &tree, Value::Null).unwrap();
            std::thread::scope(|scope| {
                let threads = stores.each_ref().map(|store| scope.spawn(|| store.retire_checkpoint(&key, round)));
                for thread in threads {
                    thread.join().unwrap().unwrap();
                }
            });
        }
        assert!(stores[0].checkpoint_steps(&key).unwrap().is_empty());
        assert_eq!(stores[0].checkpoint_digests(&key).unwrap().len(), 50);
    }
}
