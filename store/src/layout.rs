//! Every path of a store, relative to its folder, and the format's version, in one place.

use std::path::{Path, PathBuf};

use rustix::fs::FileType;

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::publish;
use crate::root::{Root, sync_folder};

/// Raised when an older program could misread the files of a newer one.
const FORMAT: u32 = 3;
const FORMAT_FILE: &str = "format.toml";
/// Files and folders that the store itself makes; none may be a link. The command line fills `hub/`, which may be a
/// link.
const OWN: [&str; 12] = [
    FORMAT_FILE,
    "objects",
    "records.jsonl",
    "collected",
    "checkpoints",
    "rows",
    "attempts",
    "runs",
    "locks",
    "quarantine",
    "digests",
    "index",
];

/// Makes a store, durably, unless there is one: once this returns, no power cut leaves half a store.
pub(crate) fn create(path: &Path) -> Result<()> {
    if exists(path) {
        return Ok(());
    }
    let missing: Vec<&Path> = path.ancestors().take_while(|folder| !folder.exists()).collect();
    fs_err::create_dir_all(path)?;
    let root = Root::open(path)?;
    check_links(&root)?;
    // The version comes last: a folder without it is not yet a store.
    let draft = PathBuf::from(format!("{FORMAT_FILE}-{}", publish::unique()));
    root.write_new(&draft, format!("version = {FORMAT}\n").as_bytes())?.sync_all()?;
    root.rename(&draft, FORMAT_FILE.as_ref())?;
    sync_folder(root.path())?;
    for folder in missing {
        sync_folder(&folder.join(".."))?;
    }
    Ok(())
}

pub(crate) fn exists(path: &Path) -> bool {
    path.join(FORMAT_FILE).symlink_metadata().is_ok()
}

/// Fails if this program cannot read the store's format, or if anything that the store makes is a link.
pub(crate) fn check(root: &Root) -> Result<()> {
    check_links(root)?;
    let text = root.read_if_there(FORMAT_FILE.as_ref())?.unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let found = text.trim().strip_prefix("version = ").unwrap_or("unknown");
    if found == FORMAT.to_string() {
        return Ok(());
    }
    Err(Error::Format { root: root.path().to_owned(), found: found.to_owned(), known: FORMAT })
}

fn check_links(root: &Root) -> Result<()> {
    for (name, file_type) in root.entries(Path::new(""))? {
        if file_type == FileType::Symlink && OWN.iter().any(|own| *own == name.as_os_str()) {
            return Err(Error::Link { path: root.path().join(name) });
        }
    }
    Ok(())
}

/// `folder/ab/<62 hex>`: 256 fan-out folders, made when first needed and never removed.
fn fanned(folder: &str, digest: &Digest) -> PathBuf {
    let hex = digest.digits();
    let mut path = PathBuf::with_capacity(folder.len() + hex.len() + "//.json".len());
    path.extend([folder, &hex[..2], &hex[2..]]);
    path
}

/// Returns the digest of a path in a fanned-out folder.
pub(crate) fn digest_of(inside: &Path) -> Option<Digest> {
    let folder = inside.parent()?.file_name()?.to_str()?;
    Digest::from_hex(&format!("{folder}{}", inside.file_name()?.to_str()?))
}

pub(crate) fn objects() -> &'static Path {
    Path::new("objects")
}

pub(crate) fn object(digest: &Digest) -> PathBuf {
    fanned("objects", digest)
}

pub(crate) fn journal() -> &'static Path {
    Path::new("records.jsonl")
}

/// Objects that records name and that a collection was told to remove.
pub(crate) fn collected() -> &'static Path {
    Path::new("collected")
}

pub(crate) fn all_checkpoints() -> &'static Path {
    Path::new("checkpoints")
}

pub(crate) fn checkpoints(key: &Digest) -> PathBuf {
    fanned("checkpoints", key)
}

pub(crate) fn all_rows() -> &'static Path {
    Path::new("rows")
}

pub(crate) fn rows(key: &Digest) -> PathBuf {
    fanned("rows", key)
}

pub(crate) fn stage_locks() -> &'static Path {
    Path::new("locks/stages")
}

pub(crate) fn collection_lock() -> &'static Path {
    Path::new("locks/collection")
}

pub(crate) fn quarantine(digest: &Digest) -> PathBuf {
    Path::new("quarantine").join(digest.hex())
}

pub(crate) fn attempts() -> &'static Path {
    Path::new("attempts")
}

pub(crate) fn runs() -> &'static Path {
    Path::new("runs")
}

pub(crate) fn digests() -> &'static Path {
    Path::new("digests")
}

pub(crate) fn index() -> &'static Path {
    Path::new("index")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn refuses_another_version() {
        let dir = tempfile::tempdir().unwrap();
        create(dir.path()).unwrap();
        let root = Root::open(dir.path()).unwrap();
        check(&root).unwrap();
        for (text, found) in [("version = 999\n", "999"), ("", "unknown"), ("version=3", "unknown")] {
            fs_err::write(dir.path().join("format.toml"), text).unwrap();
            let error = check(&root).unwrap_err().to_string();
            assert!(error.contains(&format!("format {found}")), "{error}");
        }
    }

    #[test]
    fn refuses_links_in_the_place_of_its_own() {
        for own in OWN {
            let dir = tempfile::tempdir().unwrap();
            let outside = dir.path().join("outside");
            fs_err::create_dir(&outside).unwrap();
            let store = dir.path().join("store");
            fs_err::create_dir(&store).unwrap();
            symlink(&outside, store.join(own)).unwrap();
            let opened = create(&store).and_then(|()| check(&Root::open(&store)?));
            assert!(matches!(opened, Err(Error::Link { .. })), "{own}: {opened:?}");
            assert_eq!(fs_err::read_dir(&outside).unwrap().count(), 0, "{own}");
        }
    }
}
