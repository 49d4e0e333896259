//! What the environment says of the hub, in the words of Hugging Face's own programs.
//!
//! | variable | |
//! |---|---|
//! | `HF_HUB_CACHE`, `HF_HOME`, `XDG_CACHE_HOME` | where the cache is; `~/.cache/huggingface/hub` unless given |
//! | `HF_ENDPOINT` | the hub; `https://huggingface.co` unless given |
//! | `HF_TOKEN`, `HF_TOKEN_PATH` | who asks; the file `token` beside the cache unless given |
//! | `HF_HUB_OFFLINE` | 1: nothing is asked of the hub |
//!
//! hf-hub knows the names of things in the cache; of these variables it reads `HF_HOME` and `HF_ENDPOINT` alone.

use std::path::{Path, PathBuf};

use engine::workflow::hub::HubId;
use hf_hub::{Cache, CacheRepo, Repo, RepoType};

use super::remote::is_needed;
use super::trouble::Trouble;

const ENDPOINT: &str = "https://huggingface.co";

/// How to speak to the hub, and where the cache is.
pub(crate) struct Settings {
    pub(crate) cache: Cache,
    pub(crate) endpoint: String,
    pub(crate) token: Option<Token>,
    pub(crate) is_offline: bool,
}

/// A secret: it goes into one header and nowhere else, so it cannot be printed.
pub(crate) struct Token(pub(super) String);

impl Settings {
    pub(crate) fn from_env() -> Self {
        let get = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
        let folder = |name: &str| get(name).map(PathBuf::from);
        let cache_home = folder("XDG_CACHE_HOME").or_else(|| folder("HOME").map(|home| home.join(".cache")));
        let home =
            folder("HF_HOME").unwrap_or_else(|| cache_home.unwrap_or_else(std::env::temp_dir).join("huggingface"));
        let token_file = folder("HF_TOKEN_PATH").unwrap_or_else(|| home.join("token"));
        let token = get("HF_TOKEN").or_else(|| std::fs::read_to_string(token_file).ok());
        let token = token.map(|token| token.trim().to_owned()).filter(|token| !token.is_empty());
        Self {
            cache: Cache::new(folder("HF_HUB_CACHE").unwrap_or_else(|| home.join("hub"))),
            endpoint: get("HF_ENDPOINT").unwrap_or_else(|| ENDPOINT.to_owned()).trim_end_matches('/').to_owned(),
            token: token.map(Token),
            is_offline: get("HF_HUB_OFFLINE")
                .is_some_and(|value| ["1", "on", "yes", "true"].contains(&value.to_lowercase().as_str())),
        }
    }

    pub(super) fn repo(&self, id: &HubId) -> CacheRepo {
        self.cache.repo(repo(id, &id.revision))
    }

    /// Tells others that use the cache what a branch stands for.
    pub(super) fn write_ref(&self, id: &HubId, commit: &str) -> Result<(), Trouble> {
        if id.is_commit() || self.written_ref(id).as_deref() == Some(commit) {
            return Ok(());
        }
        self.repo(id).create_ref(commit).map_err(|error| Trouble::disk(self.cache.path(), &error))
    }

    fn written_ref(&self, id: &HubId) -> Option<String> {
        let folder = self.cache.path().join(repo(id, &id.revision).folder_name());
        let commit = std::fs::read_to_string(folder.join("refs").join(&id.revision)).ok()?;
        Some(commit.trim().to_owned())
    }

    /// Returns what the cache has of an input, for those who must not ask the hub what there is.
    pub(super) fn cached(
        &self,
        id: &HubId,
        known: Option<String>,
    ) -> Result<(String, Vec<(String, PathBuf)>), Trouble> {
        let absent = || Trouble::offline(id, self.cache.path());
        let commit = known.or_else(|| self.written_ref(id)).ok_or_else(absent)?;
        let folder = self.repo(id).pointer_path(&commit);
        let mut files = Vec::new();
        walk(&folder, "", &mut files).map_err(|_| absent())?;
        files.retain(|(name, _)| is_needed(id, name));
        if is_whole(id, &files) { Ok((commit, files)) } else { Err(absent()) }
    }
}

/// Returns the id as hf-hub names it.
pub(super) fn repo(id: &HubId, revision: &str) -> Repo {
    let sort = if id.is_dataset { RepoType::Dataset } else { RepoType::Model };
    Repo::with_revision(id.name.clone(), sort, revision.to_owned())
}

/// Collects the files below a folder with their names, links followed.
fn walk(folder: &Path, prefix: &str, files: &mut Vec<(String, PathBuf)>) -> std::io::Result<()> {
    for entry in fs_err::read_dir(folder)? {
        let path = entry?.path();
        let name = format!("{prefix}{}", path.file_name().unwrap_or_default().to_string_lossy());
        if fs_err::metadata(&path)?.is_dir() {
            walk(&path, &format!("{name}/"), files)?;
        } else {
            files.push((name, path));
        }
    }
    Ok(())
}

/// Other programs fetch file by file: of a model, configuration, tokenizer and every shard must be there.
fn is_whole(id: &HubId, files: &[(String, PathBuf)]) -> bool {
    if id.is_dataset {
        return !files.is_empty();
    }
    let find = |wanted: &str| files.iter().find(|(name, _)| name.rsplit('/').next() == Some(wanted));
    let shards = || {
        let index = std::fs::read(&find("model.safetensors.index.json")?.1).ok()?;
        let index: serde_json::Value = serde_json::from_slice(&index).ok()?;
        let mut shards = index["weight_map"].as_object()?.values();
        Some(shards.all(|shard| shard.as_str().is_some_and(|shard| find(shard).is_some())))
    };
    let has_weights = shards().unwrap_or_else(|| find("model.safetensors").is_some());
    has_weights && find("config.json").is_some() && find("tokenizer.json").is_some()
}
