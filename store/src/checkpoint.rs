//! Checkpoints: resumable training state, kept under (prefix fingerprint, step).
//!
//! One that is no longer kept leaves its digest, so that training can be run again and compared at that step.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::record::read_if_there;
use crate::tree::TreeRef;
use crate::{Store, layout, publish};

/// A stored checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckpointRecord {
    /// Steps done.
    pub step: u64,
    /// Its folder.
    pub tree: TreeRef,
    /// What the engine wants to know of it: seconds so far, the curve so far.
    pub meta: Value,
}

impl Store {
    /// Stores a checkpoint of `step` steps under `key`; its tree must be stored before.
    pub fn put_checkpoint(&self, key: &Digest, step: u64, tree: &TreeRef, meta: Value) -> Result<()> {
        let path = self.checkpoint_file(key, step);
        let record = CheckpointRecord { step, tree: *tree, meta };
        let bytes = serde_json::to_vec(&record).map_err(|source| Error::Encode { path: path.clone(), source })?;
        publish::replace(&layout::tmp(self.root()), &path, &bytes)
    }

    /// Returns the steps of which there are checkpoints under `key`, ascending.
    pub fn checkpoint_steps(&self, key: &Digest) -> Result<Vec<u64>> {
        self.steps_with(key, ".json")
    }

    /// Returns the digest of the training state after each step of which there is or was a checkpoint under `key`.
    pub fn checkpoint_digests(&self, key: &Digest) -> Result<BTreeMap<u64, Digest>> {
        let mut digests = BTreeMap::new();
        for step in self.steps_with(key, ".digest")? {
            let text = read_if_there(&self.digest_file(key, step))?.unwrap_or_default();
            digests.extend(std::str::from_utf8(&text).ok().and_then(|text| text.parse().ok()).map(|it| (step, it)));
        }
        for step in self.checkpoint_steps(key)? {
            digests.extend(self.checkpoint(key, step)?.map(|checkpoint| (step, checkpoint.tree.digest)));
        }
        Ok(digests)
    }

    /// Returns the steps of the files under `key` whose names end with `suffix`, ascending.
    fn steps_with(&self, key: &Digest, suffix: &str) -> Result<Vec<u64>> {
        let folder = layout::checkpoints(self.root(), key);
        if !folder.exists() {
            return Ok(Vec::new());
        }
        let mut steps = Vec::new();
        for entry in fs_err::read_dir(folder)? {
            let name = entry?.file_name();
            steps.extend(name.to_str().and_then(|name| name.strip_suffix(suffix)?.parse::<u64>().ok()));
        }
        steps.sort_unstable();
        Ok(steps)
    }

    /// Returns a checkpoint if it is there and whole.
    pub fn checkpoint(&self, key: &Digest, step: u64) -> Result<Option<CheckpointRecord>> {
        let Some(bytes) = read_if_there(&self.checkpoint_file(key, step))? else { return Ok(None) };
        let record: Option<CheckpointRecord> = serde_json::from_slice(&bytes).ok();
        Ok(record.filter(|record| self.is_whole(&record.tree.digest)))
    }

    /// Forgets a checkpoint but for its digest, and removes the objects that nothing else refers to. The caller must not hold
    /// the store: this waits until nobody does.
    pub fn retire_checkpoint(&self, key: &Digest, step: u64) -> Result<()> {
        let Some(bytes) = read_if_there(&self.checkpoint_file(key, step))? else { return Ok(()) };
        self.forget_checkpoint(key, step)?;
        let mut objects = HashSet::new();
        self.mark(&bytes, &mut objects);
        self.collect_among(&objects)
    }

    /// Leaves of a checkpoint its digest alone; the objects stay.
    pub(crate) fn forget_checkpoint(&self, key: &Digest, step: u64) -> Result<()> {
        let path = self.checkpoint_file(key, step);
        if let Some(Ok(record)) = read_if_there(&path)?.map(|bytes| serde_json::from_slice::<CheckpointRecord>(&bytes))
        {
            let digest = record.tree.digest.to_string();
            publish::replace(&layout::tmp(self.root()), &self.digest_file(key, step), digest.as_bytes())?;
        }
        Ok(fs_err::remove_file(path)?)
    }

    pub(crate) fn checkpoint_file(&self, key: &Digest, step: u64) -> PathBuf {
        layout::checkpoints(self.root(), key).join(format!("{step}.json"))
    }

    fn digest_file(&self, key: &Digest, step: u64) -> PathBuf {
        layout::checkpoints(self.root(), key).join(format!("{step}.digest"))
    }
}

#[cfg(test)]
mod tests {
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
}
