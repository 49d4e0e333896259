//! What takes the disk: the store's objects by the stage whose results have them.

use std::collections::{BTreeMap, HashMap, HashSet};

use anyhow::Result;
use serde::Serialize;
use store::{Digest, Store};

/// The objects of a store.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Disk {
    /// The largest first.
    pub(crate) stages: Vec<StageDisk>,
    /// Bytes of checkpoints, kept rows, logs and curves, and of what `gc` removes.
    pub(crate) others: u64,
    /// Bytes in all.
    pub(crate) bytes: u64,
}

/// What the outputs of a stage take.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct StageDisk {
    pub(crate) stage: String,
    /// Results with outputs on disk, those of earlier values included.
    pub(crate) results: usize,
    /// Bytes of their outputs. An object that several stages have counts for the first that made it.
    pub(crate) bytes: u64,
}

/// Returns what the objects of a store take, by stage.
pub(crate) fn disk(store: &Store) -> Result<Disk> {
    let mut left = objects(store)?;
    let bytes = left.values().sum();
    let mut stages: BTreeMap<String, (HashSet<Digest>, u64)> = BTreeMap::new();
    let mut records = store.all_records()?;
    records.sort_by(|one, other| one.finished.cmp(&other.finished));
    let there: HashSet<String> = left.keys().cloned().collect();
    for record in &records {
        let members = || record.outputs.values().flat_map(|output| &output.members);
        if members().any(|member| there.contains(&member.digest.hex())) {
            let (results, bytes) = stages.entry(record.stage.clone()).or_default();
            results.insert(record.fingerprint);
            *bytes += members().filter_map(|member| left.remove(&member.digest.hex())).sum::<u64>();
        }
    }
    let of = |(stage, (results, bytes)): (String, (HashSet<Digest>, u64))| StageDisk {
        stage,
        results: results.len(),
        bytes,
    };
    let mut stages: Vec<StageDisk> = stages.into_iter().map(of).collect();
    stages.sort_by_key(|stage| std::cmp::Reverse(stage.bytes));
    Ok(Disk { stages, others: left.values().sum(), bytes })
}

/// Returns the objects on disk, `objects/ab/<62 hex>`, with their sizes.
fn objects(store: &Store) -> Result<HashMap<String, u64>> {
    let mut found = HashMap::new();
    for folder in fs_err::read_dir(store.root().join("objects"))? {
        let folder = folder?;
        // What is no folder is no object.
        let Ok(files) = fs_err::read_dir(folder.path()) else { continue };
        for file in files {
            let file = file?;
            let hex = format!("{}{}", folder.file_name().to_string_lossy(), file.file_name().to_string_lossy());
            // It may have been removed since.
            found.extend(file.metadata().ok().map(|about| (hex, about.len())));
        }
    }
    Ok(found)
}
