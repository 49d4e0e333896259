//! Paths from outside: relative paths that cannot leave the folder they are relative to.
//!
//! Another program may have written a manifest, and a worker may send any text. Text becomes a [`MemberPath`] once,
//! where it is read; code that has one needs no further check.

use std::ffi::OsStr;
use std::fmt;
use std::ops::Deref;
use std::path::{Component, Path};

use serde::{Deserialize, Serialize};

/// A path of a file inside a folder: relative, with `/` between names, none of which is empty, `.` or `..`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MemberPath(String);

/// The text is not a path inside a folder.
#[derive(Debug, thiserror::Error)]
#[error("`{}` is not a path inside a folder", .0.escape_debug())]
pub struct NotInside(pub String);

impl TryFrom<String> for MemberPath {
    type Error = NotInside;

    fn try_from(text: String) -> Result<Self, NotInside> {
        let is_name = |name: &str| !matches!(name, "" | "." | "..") && !name.contains('\0');
        if text.split('/').all(is_name) { Ok(Self(text)) } else { Err(NotInside(text)) }
    }
}

impl From<MemberPath> for String {
    fn from(path: MemberPath) -> Self {
        path.0
    }
}

impl MemberPath {
    /// Returns the path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Deref for MemberPath {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl AsRef<OsStr> for MemberPath {
    fn as_ref(&self) -> &OsStr {
        self.0.as_ref()
    }
}

impl AsRef<Path> for MemberPath {
    fn as_ref(&self) -> &Path {
        self.0.as_ref()
    }
}

impl PartialEq<str> for MemberPath {
    fn eq(&self, other: &str) -> bool {
        self.0 == other
    }
}

impl PartialEq<&str> for MemberPath {
    fn eq(&self, other: &&str) -> bool {
        self.0 == *other
    }
}

impl fmt::Display for MemberPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Returns `path` relative to `folder` if it is strictly below it, judged by names alone.
pub(crate) fn below<'a>(folder: &Path, path: &'a Path) -> Option<&'a Path> {
    let inside = path.strip_prefix(folder).ok()?;
    let mut names = inside.components().peekable();
    names.peek()?;
    names.all(|name| matches!(name, Component::Normal(_))).then_some(inside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leaves_its_folder_is_no_path_inside_it() {
        let read = |text: &str| serde_json::from_value::<MemberPath>(text.into()).ok();
        for text in ["a", "a/b", "..a", "a/...", "a b\nc", "-rf", "é"] {
            assert_eq!(read(text).as_deref(), Some(text));
        }
        for text in ["", ".", "..", "/", "/a", "a/", "a//b", "../a", "a/../b", "a/..", "./a", "a\0"] {
            assert!(read(text).is_none(), "{text:?}");
        }
    }

    #[test]
    fn below_is_strict_and_by_names() {
        let below = |path: &'static str| below(Path::new("/s"), Path::new(path)).and_then(Path::to_str);
        assert_eq!(below("/s/a/b"), Some("a/b"));
        for path in ["/s", "/s/", "/", "/sa", "a", "/s/..", "/s/a/../../b"] {
            assert_eq!(below(path), None, "{path}");
        }
    }
}
