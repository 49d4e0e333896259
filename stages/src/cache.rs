//! Verdicts of before, by content: the same program with the same tests, limits and tools is not run again, nor is a
//! judge asked the same again, in any stage.
//!
//! ```text
//! FOLDER/3f.jsonl   {"key": "3f…", "verdict": {…}}   one line each, appended; shards by the key's first byte
//! FOLDER/holds-…    this jail held all attacks on this machine
//! ```
//! The folder may be deleted at any moment. A shard that has grown too large loses its older half.

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Bytes of a shard. There are 256.
const SHARD: u64 = 256 << 10;

/// A line of a shard.
#[derive(Serialize, Deserialize)]
struct Line<V> {
    key: String,
    verdict: V,
}

/// Verdicts of before. Without a folder they are known until the process ends.
pub(crate) struct Cache<V> {
    folder: Option<PathBuf>,
    known: Mutex<Known<V>>,
}

struct Known<V> {
    verdicts: HashMap<String, V>,
    /// Which shards have been read.
    read: Vec<String>,
}

impl<V: Clone + Serialize + DeserializeOwned> Cache<V> {
    /// Opens the cache in a folder, which is made. One that cannot be made is done without.
    pub(crate) fn open(folder: Option<&Path>) -> Self {
        let folder = folder.filter(|folder| match make_private(folder) {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!("verdicts are not kept: {error}");
                false
            }
        });
        let known = Known { verdicts: HashMap::new(), read: Vec::new() };
        Self { folder: folder.map(Path::to_owned), known: Mutex::new(known) }
    }

    /// Returns the verdict of a key, if it is known.
    pub(crate) fn find(&self, key: &str) -> Option<V> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(folder) = &self.folder {
            let shard = &key[..2];
            if !known.read.iter().any(|read| read == shard) {
                known.read.push(shard.to_owned());
                let lines = read(&folder.join(format!("{shard}.jsonl")));
                known.verdicts.extend(lines.into_iter().map(|line| (line.key, line.verdict)));
            }
        }
        known.verdicts.get(key).cloned()
    }

    /// Returns whether it has been noted that a jail holds.
    pub(crate) fn holds(&self, key: &str) -> bool {
        self.folder.as_ref().is_some_and(|folder| folder.join(format!("holds-{key}")).is_file())
    }

    /// Notes that a jail holds.
    pub(crate) fn note_that_it_holds(&self, key: &str) {
        if let Some(folder) = &self.folder
            && let Err(error) = fs_err::write(folder.join(format!("holds-{key}")), "")
        {
            tracing::warn!("the jail will be tried again next time: {error}");
        }
    }

    /// Keeps a verdict.
    pub(crate) fn keep(&self, key: &str, verdict: &V) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.verdicts.insert(key.to_owned(), verdict.clone()).is_some() {
            return;
        }
        if let Some(folder) = &self.folder
            && let Err(error) = append(&folder.join(format!("{}.jsonl", &key[..2])), key, verdict)
        {
            tracing::warn!("a verdict is not kept: {error}");
        }
    }
}

/// Makes the folder. Others may not write to it, because what it says is believed.
fn make_private(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt, MetadataExt};

    fs_err::create_dir_all(folder.parent().unwrap_or(folder))?;
    match std::fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let found = fs_err::symlink_metadata(folder)?;
    let is_ours = found.uid() == fs_err::metadata("/proc/self")?.uid();
    if found.is_dir() && is_ours && found.mode() & 0o022 == 0 {
        return Ok(());
    }
    Err(std::io::Error::other(format!("others may write to `{}`", folder.display())))
}

fn read<V: DeserializeOwned>(shard: &Path) -> Vec<Line<V>> {
    // A file that cannot be read is as one that is not there: its verdicts are reached again.
    let text = outside::read_text_if_there(shard, 4 * SHARD, "delete it").ok().flatten().unwrap_or_default();
    // A line that another process is writing may be torn.
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn append<V: Clone + Serialize + DeserializeOwned>(shard: &Path, key: &str, verdict: &V) -> std::io::Result<()> {
    if fs_err::metadata(shard).is_ok_and(|shard| shard.len() > SHARD) {
        halve::<V>(shard)?;
    }
    let line = Line { key: key.to_owned(), verdict: verdict.clone() };
    let mut text = serde_json::to_vec(&line).map_err(std::io::Error::other)?;
    text.push(b'\n');
    // One write of one line: lines of several processes do not mix.
    fs_err::OpenOptions::new().create(true).append(true).open(shard)?.write_all(&text)
}

/// Drops the older half of a shard.
fn halve<V: Serialize + DeserializeOwned>(shard: &Path) -> std::io::Result<()> {
    let lines: Vec<Line<V>> = read(shard);
    let mut text = Vec::new();
    for line in &lines[lines.len() / 2..] {
        serde_json::to_writer(&mut text, line).map_err(std::io::Error::other)?;
        text.push(b'\n');
    }
    let new = shard.with_extension(format!("{}.new", std::process::id()));
    fs_err::write(&new, text)?;
    fs_err::rename(new, shard)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(passed: usize) -> (usize, String) {
        (passed, "é".to_owned())
    }

    #[test]
    fn what_is_kept_is_found_by_another_process() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("verdicts");
        let cache = Cache::open(Some(&folder));
        assert_eq!(cache.find("00aa"), None);
        cache.keep("00aa", &verdict(1));
        cache.keep("01aa", &verdict(2));
        let other: Cache<(usize, String)> = Cache::open(Some(&folder));
        assert_eq!((other.find("00aa"), other.find("01aa")), (Some(verdict(1)), Some(verdict(2))));
        assert_eq!(other.find("00ab"), None);
    }

    #[test]
    fn a_torn_line_is_left_out_and_a_large_shard_is_halved() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("verdicts");
        let cache = Cache::open(Some(&folder));
        let shard = folder.join("00.jsonl");
        for at in 0..8_000 {
            cache.keep(&format!("00{at:020}"), &verdict(at));
        }
        assert!(fs_err::metadata(&shard).unwrap().len() <= SHARD + 200);
        fs_err::OpenOptions::new().append(true).open(&shard).unwrap().write_all(b"{\"key\": \"00").unwrap();
        let other: Cache<(usize, String)> = Cache::open(Some(&folder));
        assert_eq!(other.find("0000000000000000007999"), Some(verdict(7_999)));
        assert_eq!(other.find("0000000000000000000000"), None, "it was among the oldest");
        assert_eq!(cache.find("0000000000000000000000"), Some(verdict(0)), "the process itself knows it");
    }

    #[test]
    fn a_folder_that_others_may_write_to_is_not_believed() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        fs_err::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
        let cache = Cache::open(Some(dir.path()));
        cache.keep("00aa", &verdict(1));
        assert_eq!(cache.find("00aa"), Some(verdict(1)));
        assert!(!dir.path().join("00.jsonl").exists());
    }
}
