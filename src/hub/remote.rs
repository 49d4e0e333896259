//! The files that the hub lists for a repository, and which of them a stage can read.

use std::collections::HashSet;

use engine::artifact::data_format;
use engine::workflow::hub::HubId;
use serde::Deserialize;

use super::client::Client;
use super::names::{BlobHash, Commit, RepoPath};
use super::settings::repo;
use super::trouble::Trouble;

/// The files of a model besides weights and a chat template.
const TEXTS: [&str; 5] =
    ["config.json", "generation_config.json", "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json"];
/// Names the configs of a data set; small.
const README: &str = "README.md";
/// Files beside data that are never read.
const ABOUT: [&str; 3] = ["config.json", "dataset_info.json", "dataset_infos.json"];
const PICKLES: [&str; 4] = [".bin", ".pt", ".pth", ".ckpt"];
/// Each file costs a request, and a name on this disk.
const MOST_FILES: usize = 100_000;
/// In bytes: more than a hub accepts for one file.
const LARGEST_FILE: u64 = 1 << 40;

/// A commit of a repository.
pub(super) struct Listing {
    pub(super) commit: Commit,
    /// The files that are needed.
    pub(super) files: Vec<RemoteFile>,
}

/// A file on the hub.
pub(super) struct RemoteFile {
    /// Its path in the repository.
    pub(super) path: RepoPath,
    /// The hash of its bytes, and the blob's name in the cache.
    pub(super) hash: BlobHash,
    /// In bytes.
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

/// Requests the listing of a repository, at `known` or else at the current commit of its revision.
pub(super) fn list(client: &Client, id: &HubId, known: Option<&Commit>) -> Result<Listing, Trouble> {
    let revision = known.map_or(id.revision.as_str(), Commit::as_str);
    let url = |revision: &str| format!("{}/api/{}?blobs=true", client.settings.endpoint, repo(id, revision).api_url());
    let text = client.text(&url(revision)).map_err(|failure| {
        // If the main branch exists, so does the repository, and only the revision is missing.
        let is_there = || client.text(&url("main")).is_ok();
        Trouble::of_repository(client.settings, id, revision, &failure, is_there)
    })?;
    read(&text, id, known).map_err(|refusal| refusal.unwrap_or_else(|| Trouble::strange(&client.settings.endpoint, id)))
}

/// Parses the hub's listing. The error is `None` for an answer that no hub would give.
fn read(text: &str, id: &HubId, known: Option<&Commit>) -> Result<Listing, Option<Trouble>> {
    let answer: Answer = serde_json::from_str(text).map_err(|_| None)?;
    let commit = Commit::parse(&answer.sha).ok_or(None)?;
    if known.is_some_and(|known| *known != commit) {
        return Err(None);
    }
    let is_pickle = |sibling: &&Sibling| PICKLES.iter().any(|end| sibling.rfilename.ends_with(end));
    let pickle = answer.siblings.iter().find(is_pickle).map(|sibling| sibling.rfilename.clone());
    let needed: Vec<Sibling> =
        answer.siblings.into_iter().filter(|sibling| is_needed(id, &sibling.rfilename)).collect();
    if needed.len() > MOST_FILES {
        return Err(Some(Trouble::too_many(id, needed.len(), MOST_FILES)));
    }
    let mut files = needed.into_iter().map(|sibling| sibling.file(id)).collect::<Result<Vec<_>, _>>()?;
    files.sort_by(|one, two| one.path.cmp(&two.path));
    are_apart(&files).ok_or(None)?;
    check(id, pickle.as_deref(), &files).map_err(Some)?;
    Ok(Listing { commit, files })
}

impl Sibling {
    /// Returns the file, if the hub gives all its values and its path does not lead out of a folder.
    fn file(self, id: &HubId) -> Result<RemoteFile, Option<Trouble>> {
        let path = RepoPath::parse(&self.rfilename).ok_or_else(|| Trouble::no_name(id, &self.rfilename))?;
        let hash = match self.lfs {
            Some(lfs) => BlobHash::parse(&lfs.sha256).filter(BlobHash::is_sha256),
            None => self.blob_id.as_deref().and_then(BlobHash::parse).filter(|hash| !hash.is_sha256()),
        };
        let size = self.size.ok_or(None)?;
        if size > LARGEST_FILE {
            return Err(Some(Trouble::too_large(id, &path, size, LARGEST_FILE)));
        }
        Ok(RemoteFile { path, hash: hash.ok_or(None)?, size })
    }
}

/// Returns `None` if a path occurs twice, or is both a file and a folder.
fn are_apart(files: &[RemoteFile]) -> Option<()> {
    let names: HashSet<&str> = files.iter().map(|file| file.path.as_str()).collect();
    let is_apart = |path: &str| !path.match_indices('/').any(|(at, _)| names.contains(&path[..at]));
    (names.len() == files.len() && files.iter().all(|file| is_apart(file.path.as_str()))).then_some(())
}

/// Returns whether a stage reads such a file. Other files are not fetched and are no part of the input's digest.
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
        return path == README || (!is_hidden && data_format(name).is_some() && !ABOUT.contains(&name));
    }
    let is_weights = name.ends_with(".safetensors") || name.ends_with(".safetensors.index.json");
    let is_text = TEXTS.contains(&name) || name.starts_with("chat_template.");
    // Files in subfolders are for other programs, and `consolidated` weights are a second copy.
    name == inner && (is_text || (is_weights && !name.starts_with("consolidated")))
}

/// Refuses a repository in which nothing can be read.
fn check(id: &HubId, pickle: Option<&str>, files: &[RemoteFile]) -> Result<(), Trouble> {
    let has = |end: &str| files.iter().any(|file| file.path.as_str().ends_with(end));
    if id.is_dataset {
        let has_data = files.iter().any(|file| file.path.as_str() != README);
        return if has_data { Ok(()) } else { Err(Trouble::no_data(id)) };
    }
    if !has("config.json") {
        return Err(Trouble::no_model(id, "it has no `config.json`"));
    }
    if !has(".safetensors") {
        let reason =
            pickle.map(|path| format!("its weights are pickles (`{}`), which are never loaded", path.escape_debug()));
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
        assert!(is_needed(&data, "README.md") && !is_needed(&data, "main/README.md"));
        assert!(!is_needed(&data, "README_zh.md") && !is_needed(&data, "dataset_infos.json"));
        assert!(!is_needed(&data, ".cache/x.jsonl") && !is_needed(&data, "load.py"));
        let part = id("a/b@main/main", ArtifactType::Prompts);
        assert!(is_needed(&part, "main/test.jsonl"));
        assert!(!is_needed(&part, "mainly/test.jsonl") && !is_needed(&part, "test.jsonl"));
        assert!(!is_needed(&part, "README.md"));
        assert!(is_needed(&id("a/b@main/x/rows.txt", ArtifactType::Prompts), "x/rows.txt"));
    }

    const SHA: &str = "0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a";

    fn sibling(name: &str) -> String {
        serde_json::json!({ "rfilename": name, "size": 1, "blobId": SHA }).to_string()
    }

    /// Returns the names of the needed files, or the error.
    fn listed(siblings: &[String]) -> Result<Vec<String>, String> {
        let id = HubId::parse("a/b", ArtifactType::Prompts).unwrap();
        let text = format!(r#"{{"sha":"{SHA}","siblings":[{}]}}"#, siblings.join(","));
        match read(&text, &id, None) {
            Ok(listing) => Ok(listing.files.into_iter().map(|file| file.path.to_string()).collect()),
            Err(trouble) => Err(trouble.map_or_else(|| "strange".to_owned(), |trouble| format!("{trouble:?}"))),
        }
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused_or_not_read() {
        assert_eq!(listed(&[sibling("a/b.jsonl")]), Ok(vec!["a/b.jsonl".to_owned()]));
        assert!(listed(&[sibling("README.md")]).unwrap_err().contains("has no data"));
        for name in
            ["../x.jsonl", "a/../x.jsonl", "./x.jsonl", ".git/config", ".git/x.jsonl", "a/.ssh/x.jsonl", "..\\x.jsonl"]
        {
            assert_eq!(listed(&[sibling("x.jsonl"), sibling(name)]), Ok(vec!["x.jsonl".to_owned()]), "{name}");
        }
        for name in ["/etc/x.jsonl", "a//x.jsonl", "a\\..\\x.jsonl", "a\0.jsonl", "\u{1b}[2J.jsonl"] {
            let error = listed(&[sibling("x.jsonl"), sibling(name)]).unwrap_err();
            assert!(error.contains("no file here can have such a name"), "{name:?}: {error}");
            assert!(!error.contains(['\0', '\u{1b}']), "{error:?}");
        }
        for siblings in
            [&["x.jsonl", "x.jsonl"][..], &["x.jsonl/y.jsonl", "x.jsonl"], &["x.jsonl", "x.jsonl/a/y.jsonl"]]
        {
            let siblings: Vec<_> = siblings.iter().map(|name| sibling(name)).collect();
            assert_eq!(listed(&siblings).unwrap_err(), "strange");
        }
    }

    #[test]
    fn what_a_hub_would_not_say_is_not_believed() {
        let with = |rest: &str| listed(&[format!(r#"{{"rfilename":"x.jsonl",{rest}}}"#)]);
        let sha256 = "0b".repeat(32);
        assert!(with(&format!(r#""size":1,"blobId":"{SHA}","lfs":{{"sha256":"{sha256}"}}"#)).is_ok());
        for rest in [
            format!(r#""blobId":"{SHA}""#),
            format!(r#""size":null,"blobId":"{SHA}""#),
            format!(r#""size":-1,"blobId":"{SHA}""#),
            format!(r#""size":1e99,"blobId":"{SHA}""#),
            r#""size":1"#.to_owned(),
            r#""size":1,"blobId":"../../../../../../../../../../etc/cron.d/x""#.to_owned(),
            format!(r#""size":1,"blobId":"{sha256}""#),
            format!(r#""size":1,"blobId":"{SHA}","lfs":{{"sha256":"{SHA}"}}"#),
        ] {
            assert_eq!(with(&rest).unwrap_err(), "strange", "{rest}");
        }
        let error = with(&format!(r#""size":{},"blobId":"{SHA}""#, u64::MAX)).unwrap_err();
        assert!(error.contains("more than the 1.0 TiB"), "{error}");
        let id = HubId::parse("a/b", ArtifactType::Prompts).unwrap();
        let text = format!(r#"{{"sha":"{SHA}","siblings":[{}]}}"#, sibling("x.jsonl"));
        assert!(read(&text, &id, Commit::parse(SHA).as_ref()).is_ok());
        assert!(read(&text, &id, Commit::parse(&"1".repeat(40)).as_ref()).is_err_and(|trouble| trouble.is_none()));
        assert!(read(&text.replace(SHA, "main"), &id, None).is_err_and(|trouble| trouble.is_none()));
    }

    #[test]
    fn a_repository_has_so_many_files_and_no_more() {
        let mut siblings: Vec<_> = (0..MOST_FILES).map(|number| sibling(&format!("{number}.jsonl"))).collect();
        assert_eq!(listed(&siblings).unwrap().len(), MOST_FILES);
        siblings.push(sibling("load.py"));
        assert!(listed(&siblings).is_ok());
        siblings.push(sibling("x.jsonl"));
        assert!(listed(&siblings).unwrap_err().contains("100001 files"));
    }
}
