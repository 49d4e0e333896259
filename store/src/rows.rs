//! Rows: a set that only grows, stored in parts under its row key.
//!
//! ```text
//! rows/ab/<62 hex>/<digest of the part>.json    → tree, number of rows, sealed
//! ```
//! The stage's kind decides what a row is, and how it is found in a part.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::error::Result;
use crate::tree::TreeRef;
use crate::{Store, layout};

/// A stored part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowsRecord {
    /// The tree of its folder.
    pub tree: TreeRef,
    /// Number of its rows.
    pub rows: u64,
}

impl Store {
    /// Adds a part to the rows under `key`, durably; its tree must be stored already.
    pub fn put_rows(&self, key: &Digest, part: &RowsRecord) -> Result<()> {
        self.put_sealed(&layout::rows(key).join(format!("{}.json", part.tree.digest.hex())), part)
    }

    /// Returns the parts under `key` whose objects are all present, in no particular order.
    pub fn rows(&self, key: &Digest) -> Result<Vec<RowsRecord>> {
        let mut parts = Vec::new();
        for (part, _) in self.root.entries(&layout::rows(key))? {
            parts.extend(self.sealed::<RowsRecord>(&part)?);
        }
        parts.retain(|part| self.is_whole(&part.tree.digest));
        Ok(parts)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "tests remove what they have made")]

    use super::*;

    #[test]
    fn parts_add_up_and_broken_ones_are_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let key = Digest::of(b"key");
        assert!(store.rows(&key).unwrap().is_empty());
        for rows in [2, 3] {
            let attempt = store.new_attempt_dir("a").unwrap();
            fs_err::write(attempt.path().join("rows"), rows.to_string()).unwrap();
            let tree = store.adopt_dir(attempt.path()).unwrap();
            store.put_rows(&key, &RowsRecord { tree, rows }).unwrap();
            store.put_rows(&key, &RowsRecord { tree, rows }).unwrap();
        }
        let total = |store: &Store| store.rows(&key).unwrap().iter().map(|part| part.rows).sum::<u64>();
        assert_eq!(total(&store), 5, "the same part counts once");
        fs_err::remove_file(store.object_path(&Digest::of(b"2"))).unwrap();
        assert_eq!(total(&store), 3);
    }
}
