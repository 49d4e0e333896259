//! The hub's settings, from the variables that Hugging Face's own programs read.
//!
//! | variable | |
//! |---|---|
//! | `HF_HUB_CACHE`, `HF_HOME`, `XDG_CACHE_HOME` | where the cache is; `~/.cache/huggingface/hub` unless given |
//! | `HF_ENDPOINT` | the hub; `https://huggingface.co` unless given |
//! | `HF_TOKEN`, `HF_TOKEN_PATH` | the token, or a file with it; the file `token` beside the cache unless given |
//! | `HF_HUB_OFFLINE` | 1: no request is sent to the hub |
//! | `HF_HUB_DOWNLOAD_TIMEOUT` | seconds in which data must arrive; 60 unless given |
//!
//! Without the variables of the first row and without `HOME` there is no cache: a folder that all users share is never
//! used. The crate hf-hub provides the names in the cache; of these variables it reads only `HF_HOME` and
//! `HF_ENDPOINT`.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use engine::workflow::hub::HubId;
use hf_hub::{Cache, CacheRepo, Repo, RepoType};

use super::names::{Commit, RepoPath};
use super::remote::is_needed;
use super::trouble::Trouble;

const ENDPOINT: &str = "https://huggingface.co";
/// A hub that works answers sooner.
const PATIENCE: Duration = Duration::from_mins(1);
/// In bytes: longer than any token or reference.
const LONGEST_LINE: u64 = 64 << 10;

/// How to reach the hub, and where the cache is.
pub(crate) struct Settings {
    /// `None` if no variable names a folder of the user's.
    pub(crate) cache: Option<Cache>,
    /// A user name and password in it are replaced by `…`.
    pub(crate) endpoint: String,
    pub(crate) token: Option<Token>,
    pub(crate) is_offline: bool,
    pub(super) patience: Duration,
}

/// A secret: it is sent in one header and used nowhere else, so this type cannot be printed.
pub(crate) struct Token(pub(super) String);

impl Settings {
    pub(crate) fn from_env() -> Self {
        let get = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
        let folder = |name: &str| get(name).map(PathBuf::from);
        // The XDG specification says to ignore relative paths.
        let base = |name: &str| folder(name).filter(|path| path.is_absolute());
        let cache_home = base("XDG_CACHE_HOME").or_else(|| base("HOME").map(|home| home.join(".cache")));
        let home = folder("HF_HOME").or_else(|| cache_home.map(|cache| cache.join("huggingface")));
        let beside = |name: &str| home.as_ref().map(|home| home.join(name));
        let token_file = folder("HF_TOKEN_PATH").or_else(|| beside("token"));
        let token = get("HF_TOKEN").or_else(|| small_text(&token_file?));
        let token = token.map(|token| token.trim().to_owned()).filter(|token| !token.is_empty());
        let patience = get("HF_HUB_DOWNLOAD_TIMEOUT").and_then(|seconds| seconds.trim().parse().ok());
        Self {
            cache: folder("HF_HUB_CACHE").or_else(|| beside("hub")).map(Cache::new),
            endpoint: without_password(get("HF_ENDPOINT").unwrap_or_else(|| ENDPOINT.to_owned()).trim_end_matches('/')),
            token: token.map(Token),
            is_offline: get("HF_HUB_OFFLINE")
                .is_some_and(|value| ["1", "on", "yes", "true"].contains(&value.to_lowercase().as_str())),
            patience: patience.filter(|seconds| *seconds > 0).map_or(PATIENCE, Duration::from_secs),
        }
    }

    /// Returns the folder of the cache.
    pub(super) fn cache(&self) -> Result<&Path, Trouble> {
        self.cache.as_ref().map(|cache| cache.path().as_path()).ok_or_else(Trouble::no_cache)
    }

    /// Returns a repository's part of the cache.
    pub(super) fn repo(&self, id: &HubId) -> Result<CacheRepo, Trouble> {
        let cache = self.cache.as_ref().ok_or_else(Trouble::no_cache)?;
        Ok(cache.repo(repo(id, &id.revision)))
    }

    /// Returns the commit that the cache has for a branch.
    pub(super) fn written_ref(&self, id: &HubId) -> Result<Option<Commit>, Trouble> {
        let text = small_text(&self.reference(id)?);
        Ok(text.and_then(|text| Commit::parse(text.trim())))
    }

    pub(super) fn reference(&self, id: &HubId) -> Result<PathBuf, Trouble> {
        Ok(self.cache()?.join(repo(id, &id.revision).folder_name()).join("refs").join(&id.revision))
    }

    /// Returns an input's commit and files from the cache alone, for offline use.
    pub(super) fn cached(
        &self,
        id: &HubId,
        known: Option<Commit>,
    ) -> Result<(Commit, Vec<(RepoPath, PathBuf)>), Trouble> {
        let cache = self.cache()?;
        let absent = || Trouble::offline(id, cache);
        let written = || if id.is_commit() { Ok(None) } else { self.written_ref(id) };
        let commit = known.map_or_else(written, |known| Ok(Some(known)))?.ok_or_else(absent)?;
        let folder = self.repo(id)?.pointer_path(commit.as_str());
        let mut files = Vec::new();
        walk(&folder, "", &mut files).map_err(|_| absent())?;
        files.retain(|(name, _)| is_needed(id, name.as_str()));
        if is_whole(id, &files) { Ok((commit, files)) } else { Err(absent()) }
    }
}

/// Returns the id as hf-hub names it.
pub(super) fn repo(id: &HubId, revision: &str) -> Repo {
    let sort = if id.is_dataset { RepoType::Dataset } else { RepoType::Model };
    Repo::with_revision(id.name.clone(), sort, revision.to_owned())
}

/// Returns the text of a file, cut off after `LONGEST_LINE` bytes; `None` if it cannot be read.
pub(super) fn small_text(path: &Path) -> Option<String> {
    let mut text = String::new();
    outside::open(path).ok()?.take(LONGEST_LINE).read_to_string(&mut text).ok()?;
    Some(text)
}

/// Hides a user name and password in an address that is shown to the user; the address is refused later.
fn without_password(endpoint: &str) -> String {
    let Some((scheme, rest)) = endpoint.split_once("://") else { return endpoint.to_owned() };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    match authority.rfind('@') {
        Some(at) => format!("{scheme}://…{}", &rest[at..]),
        None => endpoint.to_owned(),
    }
}

/// Collects the files below a folder with their names, and follows links to files. Skips names that no file on a hub
/// has.
fn walk(folder: &Path, prefix: &str, files: &mut Vec<(RepoPath, PathBuf)>) -> std::io::Result<()> {
    for entry in fs_err::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).map(|name| format!("{prefix}{name}"));
        let Some(name) = name.as_deref().and_then(RepoPath::parse) else { continue };
        if fs_err::symlink_metadata(&path)?.is_dir() {
            walk(&path, &format!("{name}/"), files)?;
        } else if fs_err::metadata(&path)?.is_file() {
            files.push((name, path));
        }
    }
    Ok(())
}

/// Returns whether an input's files are complete. Other programs may have fetched only some of them: a model needs its
/// configuration, its tokenizer and every shard.
fn is_whole(id: &HubId, files: &[(RepoPath, PathBuf)]) -> bool {
    if id.is_dataset {
        return !files.is_empty();
    }
    let find = |wanted: &str| files.iter().find(|(name, _)| name.last() == wanted);
    let shards = || {
        let index = std::fs::read(&find("model.safetensors.index.json")?.1).ok()?;
        let index: serde_json::Value = serde_json::from_slice(&index).ok()?;
        let mut shards = index["weight_map"].as_object()?.values();
        Some(shards.all(|shard| shard.as_str().is_some_and(|shard| find(shard).is_some())))
    };
    let has_weights = shards().unwrap_or_else(|| find("model.safetensors").is_some());
    has_weights && find("config.json").is_some() && find("tokenizer.json").is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_repeated() {
        assert_eq!(without_password("https://me:secret@hub.example/x"), "https://…@hub.example/x");
        assert_eq!(without_password("https://me@x:secret@hub.example"), "https://…@hub.example");
        for text in ["https://hub.example/@x", "hub.example", "http://[::1]:80"] {
            assert_eq!(without_password(text), text);
        }
    }
}
