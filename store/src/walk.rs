//! The files below a folder, following links, each with its path in a manifest.

use std::fs::Metadata;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::path::MemberPath;

/// What a walk leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Skip<'a> {
    /// Finds everything.
    Nothing,
    /// Files and folders that are [beside the data](is_beside), except these in the top folder.
    Beside(&'a [String]),
}

impl Skip<'_> {
    fn skips(self, prefix: &str, name: &str) -> bool {
        match self {
            Self::Nothing => false,
            Self::Beside(except) => is_beside(name) && !(prefix.is_empty() && except.iter().any(|read| read == name)),
        }
    }
}

/// Names of files about a model or data set, before any extension; in small letters.
const ABOUT: [&str; 8] = ["readme", "license", "licence", "copying", "notice", "changelog", "citation", "contributing"];
/// Extensions of texts for people. A file with another one, `license-questions.jsonl`, may be data.
const PROSE: [&str; 6] = ["", "txt", "rst", "html", "pdf", "cff"];
/// What file managers and Python leave behind.
const LEFT_BEHIND: [&str; 4] = ["__pycache__", "Thumbs.db", "desktop.ini", "Icon\r"];

/// Returns whether a file or folder of this name lies beside the data of an input and is no part of it: its name begins
/// with a dot (`.git`, `.DS_Store`, `.cache`), it is a Markdown text, or a readme, licence or the like.
pub fn is_beside(name: &str) -> bool {
    let small = name.to_ascii_lowercase();
    let (stem, extension) = small.rsplit_once('.').unwrap_or((&small, ""));
    name.starts_with('.')
        || LEFT_BEHIND.contains(&name)
        || extension == "md"
        || (PROSE.contains(&extension) && ABOUT.iter().any(|about| stem.starts_with(about)))
}

/// A file below a folder.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) path: PathBuf,
    pub(crate) inside: MemberPath,
    /// Whether it is a link, or was reached through one.
    pub(crate) is_linked: bool,
}

/// Returns every file below `dir`, sorted by name.
pub(crate) fn walk(dir: &Path, skip: Skip<'_>) -> Result<Vec<Found>> {
    let mut walk = Walk { skip, above: Vec::new(), found: Vec::new() };
    walk.folder(dir, "", &fs_err::metadata(dir)?, false)?;
    walk.found.sort_by(|one, two| one.inside.cmp(&two.inside));
    Ok(walk.found)
}

struct Walk<'a> {
    skip: Skip<'a>,
    /// Device and inode of the folders from the top to the current one.
    above: Vec<(u64, u64)>,
    found: Vec<Found>,
}

impl Walk<'_> {
    fn folder(&mut self, dir: &Path, prefix: &str, metadata: &Metadata, is_linked: bool) -> Result<()> {
        let this = (metadata.dev(), metadata.ino());
        if self.above.contains(&this) {
            return Err(Error::Unstorable { path: dir.to_owned(), reason: "it leads to a folder that it lies in" });
        }
        self.above.push(this);
        for entry in fs_err::read_dir(dir)? {
            let entry = entry?;
            let (path, name) = (entry.path(), entry.file_name());
            let Some(name) = name.to_str() else {
                return Err(Error::Unstorable { path, reason: "its name is not UTF-8" });
            };
            if self.skip.skips(prefix, name) {
                continue;
            }
            let is_link = entry.file_type()?.is_symlink();
            let is_linked = is_linked || is_link;
            let metadata = match fs_err::metadata(&path) {
                Err(error) if is_link && error.kind() == ErrorKind::NotFound => {
                    return Err(Error::Unstorable { path, reason: "it is a link that leads nowhere" });
                }
                metadata => metadata?,
            };
            let inside = format!("{prefix}{name}");
            if metadata.is_dir() {
                self.folder(&path, &format!("{inside}/"), &metadata, is_linked)?;
            } else if metadata.is_file() {
                let inside = MemberPath::try_from(inside).expect("a file system has no other names");
                self.found.push(Found { path, inside, is_linked });
            } else {
                return Err(Error::Unstorable { path, reason: "it is neither a file nor a folder" });
            }
        }
        self.above.pop();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "tests remove what they have made")]

    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_is_about_the_data_is_beside_it() {
        for name in [
            ".git",
            ".DS_Store",
            ".gitattributes",
            ".cache",
            ".ipynb_checkpoints",
            "README.md",
            "README",
            "readme.txt",
            "README_zh.md",
            "LICENSE",
            "LICENSE-APACHE",
            "license.txt",
            "NOTICE",
            "CITATION.cff",
            "notes.md",
            "__pycache__",
            "Thumbs.db",
        ] {
            assert!(is_beside(name), "{name}");
        }
        for name in [
            "config.json",
            "tokenizer.model",
            "merges.txt",
            "vocab.txt",
            "train.jsonl",
            "license-questions.jsonl",
            "readme.csv",
            "licenses.parquet",
            "chat_template.jinja",
            "readme.jsonl.gz",
            "md",
            "pytorch_model.bin",
        ] {
            assert!(!is_beside(name), "{name}");
        }
        let except = ["README.md".to_owned()];
        assert!(!Skip::Beside(&except).skips("", "README.md"));
        assert!(Skip::Beside(&except).skips("data/", "README.md") && Skip::Beside(&except).skips("", "NOTICE"));
    }

    #[test]
    fn links_are_followed_but_not_in_a_circle() {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["data/deep", "other"] {
            fs_err::create_dir_all(dir.path().join(folder)).unwrap();
        }
        for file in ["data/a", "data/deep/b", "other/c", "data/.hidden"] {
            fs_err::write(dir.path().join(file), b"").unwrap();
        }
        let data = dir.path().join("data");
        symlink("../other", data.join("linked")).unwrap();
        let names = |skip| walk(&data, skip).unwrap().iter().map(|found| found.inside.to_string()).collect::<Vec<_>>();
        assert_eq!(names(Skip::Beside(&[])), ["a", "deep/b", "linked/c"]);
        assert_eq!(names(Skip::Nothing).len(), 4);
        assert_eq!(walk(&data, Skip::Beside(&[])).unwrap().iter().filter(|found| found.is_linked).count(), 1);
        for (link, target) in [("loop1", "."), ("deep/loop2", "..")] {
            symlink(target, data.join(link)).unwrap();
            let error = walk(&data, Skip::Beside(&[])).unwrap_err().to_string();
            assert!(error.contains(link) && error.contains("a folder that it lies in"), "{error}");
            fs_err::remove_file(data.join(link)).unwrap();
        }
        symlink("/nowhere", data.join("gone")).unwrap();
        let error = walk(&data, Skip::Beside(&[])).unwrap_err().to_string();
        assert!(error.contains("gone") && error.contains("leads nowhere"), "{error}");
    }
}
