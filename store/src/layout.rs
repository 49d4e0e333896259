//! Every path and the format's version, in one place.

use std::path::{Path, PathBuf};

use crate::digest::Digest;
use crate::error::{Error, Result};

/// Raised when an older program could misread what a newer one writes.
const FORMAT: u32 = 2;
const FOLDERS: [&str; 8] = ["objects", "checkpoints", "rows", "attempts", "runs", "locks", "quarantine", "tmp"];

pub(crate) fn create(root: &Path) -> Result<()> {
    if exists(root) {
        return Ok(());
    }
    for folder in FOLDERS {
        fs_err::create_dir_all(root.join(folder))?;
    }
    // The version comes last: a root without it is not yet a store.
    let draft = root.join("tmp").join(format!("format-{}", crate::publish::unique()));
    fs_err::write(&draft, format!("version = {FORMAT}\n"))?;
    fs_err::rename(draft, version_file(root))?;
    Ok(())
}

pub(crate) fn exists(root: &Path) -> bool {
    version_file(root).exists()
}

pub(crate) fn check_version(root: &Path) -> Result<()> {
    let text = fs_err::read_to_string(version_file(root))?;
    let found = text.trim().strip_prefix("version = ").unwrap_or("unknown");
    if found == FORMAT.to_string() {
        return Ok(());
    }
    Err(Error::Format { root: root.to_owned(), found: found.to_owned(), known: FORMAT })
}

fn version_file(root: &Path) -> PathBuf {
    root.join("format.toml")
}

/// `folder/ab/<62 hex>`: 256 fan-out folders, made when first needed and never removed.
fn fanned(root: &Path, folder: &str, digest: &Digest) -> PathBuf {
    let hex = digest.digits();
    let mut path = PathBuf::with_capacity(root.as_os_str().len() + folder.len() + hex.len() + "///.json".len());
    path.extend([root.as_os_str(), folder.as_ref(), hex[..2].as_ref(), hex[2..].as_ref()]);
    path
}

pub(crate) fn objects(root: &Path) -> PathBuf {
    root.join("objects")
}

pub(crate) fn object(root: &Path, digest: &Digest) -> PathBuf {
    fanned(root, "objects", digest)
}

pub(crate) fn journal(root: &Path) -> PathBuf {
    root.join("records.jsonl")
}

pub(crate) fn checkpoints(root: &Path, key: &Digest) -> PathBuf {
    fanned(root, "checkpoints", key)
}

pub(crate) fn rows(root: &Path, key: &Digest) -> PathBuf {
    fanned(root, "rows", key)
}

pub(crate) fn stage_locks(root: &Path) -> PathBuf {
    root.join("locks").join("stages")
}

pub(crate) fn collection_lock(root: &Path) -> PathBuf {
    root.join("locks").join("collection")
}

pub(crate) fn quarantine(root: &Path, digest: &Digest) -> PathBuf {
    root.join("quarantine").join(digest.hex())
}

pub(crate) fn attempts(root: &Path) -> PathBuf {
    root.join("attempts")
}

pub(crate) fn runs(root: &Path) -> PathBuf {
    root.join("runs")
}

pub(crate) fn tmp(root: &Path) -> PathBuf {
    root.join("tmp")
}

pub(crate) fn index(root: &Path) -> PathBuf {
    root.join("index")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_another_version() {
        let dir = tempfile::tempdir().unwrap();
        create(dir.path()).unwrap();
        check_version(dir.path()).unwrap();
        std::fs::write(dir.path().join("format.toml"), "version = 999\n").unwrap();
        let error = check_version(dir.path()).unwrap_err().to_string();
        assert!(error.contains("format 999"), "{error}");
    }
}
