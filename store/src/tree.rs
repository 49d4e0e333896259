//! Trees: folders as manifests of objects.
//!
//! A manifest is canonical JSON, sorted by path, and an object itself; its digest names the folder's content. Empty
//! folders, modes, times and owners are not part of it.

use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::Store;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::hash::{hash_file, open_file};
use crate::layout;
use crate::path::{MemberPath, below};
use crate::publish::{Unsynced, read_only_mode};
use crate::root::named;
use crate::walk::{Found, Skip, walk};

/// A folder's content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tree {
    /// Files, sorted by path.
    pub members: Vec<Member>,
}

/// A file in a tree.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Member {
    /// Path relative to the folder.
    pub path: MemberPath,
    /// The digest of its bytes.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
}

/// A stored tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeRef {
    /// The manifest's digest.
    pub digest: Digest,
    /// Bytes of all members.
    pub bytes: u64,
}

impl Tree {
    /// Returns the bytes of all members.
    pub fn bytes(&self) -> u64 {
        self.members.iter().fold(0, |sum, member| sum.saturating_add(member.size))
    }

    /// Returns the tree's digest and size.
    pub fn reference(&self) -> TreeRef {
        TreeRef { digest: Digest::of(&self.encode()), bytes: self.bytes() }
    }

    fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a manifest is plain data")
    }
}

impl Store {
    /// Returns a stored tree, verified.
    pub fn tree(&self, digest: &Digest) -> Result<Tree> {
        let not_a_tree = |reason: String| Error::NotATree { digest: *digest, reason };
        let tree: Tree = serde_json::from_slice(&self.read(digest)?).map_err(|error| not_a_tree(error.to_string()))?;
        if !tree.members.is_sorted_by(|one, two| one.path < two.path) {
            return Err(not_a_tree("its paths are not in order, or one of them is there twice".to_owned()));
        }
        Ok(tree)
    }

    /// Returns whether a tree's manifest and all members are present with the right sizes. An object that is not
    /// read-only is hashed again, because it may have been changed.
    pub fn is_whole(&self, digest: &Digest) -> bool {
        self.tree(digest).is_ok_and(|tree| self.is_present(digest, &tree.members))
    }

    /// Does the same as [`Store::is_whole`] for a tree whose members are known.
    pub(crate) fn is_present(&self, digest: &Digest, members: &[Member]) -> bool {
        let is_intact = |digest: &Digest| self.is_intact(digest).unwrap_or(false);
        self.are_present(digest, members.iter().map(|member| (member.digest, member.size)), is_intact)
    }

    /// Does the same from digests and sizes of the members. `is_intact` decides about objects that are not read-only.
    pub(crate) fn are_present(
        &self,
        manifest: &Digest,
        mut members: impl Iterator<Item = (Digest, u64)>,
        is_intact: impl Fn(&Digest) -> bool,
    ) -> bool {
        let is_there = |digest: &Digest, size: Option<u64>| {
            fs_err::symlink_metadata(self.object_path(digest)).is_ok_and(|found| {
                let is_untouched = found.permissions().readonly();
                // Of a manifest no record has the size; a power cut leaves it empty or whole.
                let is_long_enough = size.map_or(found.len() > 0, |size| found.len() == size);
                found.is_file() && is_long_enough && (is_untouched || is_intact(digest))
            })
        };
        is_there(manifest, None) && members.all(|(digest, size)| is_there(&digest, Some(size)))
    }

    /// Reads every byte of a tree, and fails at the first object that is missing or does not match its name; a damaged
    /// one is moved to quarantine.
    pub fn check_tree(&self, digest: &Digest) -> Result<()> {
        self.tree(digest)?.members.iter().try_for_each(|member| self.check_bytes(&member.digest))
    }

    /// Returns the digest of an input: of a file's bytes, or of a folder's tree without what is [beside](is_beside) its
    /// data, except the files `read` of the top folder. Path, times, owner and mode have no influence. Anything but a
    /// file or folder is refused.
    ///
    /// [is_beside]: crate::is_beside
    pub fn hash_path(&self, path: &Path, read: &[String]) -> Result<Digest> {
        self.hash(path, Skip::Beside(read))
    }

    /// Returns the digest that a folder would have in the store.
    pub fn hash_output(&self, path: &Path) -> Result<Digest> {
        self.hash(path, Skip::Nothing)
    }

    fn hash(&self, path: &Path, skip: Skip<'_>) -> Result<Digest> {
        if fs_err::metadata(path)?.is_dir() {
            // Members are hashed one by one, so that digests of large ones come from the cache.
            return Ok(scan_with(path, skip, |file, path| self.hash_large(file, path))?.reference().digest);
        }
        self.hash_large(&open_file(path)?, path)
    }

    /// Moves a folder's files into the store, durably.
    pub fn adopt_dir(&self, dir: &Path) -> Result<TreeRef> {
        let (tree, unsynced) = self.move_in(dir)?;
        unsynced.sync()?;
        Ok(tree.reference())
    }

    /// Moves a folder's files, which a worker has written inside its attempt, into the store. Files that the folder
    /// only links to are copied. Readers see all of the tree at once, but a power cut may take it until the returned
    /// [`Unsynced`] has been synced.
    pub fn move_in(&self, dir: &Path) -> Result<(Tree, Unsynced)> {
        let mut members = Vec::new();
        for found in walk(dir, Skip::Nothing)? {
            let draft = self.own_file(&found)?;
            let path = self.root.path().join(&draft);
            let file = self.root.open_file(&draft)?;
            let (digest, size) = (hash_file(&file, &path)?, file.metadata()?.len());
            self.name_object(&draft, &digest)?;
            members.push(Member { path: found.inside, digest, size });
        }
        let tree = Tree { members };
        // The manifest comes last: when it can be read, every member is there.
        let (_, mut unsynced) = self.write_in(&tree.encode())?;
        unsynced.extend(Unsynced::of(&self.root, tree.members.iter().map(|member| layout::object(&member.digest))));
        Ok((tree, unsynced))
    }

    /// Returns the path of a file inside the store with these bytes and no other name: the file itself, or a copy.
    pub(crate) fn own_file(&self, found: &Found) -> Result<PathBuf> {
        if let Some(inside) = below(self.root.path(), &found.path).filter(|_| !found.is_linked)
            && self.root.stat(inside)?.is_some_and(|stat| stat.st_nlink == 1)
        {
            return Ok(inside.to_owned());
        }
        let draft = self.scratch_name("draft")?;
        let mut copy = self.root.create_new(&draft)?;
        std::io::copy(&mut open_file(&found.path)?, &mut copy)?;
        Ok(draft)
    }

    /// Lays a tree out as the folder `dest`, which must not exist: read-only files, linked if possible, whose bytes
    /// have been checked.
    pub fn materialise(&self, digest: &Digest, dest: &Path) -> Result<()> {
        self.lay_out(digest, dest, |member, target| {
            self.check_object(&member.digest)?;
            if fs_err::hard_link(self.object_path(&member.digest), target).is_err() {
                let copy = self.copy_to_new(&member.digest, target)?;
                copy.set_permissions(PermissionsExt::from_mode(read_only_mode()))?;
            }
            Ok(())
        })
    }

    /// Lays a tree out as the folder `dest`, which must not exist, as symbolic links to its objects. Nothing is read or
    /// checked: it is for a quick look. [`hold`](Self::hold) keeps the objects for so long.
    pub fn link_out(&self, digest: &Digest, dest: &Path) -> Result<()> {
        self.lay_out(digest, dest, |member, target| {
            let object = self.object_path(&member.digest);
            Ok(std::os::unix::fs::symlink(object, target).map_err(|error| named(error, "link", target))?)
        })
    }

    /// Copies an object to a file, which must not exist yet, and returns the open file.
    pub(crate) fn copy_to_new(&self, digest: &Digest, target: &Path) -> Result<File> {
        let mut options = fs_err::OpenOptions::new();
        let mut copy = options.read(true).write(true).create_new(true).open(target)?.into_parts().0;
        std::io::copy(&mut self.open_object(digest)?, &mut copy).map_err(|error| named(error, "copy to", target))?;
        Ok(copy)
    }

    /// Makes the folder `dest` with a tree's folders in it, and calls `put` with each member and its path there.
    pub(crate) fn lay_out(
        &self,
        digest: &Digest,
        dest: &Path,
        put: impl Fn(&Member, &Path) -> Result<()>,
    ) -> Result<()> {
        let tree = self.tree(digest)?;
        fs_err::create_dir(dest)?;
        for member in &tree.members {
            let target = dest.join(&member.path);
            if member.path.contains('/') {
                fs_err::create_dir_all(target.parent().expect("a file lies in a folder"))?;
            }
            put(member, &target)?;
        }
        Ok(())
    }
}

/// Returns the tree of a folder without storing it; `hash` computes the digests of its members.
pub(crate) fn scan_with(dir: &Path, skip: Skip, hash: impl Fn(&File, &Path) -> Result<Digest>) -> Result<Tree> {
    let members = walk(dir, skip)?.into_iter().map(|found| {
        let file = open_file(&found.path)?;
        Ok(Member { digest: hash(&file, &found.path)?, size: file.metadata()?.len(), path: found.inside })
    });
    Ok(Tree { members: members.collect::<Result<_>>()? })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "tests remove what they have made")]

    use std::os::unix::fs::symlink;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn write(dir: &Path, files: &[(&str, &[u8])]) {
        for (name, bytes) in files {
            let path = dir.join(name);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, bytes).unwrap();
        }
    }

    #[test]
    fn order_and_time_do_not_matter() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        write(one.path(), &[("a", b"1"), ("b/c", b"2")]);
        write(two.path(), &[("b/c", b"2"), ("a", b"1")]);
        let digest = |dir: &Path| scan_with(dir, Skip::Nothing, hash_file).unwrap().reference().digest;
        assert_eq!(digest(one.path()), digest(two.path()));
        fs_err::rename(two.path().join("a"), two.path().join("z")).unwrap();
        assert_ne!(digest(one.path()), digest(two.path()));
    }

    #[test]
    fn a_member_that_is_gone_or_short_makes_a_tree_incomplete() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        write(&dir.path().join("in"), &[("a", b"12"), ("b", b"3")]);
        let stored = store.adopt_dir(&dir.path().join("in")).unwrap();
        assert!(dir.path().join("in/a").exists(), "what is not the store's own is copied");
        let member = store.object_path(&Digest::of(b"12"));
        fs_err::remove_file(&member).unwrap();
        assert!(!store.is_whole(&stored.digest));
        fs_err::write(&member, b"1").unwrap();
        assert!(!store.is_whole(&stored.digest));
    }

    #[test]
    fn what_an_output_links_to_is_copied_and_stays_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        write(dir.path(), &[("theirs/a", b"1"), ("theirs/b", b"2"), ("theirs/c", b"3")]);
        let theirs = dir.path().join("theirs");
        let attempt = store.new_attempt_dir("a").unwrap();
        symlink(theirs.join("a"), attempt.path().join("link")).unwrap();
        symlink(&theirs, attempt.path().join("folder")).unwrap();
        fs_err::hard_link(theirs.join("c"), attempt.path().join("second")).unwrap();
        let tree = store.adopt_dir(attempt.path()).unwrap();
        let names: Vec<_> = store.tree(&tree.digest).unwrap().members.iter().map(|it| it.path.to_string()).collect();
        assert_eq!(names, ["folder/a", "folder/b", "folder/c", "link", "second"]);
        for (file, bytes) in [("a", b"1"), ("b", b"2"), ("c", b"3")] {
            assert_eq!(fs_err::read(theirs.join(file)).unwrap(), bytes);
            assert!(!fs_err::metadata(theirs.join(file)).unwrap().permissions().readonly());
            fs_err::write(theirs.join(file), b"changed").unwrap();
            assert_eq!(store.read(&Digest::of(bytes)).unwrap(), bytes);
        }
    }

    #[test]
    fn a_manifest_that_leads_outside_is_no_tree() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let digest = store.put_bytes(b"theirs").unwrap();
        let member = |path: &str| json!({ "path": path, "digest": digest, "size": 6 });
        let escaping = dir.path().join("escaped");
        let lists = [
            vec![member("../escaped")],
            vec![member(escaping.to_str().unwrap())],
            vec![member("a/../../escaped")],
            vec![member("a"), member("a")],
            vec![member("b"), member("a")],
        ];
        for members in lists {
            let manifest = json!({ "members": members }).to_string();
            let tree = store.put_bytes(manifest.as_bytes()).unwrap();
            let out = dir.path().join("out");
            for result in [store.export(&tree, &out), store.materialise(&tree, &out)] {
                assert!(matches!(result, Err(Error::NotATree { .. })), "{manifest}: {result:?}");
            }
            assert!(!out.exists() && !escaping.exists());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn a_folder_survives_the_store(
            files in prop::collection::btree_map("[a-z]{1,4}(/[a-z]{1,4}x)?", prop::collection::vec(any::<u8>(), 0..64), 0..8)
        ) {
            let dir = tempfile::tempdir().unwrap();
            let store = Store::open(&dir.path().join("store")).unwrap();
            let source = dir.path().join("in");
            fs_err::create_dir_all(&source).unwrap();
            // A name cannot be both a file and a folder.
            let is_folder = |name: &str| files.keys().any(|other| other.starts_with(&format!("{name}/")));
            let files: Vec<_> = files.iter().filter(|(name, _)| name.contains('/') || !is_folder(name)).collect();
            for (name, bytes) in &files {
                write(&source, &[(name.as_str(), bytes.as_slice())]);
            }
            let stored = store.adopt_dir(&source).unwrap();
            let out = dir.path().join("out");
            store.materialise(&stored.digest, &out).unwrap();
            for (name, bytes) in files {
                prop_assert_eq!(&fs_err::read(out.join(name)).unwrap(), bytes);
            }
            prop_assert_eq!(store.hash_output(&out).unwrap(), stored.digest);
        }
    }
}
