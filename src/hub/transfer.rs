//! Downloads files from the hub into the cache, in the layout that all programs of Hugging Face share.
//!
//! ```text
//! models--org--name/blobs/<etag>                 a file's bytes; `<etag>.r1flow` during the download
//! models--org--name/snapshots/<commit>/<path>    a link to them
//! ```
//! A blob's name promises its bytes, whatever program wrote it: a file with other bytes is replaced.
//!
//! hf-hub provides these paths, but its own download is not used: it renames a file before checking that it is
//! complete, appends a whole answer to a partial file, fetches again what another commit already has, sends the token
//! to any host after a redirect, and has no timeout.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};

use engine::workflow::hub::HubId;
use hf_hub::CacheRepo;
use store::unique;
use ureq::http::StatusCode;
use ureq::http::header::{CONTENT_LENGTH, CONTENT_RANGE};
use ureq::{Body, http};

use super::checked::{Checked, has_bytes};
use super::client::{Client, Pace};
use super::names::Commit;
use super::remote::RemoteFile;
use super::settings::{Settings, repo};
use super::snapshot;
use super::trouble::Trouble;
use crate::machine;
use crate::ui::Download;

/// Downloads files of one commit into the cache.
pub(super) struct Transfer<'a> {
    client: &'a Client<'a>,
    id: &'a HubId,
    commit: &'a Commit,
    cache: CacheRepo,
}

impl<'a> Transfer<'a> {
    pub(super) fn new(client: &'a Client, id: &'a HubId, commit: &'a Commit) -> Result<Self, Trouble> {
        Ok(Self { client, id, commit, cache: client.settings.repo(id)? })
    }

    /// Returns a file's path in the cache, if the file is there with the right bytes.
    pub(super) fn find(&self, file: &RemoteFile, checked: &mut Checked) -> Option<PathBuf> {
        let (pointer, blob) = (self.pointer(file), self.blob(file));
        // If the link leads to the blob, checking the blob is enough.
        let leads_on =
            std::fs::canonicalize(&pointer).is_ok_and(|to| std::fs::canonicalize(&blob).is_ok_and(|blob| to == blob));
        if !leads_on && has(checked, file, &pointer) {
            return Some(pointer);
        }
        if !has(checked, file, &blob) {
            return None;
        }
        if !leads_on && let Err(error) = self.link(file) {
            tracing::debug!(%error, "other programs do not find `{}` at this commit", file.path);
        }
        Some(blob)
    }

    /// Fails before the download if the disk has no room for the missing files.
    pub(super) fn make_sure_of_room(&self, missing: &[&RemoteFile]) -> Result<(), Trouble> {
        let here = |file: &RemoteFile| self.part(file).metadata().map_or(0, |part| part.len());
        let needed = missing.iter().fold(0_u64, |sum, file| sum.saturating_add(file.size.saturating_sub(here(file))));
        let cache = self.client.settings.cache()?;
        let free = cache.ancestors().find_map(machine::free_space);
        match free {
            Some(free) if free < needed => Err(Trouble::no_room(self.id, cache, needed, free)),
            _ => Ok(()),
        }
    }

    /// Downloads a file into the cache and returns its path there.
    pub(super) fn fetch(&self, file: &RemoteFile, checked: &mut Checked) -> Result<PathBuf, Trouble> {
        let blob = self.blob(file);
        let disk = |error: io::Error| Trouble::disk(&blob, &error);
        fs_err::create_dir_all(blob.parent().expect("it lies in a repository")).map_err(disk)?;
        self.bring(file, &blob, checked)?;
        self.link(file).map_err(disk)?;
        Ok(blob)
    }

    /// Writes the branch's commit into the cache, for other programs.
    pub(super) fn write_ref(&self) -> Result<(), Trouble> {
        let settings: &Settings = self.client.settings;
        if self.id.is_commit() || settings.written_ref(self.id)?.as_ref() == Some(self.commit) {
            return Ok(());
        }
        let reference = settings.reference(self.id)?;
        let draft = self.draft();
        let write = || {
            fs_err::create_dir_all(reference.parent().expect("it lies among references"))?;
            snapshot::replace(draft, &reference, self.commit.as_str())
        };
        write().map_err(|error| Trouble::disk(&reference, &error))
    }

    /// Downloads a file's bytes, and renames them into place once they are complete and checked. Resumes an earlier
    /// download.
    fn bring(&self, file: &RemoteFile, blob: &Path, checked: &mut Checked) -> Result<(), Trouble> {
        let disk = |error: io::Error| Trouble::disk(blob, &error);
        let part = self.part(file);
        let mut out = open_part(&part).map_err(disk)?;
        // If another process was fetching this file, it has finished when the lock is free.
        out.lock().map_err(disk)?;
        if has(checked, file, blob) {
            return empty_part(&part, &out).map_err(disk);
        }
        self.receive_all(file, &mut out)?;
        if !has_bytes(&part, &file.hash).map_err(disk)? {
            out.set_len(0).map_err(disk)?;
            return Err(Trouble::spoilt(file));
        }
        if let Err(error) = out.sync_all() {
            // After a failed fsync, the next one may report success although the bytes are lost.
            out.set_len(0).map_err(disk)?;
            return Err(disk(error));
        }
        fs_err::rename(&part, blob).map_err(disk)?;
        checked.made(&file.path, blob, &file.hash).map_err(disk)
    }

    /// Appends the missing bytes to `out`. Connects again after a failure, as long as each connection brings some
    /// bytes.
    fn receive_all(&self, file: &RemoteFile, out: &mut File) -> Result<(), Trouble> {
        let disk = |error: io::Error| Trouble::disk(&self.part(file), &error);
        let mut have = out.metadata().map_err(disk)?.len();
        if have > file.size {
            out.set_len(0).map_err(disk)?;
            have = 0;
        }
        let mut download = Download::begin(file.path.as_str(), file.size, have);
        let mut pace = self.client.pace();
        while have != file.size {
            let ended = self.receive(file, out, have, &mut pace, &mut download);
            let now = out.metadata().map_err(disk)?.len();
            if now > file.size {
                // It is unknown which of these bytes are the file's.
                out.set_len(0).map_err(disk)?;
                return Err(Trouble::too_long(file));
            }
            if now <= have || pace.is_over() {
                ended?;
                return Err(Trouble::too_short(file, now));
            }
            have = now;
        }
        download.end();
        Ok(())
    }

    /// Requests the file from byte `have` on and appends the answer to `out`, which has the bytes before.
    fn receive(
        &self,
        file: &RemoteFile,
        out: &mut File,
        have: u64,
        pace: &mut Pace,
        download: &mut Download,
    ) -> Result<(), Trouble> {
        let disk = |error: io::Error| Trouble::disk(&self.part(file), &error);
        let settings = self.client.settings;
        let (name, path) = (repo(self.id, self.commit.as_str()).url(), escaped(file.path.as_str()));
        let url = format!("{}/{name}/resolve/{}/{path}", settings.endpoint, self.commit);
        let answer = self.client.get(&url, have);
        let answer = answer.map_err(|failure| Trouble::of_file(settings, self.id, file, have, &failure))?;
        match promise(&answer) {
            Promise::Part { from, size } if from != have || size.is_some_and(|size| size != file.size) => {
                return Err(Trouble::another_part(file));
            }
            Promise::Whole(Some(size)) if size > file.size => return Err(Trouble::too_long(file)),
            Promise::Whole(_) if have > 0 => {
                out.set_len(0).map_err(disk)?;
                download.restart();
            }
            Promise::Part { .. } | Promise::Whole(_) => {}
        }
        // One byte more than the size reveals an answer that is too long.
        let mut body = answer.into_body().into_reader().take(file.size + 1);
        let mut buffer = vec![0; 1 << 16];
        loop {
            let count = pace.read(&mut body, &mut buffer).map_err(|error| Trouble::broken(file, &error))?;
            if count == 0 {
                return Ok(());
            }
            out.write_all(&buffer[..count]).map_err(disk)?;
            download.advance(count as u64);
        }
    }

    /// Links a path in a snapshot to the blob. The link is relative, so that the cache can be moved.
    fn link(&self, file: &RemoteFile) -> io::Result<()> {
        let (pointer, draft) = (self.pointer(file), self.draft());
        fs_err::create_dir_all(pointer.parent().expect("it lies in a snapshot"))?;
        // Up from the path's folders, the commit's folder, and `snapshots`.
        let up = "../".repeat(file.path.depth() + 2);
        symlink(format!("{up}blobs/{}", file.hash.as_str()), &draft)?;
        fs_err::rename(draft, pointer)
    }

    fn pointer(&self, file: &RemoteFile) -> PathBuf {
        self.cache.pointer_path(self.commit.as_str()).join(file.path.as_str())
    }

    fn blob(&self, file: &RemoteFile) -> PathBuf {
        self.cache.blob_path(file.hash.as_str())
    }

    fn part(&self, file: &RemoteFile) -> PathBuf {
        self.blob(file).with_added_extension("r1flow")
    }

    /// Returns a new name, in a folder where other programs ignore it.
    fn draft(&self) -> PathBuf {
        self.cache.blob_path(&format!("{}.r1flow", unique()))
    }
}

/// What the head of an answer says about its body.
enum Promise {
    /// The whole file, with its size if given.
    Whole(Option<u64>),
    /// The part from byte `from` on, with the size of the whole file if given.
    Part { from: u64, size: Option<u64> },
}

fn promise(answer: &http::Response<Body>) -> Promise {
    let header = |name| answer.headers().get(name)?.to_str().ok();
    if answer.status() != StatusCode::PARTIAL_CONTENT {
        return Promise::Whole(header(CONTENT_LENGTH).and_then(|length| length.parse().ok()));
    }
    let range = header(CONTENT_RANGE).and_then(|range| range.strip_prefix("bytes "));
    let (span, size) = range.and_then(|range| range.split_once('/')).unwrap_or_default();
    // A part without a start is never the one that was requested.
    let from = span.split_once('-').and_then(|(from, _)| from.parse().ok()).unwrap_or(u64::MAX);
    Promise::Part { from, size: size.parse().ok() }
}

/// Returns whether `path` has the file's bytes; false if it cannot be read.
fn has(checked: &mut Checked, file: &RemoteFile, path: &Path) -> bool {
    let is_long_enough = std::fs::metadata(path).is_ok_and(|found| found.is_file() && found.len() == file.size);
    if !is_long_enough {
        return false;
    }
    let is_right = checked.check(&file.path, path, Some(&file.hash)).unwrap_or(false);
    if !is_right {
        tracing::warn!("`{}` has other bytes than the hub: it is fetched again", path.display());
    }
    is_right
}

/// Opens a partial download; does not follow a link in its place.
fn open_part(part: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.append(true).create(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    let out = options.open(part)?;
    if out.metadata()?.is_file() { Ok(out) } else { Err(io::Error::other("it is no file")) }
}

/// Empties the partial download of a file that is now complete. The name stays, because another process may use it.
fn empty_part(part: &Path, out: &File) -> io::Result<()> {
    let (named, open) = (part.symlink_metadata(), out.metadata()?);
    match named {
        Ok(named) if (named.dev(), named.ino()) == (open.dev(), open.ino()) => out.set_len(0),
        // The part has been renamed, so these bytes are now the whole file's.
        _ => Ok(()),
    }
}

/// Returns a path as it is written in a URL.
fn escaped(path: &str) -> String {
    let mut url = String::new();
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            url.push(char::from(byte));
        } else {
            let _ = write!(url, "%{byte:02X}");
        }
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_escaped_for_a_url() {
        assert_eq!(escaped("data/a b#1?.jsonl"), "data/a%20b%231%3F.jsonl");
        assert_eq!(escaped("über-1_2.json"), "%C3%BCber-1_2.json");
    }

    #[test]
    fn a_link_in_the_place_of_a_part_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (other, part) = (dir.path().join("other"), dir.path().join("x.r1flow"));
        fs_err::write(&other, "theirs").unwrap();
        symlink(&other, &part).unwrap();
        assert!(open_part(&part).is_err());
        assert_eq!(fs_err::read_to_string(&other).unwrap(), "theirs");
    }

    #[test]
    fn a_part_that_has_become_the_file_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (part, whole) = (dir.path().join("x.r1flow"), dir.path().join("x"));
        let mut first = open_part(&part).unwrap();
        first.write_all(b"whole").unwrap();
        fs_err::rename(&part, &whole).unwrap();
        empty_part(&part, &first).unwrap();
        let mut second = open_part(&part).unwrap();
        second.write_all(b"who").unwrap();
        empty_part(&part, &first).unwrap();
        assert_eq!((fs_err::read(&whole).unwrap(), fs_err::read(&part).unwrap()), (b"whole".to_vec(), b"who".to_vec()));
        empty_part(&part, &second).unwrap();
        assert_eq!(fs_err::read(&part).unwrap(), b"");
    }
}
