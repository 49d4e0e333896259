//! Export: a copy of a tree as a folder that belongs to the user, and files made of what the store has.
//!
//! The folder or file appears complete or not at all, every byte is checked, and no existing file is touched: the
//! destination must be a new name, and the copy is first made beside it under a unique name.

use std::io::Write;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags};
use rustix::io::Errno;

use crate::Store;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::hash::hash_file;
use crate::publish::unique;
use crate::removal::Made;
use crate::root::{named, sync_folder};

impl Store {
    /// Copies a tree to the folder `dest`, which must not exist, for the user to keep and to change.
    pub fn export(&self, digest: &Digest, dest: &Path) -> Result<()> {
        let dest = self.destination(dest)?;
        let parents = Made::parents(&dest)?;
        let draft = Made::folder(dest.with_file_name(format!(".r1flow-{}", unique())))?;
        // The members go into a folder inside the draft, because `lay_out` must make its folder itself.
        let whole = draft.path().join("export");
        self.lay_out(digest, &whole, |member, target| {
            let copy = self.copy_to_new(&member.digest, target)?;
            copy.sync_all()?;
            if hash_file(&copy, target)? == member.digest { Ok(()) } else { Err(self.corrupt(&member.digest)?) }
        })?;
        sync_folder(&whole)?;
        rename_new(&whole, &dest)?;
        sync_folder(dest.parent().expect("it has a last name"))?;
        parents.into_iter().for_each(Made::keep);
        Ok(())
    }

    /// Writes `bytes` to the file `dest`, which must not exist, for the user to keep and to change.
    pub fn export_bytes(&self, bytes: &[u8], dest: &Path) -> Result<()> {
        let dest = self.destination(dest)?;
        let parents = Made::parents(&dest)?;
        let (mut file, draft) = Made::file(dest.with_file_name(format!(".r1flow-{}", unique())))?;
        file.write_all(bytes)?;
        file.sync_all()?;
        rename_new(draft.path(), &dest)?;
        draft.keep();
        sync_folder(dest.parent().expect("it has a last name"))?;
        parents.into_iter().for_each(Made::keep);
        Ok(())
    }

    /// Returns the destination's path; fails if it exists, has no last name, or is inside the store.
    fn destination(&self, dest: &Path) -> Result<PathBuf> {
        let refuse = |reason| Err(Error::Destination { path: dest.to_owned(), reason });
        let Some(name) = dest.file_name() else { return refuse("name a new folder or file: it must not exist yet") };
        if dest.symlink_metadata().is_ok() {
            return refuse("it already exists; name a new one");
        }
        let parent = dest.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let nearest = parent.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("."));
        if fs_err::canonicalize(nearest)?.starts_with(self.root()) {
            return refuse("it lies inside the store");
        }
        Ok(parent.join(name))
    }
}

/// Renames a folder or file to a name that must not exist; not even an empty folder that was made there meanwhile is
/// replaced.
fn rename_new(from: &Path, to: &Path) -> Result<()> {
    match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        // The file system does not support `NOREPLACE`: check first.
        Err(Errno::INVAL | Errno::NOSYS) if to.symlink_metadata().is_err() => Ok(fs_err::rename(from, to)?),
        Err(errno) => Err(named(errno.into(), "create", to).into()),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "tests remove what they have made")]

    use std::os::unix::fs::symlink;

    use super::*;

    /// Returns a store in a new folder, and a tree in it.
    fn stored(dir: &Path) -> (Store, Digest) {
        let store = Store::open(&dir.join("store")).unwrap();
        let attempt = store.new_attempt_dir("a").unwrap();
        for (name, bytes) in [("a", "12"), ("b/c", "3")] {
            fs_err::create_dir_all(attempt.path().join("b")).unwrap();
            fs_err::write(attempt.path().join(name), bytes).unwrap();
        }
        let tree = store.adopt_dir(attempt.path()).unwrap().digest;
        (store, tree)
    }

    fn names(dir: &Path) -> Vec<String> {
        let names = fs_err::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }

    #[test]
    fn an_export_is_the_users_own() {
        let dir = tempfile::tempdir().unwrap();
        let (store, tree) = stored(dir.path());
        let out = dir.path().join("new/out");
        store.export(&tree, &out).unwrap();
        assert_eq!((names(&out), names(&dir.path().join("new"))), (vec!["a".into(), "b".into()], vec!["out".into()]));
        fs_err::write(out.join("a"), b"34").unwrap();
        assert_eq!(store.read(&Digest::of(b"12")).unwrap(), b"12", "the store keeps its own bytes");
    }

    #[test]
    fn what_is_there_is_refused_and_stays() {
        let dir = tempfile::tempdir().unwrap();
        let (store, tree) = stored(dir.path());
        let at = |name: &str| dir.path().join(name);
        fs_err::create_dir_all(at("full/deep")).unwrap();
        fs_err::create_dir(at("empty")).unwrap();
        fs_err::write(at("file"), b"theirs").unwrap();
        symlink(at("file"), at("link")).unwrap();
        symlink(at("nowhere"), at("dangling")).unwrap();
        let before = names(dir.path());
        let taken = ["full", "full/.", "full/..", "full/deep/..", "empty", "file", "link", "dangling", "file/below"];
        for name in taken.iter().chain(&["store/objects/x", "store/new"]).chain(&["", "."]) {
            assert!(store.export(&tree, &at(name)).is_err(), "{name}");
            assert_eq!((names(dir.path()), names(&at("full"))), (before.clone(), vec!["deep".to_owned()]), "{name}");
        }
        for name in ["/", ".", "..", "", "/.."] {
            assert!(matches!(store.export(&tree, Path::new(name)), Err(Error::Destination { .. })), "{name}");
        }
        assert_eq!(fs_err::read(at("file")).unwrap(), b"theirs");
        assert!(names(&at("empty")).is_empty());
    }

    #[test]
    fn a_file_of_the_users_own_replaces_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = stored(dir.path());
        let at = |name: &str| dir.path().join(name);
        store.export_bytes(b"mine", &at("new/rows.md")).unwrap();
        assert_eq!(fs_err::read(at("new/rows.md")).unwrap(), b"mine");
        symlink(at("nowhere"), at("new/dangling")).unwrap();
        for name in ["new/rows.md", "new/dangling", "new", "store/rows.md", "new/rows.md/below", ""] {
            assert!(store.export_bytes(b"other", &at(name)).is_err(), "{name}");
        }
        assert_eq!(fs_err::read(at("new/rows.md")).unwrap(), b"mine");
        assert_eq!(names(&at("new")), ["dangling", "rows.md"], "no draft is left");
    }

    #[test]
    fn a_damaged_object_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let (store, tree) = stored(dir.path());
        let object = store.object_path(&Digest::of(b"3"));
        fs_err::remove_file(&object).unwrap();
        fs_err::write(&object, b"4").unwrap();
        assert!(matches!(store.export(&tree, &dir.path().join("new/out")), Err(Error::Corrupt { .. })));
        assert_eq!(names(dir.path()), ["store"]);
    }
}
