//! Checkpoints: resumable training state, kept under (prefix fingerprint, step).

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
        let path = layout::checkpoints(self.root(), key).join(format!("{step}.json"));
        let record = CheckpointRecord { step, tree: *tree, meta };
        let bytes = serde_json::to_vec(&record).map_err(|source| Error::Encode { path: path.clone(), source })?;
        publish::replace(&layout::tmp(self.root()), &path, &bytes)
    }

    /// Returns the steps of which there are checkpoints under `key`, ascending.
    pub fn checkpoint_steps(&self, key: &Digest) -> Result<Vec<u64>> {
        let folder = layout::checkpoints(self.root(), key);
        if !folder.exists() {
            return Ok(Vec::new());
        }
        let mut steps = Vec::new();
        for entry in fs_err::read_dir(folder)? {
            let name = entry?.file_name();
            steps.extend(name.to_str().and_then(|name| name.strip_suffix(".json")?.parse::<u64>().ok()));
        }
        steps.sort_unstable();
        Ok(steps)
    }

    /// Returns a checkpoint if it is there and whole.
    pub fn checkpoint(&self, key: &Digest, step: u64) -> Result<Option<CheckpointRecord>> {
        let path = layout::checkpoints(self.root(), key).join(format!("{step}.json"));
        let Some(bytes) = read_if_there(&path)? else { return Ok(None) };
        let record: Option<CheckpointRecord> = serde_json::from_slice(&bytes).ok();
        Ok(record.filter(|record| self.is_whole(&record.tree.digest)))
    }

    /// Returns every whole checkpoint under `key`, by step.
    pub fn checkpoints(&self, key: &Digest) -> Result<Vec<CheckpointRecord>> {
        let steps = self.checkpoint_steps(key)?;
        steps.into_iter().filter_map(|step| self.checkpoint(key, step).transpose()).collect()
    }

    /// Forgets a checkpoint; its objects stay until collected.
    pub fn remove_checkpoint(&self, key: &Digest, step: u64) -> Result<()> {
        fs_err::remove_file(layout::checkpoints(self.root(), key).join(format!("{step}.json")))?;
        Ok(())
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
        assert!(store.checkpoints(&key).unwrap().is_empty());
        for step in [100, 20, 3] {
            let attempt = store.new_attempt_dir("a").unwrap();
            fs_err::write(attempt.path().join("state"), step.to_string()).unwrap();
            let tree = store.adopt_dir(attempt.path()).unwrap();
            store.put_checkpoint(&key, step, &tree, json!({"seconds": 1.0})).unwrap();
        }
        assert_eq!(store.checkpoint_steps(&key).unwrap(), [3, 20, 100]);
        fs_err::remove_file(store.object_path(&Digest::of(b"20"))).unwrap();
        let steps: Vec<_> = store.checkpoints(&key).unwrap().iter().map(|checkpoint| checkpoint.step).collect();
        assert_eq!(steps, [3, 100]);
        store.remove_checkpoint(&key, 3).unwrap();
        assert_eq!(store.checkpoint_steps(&key).unwrap(), [20, 100]);
    }
}
