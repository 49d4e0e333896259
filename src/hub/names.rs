//! Checked text from the hub, the cache and the store: commits, hashes, file names.
//!
//! The idea to know: text from outside becomes one of these types or is refused, so that no unchecked name becomes part
//! of a path or of a URL.

use std::fmt;

/// The longest file name in bytes on Linux's file systems.
const LONGEST_PART: usize = 255;
const LONGEST_PATH: usize = 1024;
/// Digits of git's SHA-1.
const OF_SHA1: usize = 40;
const OF_SHA256: usize = 64;

/// A commit: 40 hex digits, in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Commit(String);

impl Commit {
    pub(super) fn parse(text: &str) -> Option<Self> {
        hex(text, OF_SHA1).map(Self)
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Commit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The hash that names a file's bytes on the hub and in caches: SHA-256 of a large file, git's SHA-1 of a small one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BlobHash(String);

impl BlobHash {
    pub(super) fn parse(text: &str) -> Option<Self> {
        hex(text, OF_SHA1).or_else(|| hex(text, OF_SHA256)).map(Self)
    }

    pub(super) fn is_sha256(&self) -> bool {
        self.0.len() == OF_SHA256
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// A file's path in a repository: names separated by `/`, none of which leads upwards.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct RepoPath(String);

impl RepoPath {
    /// Returns `None` for hidden names, too: no file whose name begins with a dot is read, and this excludes `..`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let is_plain = |part: &str| {
            (1..=LONGEST_PART).contains(&part.len())
                && !part.starts_with('.')
                && !part.contains(|each: char| each == '\\' || each.is_control())
        };
        (text.len() <= LONGEST_PATH && text.split('/').all(is_plain)).then(|| Self(text.to_owned()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the name without its folders.
    pub(super) fn last(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    /// Returns the number of folders above the file.
    pub(super) fn depth(&self) -> usize {
        self.0.matches('/').count()
    }
}

impl fmt::Display for RepoPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn hex(text: &str, digits: usize) -> Option<String> {
    let is_hex = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_have_their_digits_and_no_more() {
        assert_eq!(Commit::parse(&"0A".repeat(20)).unwrap().as_str(), "0a".repeat(20));
        for text in ["", "main", &"0a".repeat(19), &"0a".repeat(21), &"../".repeat(14)[..40], &"0g".repeat(20)] {
            assert!(Commit::parse(text).is_none(), "{text}");
            assert!(BlobHash::parse(text).is_none(), "{text}");
        }
        assert!(Commit::parse(&"0a".repeat(32)).is_none());
        assert!(BlobHash::parse(&"0a".repeat(32)).unwrap().is_sha256());
        assert!(!BlobHash::parse(&"0a".repeat(20)).unwrap().is_sha256());
    }

    #[test]
    fn a_path_leads_down() {
        for text in ["a", "a/b.json", "a b/c", "ä/ö.csv", "a..b", "x-00001-of-00002.safetensors"] {
            assert_eq!(RepoPath::parse(text).unwrap().as_str(), text);
        }
        let long = "x".repeat(256);
        let deep = "x/".repeat(600) + "y";
        for text in [
            "",
            "/",
            "/etc/passwd",
            "../x",
            "a/../x",
            "a/..",
            ".",
            "./x",
            "a/./x",
            "a//x",
            "a/",
            ".git/config",
            "a/.ssh",
            "a\\b",
            "..\\x",
            "a\0b",
            "a\nb",
            "a\u{1b}[2J",
            &long,
            &deep,
        ] {
            assert!(RepoPath::parse(text).is_none(), "{text:?}");
        }
    }
}
