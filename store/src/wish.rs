//! Wishes: a stage that waits until another process leaves its trail announces how many steps it needs.
//!
//! Checkpoints are retired as training continues. A waiting stage with fewer steps could resume from one of them; its
//! wish keeps the newest that it can use. A wish counts as long as the process that made it lives.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::digest::Digest;
use crate::error::Result;
use crate::root::Root;
use crate::{Store, layout};

const MARK: &str = ".wish-";

/// A wish for the newest checkpoint up to a step; withdrawn when dropped.
#[derive(Debug)]
pub struct Wish {
    root: Arc<Root>,
    file: PathBuf,
}

impl Drop for Wish {
    fn drop(&mut self) {
        if let Err(error) = self.root.remove_file(&self.file) {
            tracing::warn!(%error, "a wish for a checkpoint stays until the next `gc`");
        }
    }
}

impl Store {
    /// Asks every process to keep the newest checkpoint of at most `step` steps under `key`.
    pub fn wish(&self, key: &Digest, step: u64) -> Result<Wish> {
        // A scratch name contains this process's name and is unique.
        let unique = self.scratch_name("wish")?;
        let mut names = unique.components().skip(1).map(|name| name.as_os_str().to_string_lossy());
        let (process, number) = (names.next().unwrap_or_default(), names.next().unwrap_or_default());
        let file = layout::checkpoints(key).join(format!("{step}{MARK}{process}~{number}"));
        self.root.create_new(&file)?;
        Ok(Wish { root: Arc::clone(&self.root), file })
    }

    /// Returns the steps of the checkpoints under `key` that living processes have wished for.
    pub fn wished_checkpoints(&self, key: &Digest) -> Result<Vec<u64>> {
        let mut wished = Vec::new();
        for (file, _) in self.root.entries(&layout::checkpoints(key))? {
            if let Some((step, process)) = parse(&file)
                && self.lives(&process)?
            {
                wished.extend(self.checkpoint_steps(key)?.into_iter().rfind(|kept| *kept <= step));
            }
        }
        Ok(wished)
    }

    /// Removes the wishes of processes that were killed.
    pub(crate) fn sweep_wishes(&self) -> Result<()> {
        for key in self.keys(layout::all_checkpoints())? {
            for (file, _) in self.root.entries(&layout::checkpoints(&key))? {
                if let Some((_, process)) = parse(&file)
                    && !self.lives(&process)?
                {
                    self.root.remove_file(&file)?;
                }
            }
        }
        Ok(())
    }
}

/// Returns the step and the process in the name of a wish's file.
fn parse(file: &Path) -> Option<(u64, String)> {
    let (step, rest) = file.file_name()?.to_str()?.split_once(MARK)?;
    let (process, _) = rest.split_once('~')?;
    Some((step.parse().ok()?, process.to_owned()))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_wish_keeps_the_newest_checkpoint_that_it_can_use_while_its_process_lives() {
        let dir = tempfile::tempdir().unwrap();
        let stores = [(); 2].map(|()| Store::open(&dir.path().join("store")).unwrap());
        let key = Digest::of(b"key");
        for step in [10, 20, 30, 40] {
            let attempt = stores[0].new_attempt_dir("a").unwrap();
            fs_err::write(attempt.path().join("state"), step.to_string()).unwrap();
            let tree = stores[0].adopt_dir(attempt.path()).unwrap();
            stores[0].put_checkpoint(&key, step, &tree, Value::Null).unwrap();
        }
        let wish = stores[1].wish(&key, 25).unwrap();
        let again = stores[1].wish(&key, 25).unwrap();
        assert_eq!(stores[0].wished_checkpoints(&key).unwrap(), [20, 20]);
        let keep = crate::Keep { checkpoints: Some(1), only: None };
        drop(again);
        stores[0].collect(&keep).unwrap();
        assert_eq!(stores[0].checkpoint_steps(&key).unwrap(), [20, 40]);
        // A killed process removes nothing.
        std::mem::forget(wish);
        let [first, second] = stores;
        drop(second);
        assert!(first.wished_checkpoints(&key).unwrap().is_empty());
        first.collect(&keep).unwrap();
        assert_eq!(first.checkpoint_steps(&key).unwrap(), [40]);
        let left = first.root.entries(&layout::checkpoints(&key)).unwrap();
        assert!(left.iter().all(|(file, _)| parse(file).is_none()), "{left:?}");
    }
}
