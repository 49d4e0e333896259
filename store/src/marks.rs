//! A cache of references: lines of the journal and manifests never change, so each process reads each of them once.
//!
//! So retiring a checkpoint does not read the whole journal again.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use super::named_in;
use crate::checkpoint::checkpoint_file;
use crate::digest::Digest;
use crate::error::Result;
use crate::{Store, layout};

#[derive(Debug, Default)]
pub(crate) struct Marks {
    journal: Mutex<Named>,
    trees: Mutex<HashMap<Digest, Arc<[Digest]>>>,
}

#[derive(Debug, Default)]
struct Named {
    /// Bytes of the journal that have been read.
    covered: u64,
    by_records: HashSet<Digest>,
}

impl Marks {
    /// Returns the members of a tree; none if it is not a tree or is damaged, for then what refers to it counts as
    /// absent.
    pub(crate) fn members(&self, store: &Store, digest: &Digest) -> Arc<[Digest]> {
        let mut trees = self.trees.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(members) = trees.get(digest) {
            return Arc::clone(members);
        }
        let Ok(tree) = store.tree(digest) else { return Arc::default() };
        let members: Arc<[Digest]> = tree.members.iter().map(|member| member.digest).collect();
        trees.insert(*digest, Arc::clone(&members));
        members
    }

    /// Returns those of `candidates` that no record, checkpoint or rows refer to.
    pub(super) fn unused_among(&self, store: &Store, candidates: &HashSet<Digest>) -> Result<HashSet<Digest>> {
        let mut named = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        let Named { covered, by_records } = &mut *named;
        *covered = store.journal.each_from(*covered, |line| by_records.extend(named_in(line.record)))?;
        let mut unused: HashSet<Digest> = candidates.difference(by_records).copied().collect();
        let mut used = HashSet::new();
        for key in store.keys(layout::all_checkpoints())? {
            for step in store.checkpoint_steps(&key)? {
                store.mark(&store.root.read_if_there(&checkpoint_file(&key, step))?.unwrap_or_default(), &mut used);
            }
        }
        for key in store.keys(layout::all_rows())? {
            for (part, _) in store.root.entries(&layout::rows(&key))? {
                store.mark(&store.root.read_if_there(&part)?.unwrap_or_default(), &mut used);
            }
        }
        unused.retain(|digest| !used.contains(digest));
        Ok(unused)
    }
}
