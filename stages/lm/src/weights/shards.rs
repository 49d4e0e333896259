//! The files of a folder's weights: `model.safetensors`, or the shards in `model.safetensors.index.json`.
//!
//! The index is checked against the shards' headers. An error names missing shards, tensors that are missing in their
//! shard, and tensors that are missing in the index.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use super::Error;
use crate::checkpoint::{self, PICKLES, TensorFile};
use crate::limits;

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
/// Most faults that a message lists.
const SHOWN: usize = 6;

/// Opens the files of a folder's weights, of which only headers are read.
pub(crate) fn open(dir: &Path) -> Result<Vec<TensorFile>, Error> {
    if dir.join(SINGLE).exists() {
        return Ok(vec![TensorFile::open(&dir.join(SINGLE))?]);
    }
    let index = dir.join(INDEX);
    if !index.exists() {
        return Err(Error::Absent { dir: dir.to_owned(), help: help(dir) });
    }
    let failed = |reason: String| Error::Index { path: index.clone(), reason };
    let (mut shards, mut faults) = (Vec::new(), Vec::new());
    for (shard, names) in read_index(&index).map_err(failed)? {
        let path = dir.join(&shard);
        if !path.exists() {
            faults.push(format!("the shard `{shard}` is missing, with {} tensors", names.len()));
            continue;
        }
        let file = TensorFile::open(&path)?;
        let there: BTreeSet<&str> = file.entries().iter().map(|entry| entry.name.as_str()).collect();
        let listed: BTreeSet<&str> = names.iter().map(String::as_str).collect();
        faults.extend(listed.difference(&there).map(|name| format!("`{name}` is not in its shard `{shard}`")));
        faults.extend(there.difference(&listed).map(|name| format!("`{name}` of `{shard}` is not in the index")));
        shards.push(file);
    }
    if faults.is_empty() { Ok(shards) } else { Err(failed(listing(faults))) }
}

/// Returns the names of the tensors of each shard.
fn read_index(index: &Path) -> Result<BTreeMap<String, Vec<String>>, String> {
    let text =
        outside::read_text(index, limits::INDEX_BYTES, limits::NO_SUCH_FILE).map_err(|error| error.to_string())?;
    let document: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let map = document.get("weight_map").and_then(Value::as_object).ok_or("no `weight_map`")?;
    let mut shards: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, shard) in map {
        let shard = shard.as_str().ok_or("`weight_map` must map names to file names")?;
        // A shard must be beside its index; a path elsewhere means a broken or hostile file.
        if Path::new(shard).file_name().is_none_or(|file| file != shard) {
            return Err(format!("shard `{shard}` is no plain file name"));
        }
        shards.entry(shard.to_owned()).or_default().push(name.clone());
    }
    if shards.len() > limits::SHARDS {
        let (has, most) = (shards.len(), limits::SHARDS);
        return Err(format!("it names {has} shards, of at most {most}; help: {}", limits::NO_SUCH_FILE));
    }
    Ok(shards)
}

/// Returns the help for a folder without safetensors.
fn help(dir: &Path) -> String {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let mut pickles: Vec<String> = entries
        .map(|entry| entry.path())
        .filter(|path| checkpoint::is_pickle(path))
        .filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
        .collect();
    pickles.sort();
    match pickles.first() {
        Some(name) => format!("`{name}` is a pickle, which can run code when it is read; {PICKLES}"),
        None => "a model's folder is what `save_pretrained` of transformers writes".to_owned(),
    }
}

/// Joins faults into a message; if there are many, only the first.
pub(super) fn listing(mut faults: Vec<String>) -> String {
    let rest = faults.len().saturating_sub(SHOWN);
    faults.truncate(SHOWN);
    let more = if rest > 0 { format!(", and {rest} more") } else { String::new() };
    faults.join(", ") + &more
}
