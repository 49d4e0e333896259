//! The files below a folder, following links, each with its path in a manifest.

use std::fs::Metadata;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::path::MemberPath;

/// What a walk leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Skip {
    /// Finds everything.
    Nothing,
    /// Files and folders whose names begin with a dot: `.git`, `.DS_Store`, `.cache`.
    Hidden,
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
pub(crate) fn walk(dir: &Path, skip: Skip) -> Result<Vec<Found>> {
    let mut walk = Walk { skip, above: Vec::new(), found: Vec::new() };
    walk.folder(dir, "", &fs_err::metadata(dir)?, false)?;
    walk.found.sort_by(|one, two| one.inside.cmp(&two.inside));
    Ok(walk.found)
}

struct Walk {
    skip: Skip,
    /// Device and inode of the folders from the top to the current one.
    above: Vec<(u64, u64)>,
    found: Vec<Found>,
}

impl Walk {
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
            if self.skip == Skip::Hidden && name.starts_with('.') {
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
        assert_eq!(names(Skip::Hidden), ["a", "deep/b", "linked/c"]);
        assert_eq!(names(Skip::Nothing).len(), 4);
        assert_eq!(walk(&data, Skip::Hidden).unwrap().iter().filter(|found| found.is_linked).count(), 1);
        for (link, target) in [("loop1", "."), ("deep/loop2", "..")] {
            symlink(target, data.join(link)).unwrap();
            let error = walk(&data, Skip::Hidden).unwrap_err().to_string();
            assert!(error.contains(link) && error.contains("a folder that it lies in"), "{error}");
            fs_err::remove_file(data.join(link)).unwrap();
        }
        symlink("/nowhere", data.join("gone")).unwrap();
        let error = walk(&data, Skip::Hidden).unwrap_err().to_string();
        assert!(error.contains("gone") && error.contains("leads nowhere"), "{error}");
    }
}
