//! Ids of content on the Hugging Face hub: `hf:org/name@revision/folder`.
//!
//! An id says where content comes from and is never hashed. This file parses ids; the caller fetches the content.

use std::fmt;
use std::path::PathBuf;

use crate::artifact::ArtifactType;
use crate::diagnostic::Span;

/// The beginning of an id, which tells it from a path.
pub const PREFIX: &str = "hf:";
const MAIN: &str = "main";
/// Most bytes of a revision, with `%2F` for each slash, because it is part of a file's name.
const LONGEST_REVISION: usize = 240;
/// The same for a folder; the file's name has a commit before it.
const LONGEST_FOLDER: usize = 190;

/// A repository of the hub, or a folder or file in it, at a revision.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HubId {
    /// Whether it is a data set; otherwise it is a model.
    pub is_dataset: bool,
    /// `org/name`.
    pub name: String,
    /// A branch, a tag or a commit.
    pub revision: String,
    /// The path of a folder or file in it, with `/`; empty for the whole repository.
    pub folder: String,
}

/// An input that comes from a hub.
#[derive(Clone, Debug, PartialEq)]
pub struct HubInput {
    /// Its id.
    pub id: HubId,
    /// Its place in the workflow file.
    pub span: Span,
    /// What has been fetched of it.
    pub fetched: Option<Fetched>,
}

/// What has been fetched of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// The commit that the revision resolved to.
    pub commit: String,
    /// The file or folder to read, absolute.
    pub path: PathBuf,
}

impl HubInput {
    /// Returns the id and the commit that it resolved to; `None` if nothing has been fetched.
    pub fn version(&self) -> Option<String> {
        Some(format!("{} at {}", self.id, self.fetched.as_ref()?.commit))
    }
}

impl HubId {
    /// Parses what follows [`PREFIX`]; `artifact` decides between models and data sets. The error says what is wrong,
    /// in a few words.
    pub fn parse(text: &str, artifact: ArtifactType) -> Result<Self, String> {
        let is_dataset = match artifact {
            ArtifactType::Model | ArtifactType::RewardModel => false,
            ArtifactType::Prompts | ArtifactType::Samples | ArtifactType::Preferences => true,
            ArtifactType::Logits => return Err("logits do not come from a hub".to_owned()),
            ArtifactType::Report => return Err("reports do not come from a hub".to_owned()),
            ArtifactType::Text => return Err("texts do not come from a hub".to_owned()),
        };
        let (name, rest) = text.split_once('@').map_or((text, None), |(name, rest)| (name, Some(rest)));
        let parts: Vec<&str> = name.split('/').collect();
        match parts.as_slice() {
            ["models" | "datasets", _, _] => return Err("the key says already what it is".to_owned()),
            [_, _] => {}
            [_] => return Err("an organisation and a name are needed".to_owned()),
            _ => return Err("a folder stands behind the revision".to_owned()),
        }
        if let Some(part) = parts.iter().find(|part| !is_name(part)) {
            return Err(format!("`{part}` is no name on the hub"));
        }
        let (revision, folder) = rest.map_or((MAIN, ""), split_revision);
        let is_plain = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.contains(['\\', '?', '#', '%']);
        // Slashes of a branch are written `%2F`, as everywhere on the hub.
        let revision = revision.replace("%2F", "/");
        if !revision.split('/').all(is_plain) || revision.contains(char::is_whitespace) {
            return Err(format!("`{revision}` is no revision"));
        }
        let folder = folder.trim_end_matches('/');
        if !folder.is_empty() && !folder.split('/').all(is_plain) {
            return Err(format!("`{folder}` is no folder of a repository"));
        }
        // Both become parts of file names, together with a commit and the suffix of a draft.
        let is_long = |text: &str, most: usize| text.replace('/', "%2F").len() > most;
        if is_long(&revision, LONGEST_REVISION) {
            return Err(format!("its revision has more than {LONGEST_REVISION} bytes"));
        }
        if is_long(folder, LONGEST_FOLDER) {
            return Err(format!("its folder has more than {LONGEST_FOLDER} bytes"));
        }
        Ok(Self { is_dataset, name: name.to_owned(), revision, folder: folder.to_owned() })
    }

    /// Returns whether its revision is a commit, which always resolves to the same content.
    pub fn is_commit(&self) -> bool {
        self.revision.len() == 40 && self.revision.bytes().all(|byte| byte.is_ascii_hexdigit())
    }
}

impl fmt::Display for HubId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}@{}", self.name, self.revision)?;
        if self.folder.is_empty() { Ok(()) } else { write!(f, "/{}", self.folder) }
    }
}

/// Returns the id that was probably meant by a path that is not there: an address of the hub's site, `HF:…`, or
/// `org/name`. A name that ends as files of data do, or whose first folder `exists`, is a path.
pub(super) fn meant(text: &str, artifact: ArtifactType, exists: impl Fn(&str) -> bool) -> Option<String> {
    let site = text.trim_start_matches("https://").trim_start_matches("http://");
    let site =
        ["huggingface.co/", "www.huggingface.co/", "hf.co/"].iter().find_map(|site_of| site.strip_prefix(site_of));
    let id = if let Some(rest) = site {
        let parts: Vec<&str> =
            rest.trim_start_matches("datasets/").split('/').filter(|part| !part.is_empty()).collect();
        match parts.as_slice() {
            [org, name] => format!("{org}/{name}"),
            [org, name, "tree" | "blob" | "resolve", rest @ ..] => format!("{org}/{name}@{}", rest.join("/")),
            _ => return None,
        }
    } else if text.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX)) {
        text[PREFIX.len()..].to_owned()
    } else {
        let is_plain = !text.starts_with(['.', '/', '~']) && text.matches('/').count() == 1 && !is_file_of_data(text);
        let folder = text.split('/').next().unwrap_or_default();
        if !is_plain || exists(folder) {
            return None;
        }
        text.to_owned()
    };
    HubId::parse(&id, artifact).is_ok().then(|| format!("{PREFIX}{id}"))
}

/// Returns whether a name ends as files of data and of models do. `Qwen2.5-0.5B` has a point and no such end.
pub(super) fn is_file_of_data(text: &str) -> bool {
    const ENDS: [&str; 21] = [
        "arrow",
        "bin",
        "csv",
        "gguf",
        "gz",
        "json",
        "jsonl",
        "md",
        "ndjson",
        "parquet",
        "pt",
        "pth",
        "py",
        "safetensors",
        "toml",
        "tsv",
        "txt",
        "yaml",
        "yml",
        "zip",
        "zst",
    ];
    let end = text.rsplit_once('.').map_or("", |(_, end)| end).to_ascii_lowercase();
    ENDS.contains(&end.as_str())
}

/// Splits `main/folder` into revision and folder. The hub's own references, `refs/convert/parquet` and `refs/pr/1`,
/// contain slashes.
fn split_revision(text: &str) -> (&str, &str) {
    let is_reference = text.starts_with("refs/convert/") || text.starts_with("refs/pr/");
    let end = text.match_indices('/').map(|(at, _)| at).nth(if is_reference { 2 } else { 0 });
    end.map_or((text, ""), |end| (&text[..end], &text[end + 1..]))
}

/// Returns whether a text follows the hub's rule for names.
fn is_name(text: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=96).contains(&text.len())
        && text.bytes().all(is_inner)
        && !text.starts_with(['-', '.'])
        && !text.ends_with(['-', '.'])
        && !text.contains("--")
        && !text.contains("..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_proposed_only_for_what_is_no_file_of_ones_own() {
        let model = |text: &str| meant(text, ArtifactType::Model, |_| false);
        assert_eq!(model("Qwen/Qwen2.5-0.5B").as_deref(), Some("hf:Qwen/Qwen2.5-0.5B"));
        assert_eq!(model("HF:Qwen/Qwen2.5-0.5B").as_deref(), Some("hf:Qwen/Qwen2.5-0.5B"));
        assert_eq!(model("https://huggingface.co/Qwen/Qwen2.5-0.5B").as_deref(), Some("hf:Qwen/Qwen2.5-0.5B"));
        let tree = "huggingface.co/datasets/openai/gsm8k/tree/main/main";
        assert_eq!(meant(tree, ArtifactType::Prompts, |_| false).as_deref(), Some("hf:openai/gsm8k@main/main"));
        let own = [
            "data/w.jsonl",
            "data/w.JSONL",
            "data/w.parquet",
            "./data/w",
            "/data/w",
            "../w",
            "~/w",
            "w",
            "a/b/c",
            "a/b.zst",
        ];
        for own in own {
            assert_eq!(meant(own, ArtifactType::Prompts, |_| false), None, "{own}");
        }
        assert_eq!(meant("data/w", ArtifactType::Prompts, |folder| folder == "data"), None, "its folder is there");
        assert_eq!(meant("data/w", ArtifactType::Text, |_| false), None, "texts do not come from a hub");
    }

    #[test]
    fn ids_are_read_and_written() {
        let cases = [
            ("openai/gsm8k", "openai/gsm8k", "main", "", "hf:openai/gsm8k@main"),
            ("a/b.c@v1", "a/b.c", "v1", "", "hf:a/b.c@v1"),
            ("a/b@main/data/en/", "a/b", "main", "data/en", "hf:a/b@main/data/en"),
            ("a/b@refs/convert/parquet", "a/b", "refs/convert/parquet", "", "hf:a/b@refs/convert/parquet"),
            ("a/b@refs/pr/1/main", "a/b", "refs/pr/1", "main", "hf:a/b@refs/pr/1/main"),
            ("a/b@my%2Fbranch/x", "a/b", "my/branch", "x", "hf:a/b@my/branch/x"),
        ];
        for (text, name, revision, folder, shown) in cases {
            let id = HubId::parse(text, ArtifactType::Prompts).unwrap();
            assert_eq!(
                (id.name.as_str(), id.revision.as_str(), id.folder.as_str()),
                (name, revision, folder),
                "{text}"
            );
            assert_eq!(id.to_string(), shown);
        }
        assert!(HubId::parse("a/b", ArtifactType::Prompts).unwrap().is_dataset);
        let commit = HubId::parse(&format!("a/b@{}", "0a".repeat(20)), ArtifactType::Model).unwrap();
        assert!(commit.is_commit() && !commit.is_dataset);
    }

    #[test]
    fn what_is_no_id_is_refused() {
        let cases = [
            ("", "an organisation and a name are needed"),
            ("gpt2", "an organisation and a name are needed"),
            ("datasets/openai/gsm8k", "the key says already what it is"),
            ("openai/gsm8k/main", "a folder stands behind the revision"),
            ("a/..", "`..` is no name on the hub"),
            ("a b/c", "`a b` is no name on the hub"),
            ("a/b--c", "`b--c` is no name on the hub"),
            ("a/b@", "`` is no revision"),
            ("a/b@../x", "`..` is no revision"),
            ("a/b@%2F..", "`/..` is no revision"),
            ("a/b@main/../x", "`../x` is no folder of a repository"),
            ("a/b@main/x//y", "`x//y` is no folder of a repository"),
        ];
        for (text, expected) in cases {
            assert_eq!(HubId::parse(text, ArtifactType::Model).unwrap_err(), expected, "{text}");
        }
        let long = |revision: usize, folder: usize| {
            HubId::parse(&format!("a/b@{}/{}", "r".repeat(revision), "f".repeat(folder)), ArtifactType::Model)
        };
        assert!(long(240, 190).is_ok());
        assert_eq!(long(241, 1).unwrap_err(), "its revision has more than 240 bytes");
        assert_eq!(long(1, 191).unwrap_err(), "its folder has more than 190 bytes");
        assert_eq!(HubId::parse("a/b", ArtifactType::Report).unwrap_err(), "reports do not come from a hub");
    }
}
