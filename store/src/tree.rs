//! Trees: folders as manifests of objects.
//!
//! A manifest is canonical JSON, sorted by path, and an object itself; its digest names the folder's content. Empty
//! folders, times and owners are not part of it.

use std::fs::Metadata;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::object::hash_file;
use crate::publish::Unsynced;
use crate::{Store, layout, publish};

/// A folder's content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tree {
    /// Files, sorted by path.
    pub members: Vec<Member>,
}

/// A file in a tree.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Member {
    /// Path relative to the folder, with `/`.
    pub path: String,
    /// Its bytes.
    pub digest: Digest,
    /// Their number.
    pub size: u64,
    /// Whether it may be executed.
    pub executable: bool,
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
        self.members.iter().map(|member| member.size).sum()
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
        let bytes = self.read(digest)?;
        serde_json::from_slice(&bytes).map_err(|error| Error::NotATree { digest: *digest, reason: error.to_string() })
    }

    /// Returns whether a tree's manifest and every member are present with the right size. An object that may be written
    /// to has been in somebody's hands, and is believed only after its bytes have been looked at.
    pub fn is_whole(&self, digest: &Digest) -> bool {
        self.tree(digest).is_ok_and(|tree| self.is_present(digest, &tree.members))
    }

    /// Returns the same of a tree whose members are known.
    pub(crate) fn is_present(&self, digest: &Digest, members: &[Member]) -> bool {
        self.are_present(digest, members.iter().map(|member| (member.digest, member.size)))
    }

    /// Returns the same where only digests and sizes of the members are known.
    pub(crate) fn are_present(&self, manifest: &Digest, mut members: impl Iterator<Item = (Digest, u64)>) -> bool {
        let is_there = |digest: &Digest, size: Option<u64>| {
            std::fs::metadata(self.object_path(digest)).is_ok_and(|found| {
                let is_untouched = found.permissions().readonly();
                size.is_none_or(|size| found.len() == size) && (is_untouched || self.is_intact(digest).unwrap_or(false))
            })
        };
        is_there(manifest, None) && members.all(|(digest, size)| is_there(&digest, Some(size)))
    }

    /// Reads every byte of a tree, and fails at the first object that is missing or not what its name says; a damaged one is
    /// moved aside.
    pub fn check_tree(&self, digest: &Digest) -> Result<()> {
        self.tree(digest)?.members.iter().try_for_each(|member| self.check_bytes(&member.digest))
    }

    /// Stores a copy of a folder, durably.
    pub fn put_dir(&self, dir: &Path) -> Result<TreeRef> {
        let copy = layout::tmp(self.root()).join(publish::unique());
        for path in files(dir)? {
            let target = copy.join(path.strip_prefix(dir).expect("files lie in their folder"));
            fs_err::create_dir_all(target.parent().expect("a file lies in a folder"))?;
            fs_err::copy(&path, target)?;
        }
        fs_err::create_dir_all(&copy)?;
        let stored = self.adopt_dir(&copy)?;
        fs_err::remove_dir_all(&copy)?;
        Ok(stored)
    }

    /// Moves a folder's files into the store, durably. It must be on the store's file system.
    pub fn adopt_dir(&self, dir: &Path) -> Result<TreeRef> {
        let (tree, unsynced) = self.move_in(dir)?;
        unsynced.sync()?;
        Ok(tree.reference())
    }

    /// Moves a folder's files into the store. They are there for whoever asks, but a power cut may take them until what is
    /// returned beside the tree has been synced.
    pub fn move_in(&self, dir: &Path) -> Result<(Tree, Unsynced)> {
        let tree = scan(dir)?;
        for member in &tree.members {
            self.name_object(&dir.join(&member.path), &member.digest)?;
        }
        // The manifest comes last: whoever can read it finds every member.
        let (_, mut unsynced) = self.write_in(&tree.encode())?;
        unsynced.extend(Unsynced::of(tree.members.iter().map(|member| self.object_path(&member.digest))));
        Ok((tree, unsynced))
    }

    /// Lays a tree out as the folder `dest`, which must not exist, with read-only files whose bytes have been checked.
    pub fn materialise(&self, digest: &Digest, dest: &Path) -> Result<()> {
        self.lay_out(digest, dest, |object, target, member| {
            self.check_object(&member.digest)?;
            // Permissions belong to the shared inode, so an executable is copied, never linked.
            if member.executable || fs_err::hard_link(object, target).is_err() {
                copy(object, target, if member.executable { 0o555 } else { 0o444 })?;
            }
            Ok(())
        })
    }

    /// Copies a tree to the folder `dest`, which must not exist, for the user to keep and to change: every byte is
    /// checked, and the folder is there whole or not at all.
    pub fn export(&self, digest: &Digest, dest: &Path) -> Result<()> {
        let draft = dest.with_added_extension(publish::unique());
        let laid_out = self.lay_out(digest, &draft, |object, target, member| {
            copy(object, target, if member.executable { 0o755 } else { 0o644 })?;
            if hash_file(target)? == member.digest { Ok(()) } else { Err(self.corrupt(&member.digest)?) }
        });
        // An empty folder in the way would give way to a rename.
        let finished = laid_out.and_then(|()| match dest.try_exists() {
            Ok(false) => Ok(fs_err::rename(&draft, dest)?),
            Ok(true) => {
                Err(std::io::Error::new(ErrorKind::AlreadyExists, format!("`{}` is there already", dest.display()))
                    .into())
            }
            Err(error) => Err(error.into()),
        });
        if finished.is_err() && draft.exists() {
            fs_err::remove_dir_all(&draft)?;
        }
        finished
    }

    fn lay_out(&self, digest: &Digest, dest: &Path, put: impl Fn(&Path, &Path, &Member) -> Result<()>) -> Result<()> {
        let tree = self.tree(digest)?;
        fs_err::create_dir_all(dest.parent().unwrap_or(Path::new(".")))?;
        fs_err::create_dir(dest)?;
        for member in &tree.members {
            let target = dest.join(&member.path);
            if member.path.contains('/') {
                fs_err::create_dir_all(target.parent().expect("a file lies in a folder"))?;
            }
            put(&self.object_path(&member.digest), &target, member)?;
        }
        Ok(())
    }
}

fn copy(from: &Path, to: &Path, mode: u32) -> Result<()> {
    fs_err::copy(from, to)?;
    Ok(fs_err::set_permissions(to, std::fs::Permissions::from_mode(mode))?)
}

/// Returns the tree of a folder without storing it.
fn scan(dir: &Path) -> Result<Tree> {
    scan_with(dir, |path, _| hash_file(path))
}

fn scan_with(dir: &Path, hash: impl Fn(&Path, &Metadata) -> Result<Digest>) -> Result<Tree> {
    let mut members = Vec::new();
    for path in files(dir)? {
        let metadata = fs_err::metadata(&path)?;
        let relative = path.strip_prefix(dir).expect("files lie in their folder");
        let Some(name) = relative.to_str() else {
            return Err(Error::Unstorable { path, reason: "its name is not UTF-8" });
        };
        members.push(Member {
            path: name.to_owned(),
            digest: hash(&path, &metadata)?,
            size: metadata.len(),
            executable: metadata.permissions().mode() & 0o111 != 0,
        });
    }
    members.sort();
    Ok(Tree { members })
}

/// Returns the digest that a folder would have if it were stored; `hash` names the members.
pub(crate) fn hash_dir_with(dir: &Path, hash: impl Fn(&Path, &Metadata) -> Result<Digest>) -> Result<Digest> {
    Ok(Digest::of(&scan_with(dir, hash)?.encode()))
}

/// Returns every file below `dir`, links followed.
fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs_err::read_dir(&folder)? {
            let path = entry?.path();
            let metadata = fs_err::metadata(&path)?;
            if metadata.is_dir() {
                folders.push(path);
            } else if metadata.is_file() {
                found.push(path);
            } else {
                return Err(Error::Unstorable { path, reason: "it is neither a file nor a folder" });
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hash_dir(dir: &Path) -> Result<Digest> {
        hash_dir_with(dir, |path, _| hash_file(path))
    }

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
        assert_eq!(hash_dir(one.path()).unwrap(), hash_dir(two.path()).unwrap());
        write(two.path(), &[("a", b"3")]);
        assert_ne!(hash_dir(one.path()).unwrap(), hash_dir(two.path()).unwrap());
    }

    #[test]
    fn adopted_folders_are_gone_and_whole() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let attempt = store.new_attempt_dir("distill/small").unwrap();
        let attempt = attempt.path();
        write(attempt, &[("model/config.json", b"{}"), ("weights", b"123")]);
        let expected = hash_dir(attempt).unwrap();
        let stored = store.adopt_dir(attempt).unwrap();
        assert_eq!((stored.digest, stored.bytes), (expected, 5));
        assert!(!attempt.join("weights").exists());
        assert!(store.is_whole(&stored.digest));
        let out = dir.path().join("out");
        store.materialise(&stored.digest, &out).unwrap();
        assert_eq!(fs_err::read(out.join("model/config.json")).unwrap(), b"{}");
        assert_eq!(hash_dir(&out).unwrap(), expected);
    }

    #[test]
    fn a_missing_or_short_member_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        write(&dir.path().join("in"), &[("a", b"12"), ("b", b"3")]);
        let stored = store.put_dir(&dir.path().join("in")).unwrap();
        assert!(dir.path().join("in/a").exists());
        let member = store.object_path(&Digest::of(b"12"));
        fs_err::remove_file(&member).unwrap();
        assert!(!store.is_whole(&stored.digest));
        fs_err::write(&member, b"1").unwrap();
        assert!(!store.is_whole(&stored.digest));
    }

    #[test]
    fn an_export_is_the_users_own() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        write(&dir.path().join("in"), &[("a", b"12"), ("b/c", b"3")]);
        let stored = store.put_dir(&dir.path().join("in")).unwrap();
        let out = dir.path().join("out");
        store.export(&stored.digest, &out).unwrap();
        fs_err::write(out.join("a"), b"34").unwrap();
        assert_eq!(store.read(&Digest::of(b"12")).unwrap(), b"12", "the store keeps its own bytes");
        assert!(store.export(&stored.digest, &out).unwrap_err().to_string().contains("is there already"));
        let object = store.object_path(&Digest::of(b"3"));
        fs_err::remove_file(&object).unwrap();
        fs_err::write(&object, b"4").unwrap();
        let other = dir.path().join("other");
        assert!(matches!(store.export(&stored.digest, &other), Err(Error::Corrupt { .. })));
        let left: Vec<_> = fs_err::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(!other.exists() && left.len() == 3, "{left:?}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn a_folder_survives_the_store(files in prop::collection::btree_map("[a-z]{1,4}(/[a-z]{1,4}x)?", prop::collection::vec(any::<u8>(), 0..64), 0..8)) {
            let dir = tempfile::tempdir().unwrap();
            let store = Store::open(&dir.path().join("store")).unwrap();
            let source = dir.path().join("in");
            fs_err::create_dir_all(&source).unwrap();
            // A name cannot be both a file and a folder.
            let files: Vec<_> = files.iter().filter(|(name, _)| name.contains('/') || !files.keys().any(|other| other.starts_with(&format!("{name}/")))).collect();
            for (name, bytes) in &files {
                write(&source, &[(name.as_str(), bytes.as_slice())]);
            }
            let stored = store.put_dir(&source).unwrap();
            let out = dir.path().join("out");
            store.materialise(&stored.digest, &out).unwrap();
            for (name, bytes) in files {
                prop_assert_eq!(&fs_err::read(out.join(name)).unwrap(), bytes);
            }
            prop_assert_eq!(hash_dir(&out).unwrap(), stored.digest);
        }
    }
}
