//! What a repository has, as the hub tells, and what of it a stage can read.

use engine::artifact::data_format;
use engine::workflow::hub::HubId;
use serde::Deserialize;

use super::settings::repo;
use super::transfer::Client;
use super::trouble::Trouble;

/// What a model has beside weights and a chat template.
const TEXTS: [&str; 5] =
    ["config.json", "generation_config.json", "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json"];
/// What lies beside data and is never read.
const ABOUT: [&str; 3] = ["config.json", "dataset_info.json", "dataset_infos.json"];
const PICKLES: [&str; 4] = [".bin", ".pt", ".pth", ".ckpt"];

/// A commit of a repository.
pub(super) struct Listing {
    pub(super) commit: String,
    /// The files that are needed.
    pub(super) files: Vec<RemoteFile>,
}

/// A file on the hub.
pub(super) struct RemoteFile {
    /// Its path in the repository.
    pub(super) path: String,
    /// The name of its bytes in the cache, a hash in hex: SHA-256 of a large file, git's SHA-1 of a small one.
    pub(super) etag: String,
    pub(super) size: u64,
}

/// The answer of `/api/models/NAME/revision/REVISION?blobs=true`.
#[derive(Deserialize)]
struct Answer {
    sha: String,
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sibling {
    rfilename: String,
    blob_id: Option<String>,
    size: Option<u64>,
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    sha256: String,
}

/// Asks what a repository has, at `known` or at what its revision stands for now.
pub(super) fn list(client: &Client, id: &HubId, known: Option<&str>) -> Result<Listing, Trouble> {
    let revision = known.unwrap_or(&id.revision);
    let url = |revision: &str| format!("{}/api/{}?blobs=true", client.settings.endpoint, repo(id, revision).api_url());
    let text = client.text(&url(revision)).map_err(|failure| {
        // A repository that has a main branch is there: what is missing is the revision.
        let is_there = || client.text(&url("main")).is_ok();
        Trouble::of_repository(client.settings, id, revision, &failure, is_there)
    })?;
    let strange = || Trouble::strange(&client.settings.endpoint, id);
    let answer: Answer = serde_json::from_str(&text).map_err(|_| strange())?;
    let all: Vec<String> = answer.siblings.iter().map(|sibling| sibling.rfilename.clone()).collect();
    let needed = answer.siblings.into_iter().filter(|sibling| is_needed(id, &sibling.rfilename));
    let files = needed.map(Sibling::file).collect::<Option<Vec<_>>>().ok_or_else(strange)?;
    if !is_hash(&answer.sha) {
        return Err(strange());
    }
    check(id, &all, &files)?;
    Ok(Listing { commit: answer.sha, files })
}

impl Sibling {
    /// Returns the file, if the hub says all of it and nothing that would lead out of the cache.
    fn file(self) -> Option<RemoteFile> {
        let etag = self.lfs.map(|lfs| lfs.sha256).or(self.blob_id).filter(|etag| is_hash(etag))?;
        let is_plain = self.rfilename.split('/').all(|part| !part.is_empty() && part != "..");
        is_plain.then_some(RemoteFile { path: self.rfilename, etag, size: self.size? })
    }
}

fn is_hash(text: &str) -> bool {
    text.len() >= 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Returns whether a stage reads such a file: what is not needed is not fetched, and has no part in the input's digest.
pub(super) fn is_needed(id: &HubId, path: &str) -> bool {
    let inner = if id.folder.is_empty() {
        path
    } else {
        match path.strip_prefix(&id.folder) {
            // The input is one file.
            Some("") => return true,
            Some(rest) if rest.starts_with('/') => &rest[1..],
            _ => return false,
        }
    };
    let name = inner.rsplit('/').next().unwrap_or_default();
    if id.is_dataset {
        let is_hidden = inner.split('/').any(|part| part.starts_with('.'));
        return !is_hidden && data_format(name).is_some() && !ABOUT.contains(&name);
    }
    let is_weights = name.ends_with(".safetensors") || name.ends_with(".safetensors.index.json");
    let is_text = TEXTS.contains(&name) || name.starts_with("chat_template.");
    // What lies deeper is for others, and `consolidated` weights are the same once more.
    name == inner && (is_text || (is_weights && !name.starts_with("consolidated")))
}

/// Refuses a repository of which nothing can be read.
fn check(id: &HubId, all: &[String], files: &[RemoteFile]) -> Result<(), Trouble> {
    let has = |end: &str| files.iter().any(|file| file.path.ends_with(end));
    if id.is_dataset {
        return if files.is_empty() { Err(Trouble::no_data(id)) } else { Ok(()) };
    }
    if !has("config.json") {
        return Err(Trouble::no_model(id, "it has no `config.json`"));
    }
    if !has(".safetensors") {
        let pickle = all.iter().find(|path| PICKLES.iter().any(|end| path.ends_with(end)));
        let reason = pickle.map(|path| format!("its weights are pickles (`{path}`), which are never loaded"));
        return Err(Trouble::no_model(id, reason.as_deref().unwrap_or("it has no safetensors")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use engine::artifact::ArtifactType;

    use super::*;

    #[test]
    fn only_what_is_read_is_needed() {
        let id = |text: &str, artifact| HubId::parse(text, artifact).unwrap();
        let model = id("a/b", ArtifactType::Model);
        for path in [
            "config.json",
            "generation_config.json",
            "tokenizer.json",
            "tokenizer_config.json",
            "special_tokens_map.json",
            "chat_template.jinja",
            "model.safetensors",
            "model-00001-of-00002.safetensors",
            "model.safetensors.index.json",
        ] {
            assert!(is_needed(&model, path), "{path}");
        }
        for path in [
            "README.md",
            "pytorch_model.bin",
            "consolidated.safetensors",
            "original/model.safetensors",
            "onnx/config.json",
            "tokenizer.model",
        ] {
            assert!(!is_needed(&model, path), "{path}");
        }
        let data = id("a/b", ArtifactType::Prompts);
        assert!(is_needed(&data, "main/train-00000-of-00001.parquet") && is_needed(&data, "x.jsonl.zst"));
        assert!(is_needed(&data, "dataset_dict.json") && is_needed(&data, "train/state.json"));
        assert!(!is_needed(&data, "README.md") && !is_needed(&data, "dataset_infos.json"));
        assert!(!is_needed(&data, ".cache/x.jsonl") && !is_needed(&data, "load.py"));
        let part = id("a/b@main/main", ArtifactType::Prompts);
        assert!(is_needed(&part, "main/test.jsonl"));
        assert!(!is_needed(&part, "mainly/test.jsonl") && !is_needed(&part, "test.jsonl"));
        assert!(is_needed(&id("a/b@main/x/rows.txt", ArtifactType::Prompts), "x/rows.txt"));
    }

    #[test]
    fn a_hub_cannot_lead_out_of_the_cache() {
        let file = |path: &str, etag: &str| {
            let sibling =
                Sibling { rfilename: path.to_owned(), blob_id: Some(etag.to_owned()), size: Some(1), lfs: None };
            sibling.file().is_some()
        };
        let etag = "0a".repeat(20);
        assert!(file("a/b.json", &etag));
        assert!(!file("../b.json", &etag) && !file("/b.json", &etag) && !file("a/b.json", "../../x"));
    }
}
