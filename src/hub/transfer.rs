//! Bytes from the hub into the cache, laid out as all programs of Hugging Face expect it.
//!
//! ```text
//! models--org--name/blobs/<etag>                 a file's bytes; `<etag>.r1flow` while they come
//! models--org--name/snapshots/<commit>/<path>    a link to them
//! ```
//! hf-hub names these places, but its own download is not used: it gives a file its name before looking whether it is
//! whole, appends a whole answer to the part that it asked to follow, fetches again what another commit has brought
//! already, sends the token to whatever host it is led to, and waits for ever.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use engine::workflow::hub::HubId;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use ureq::config::RedirectAuthHeaders;
use ureq::http::{Response, StatusCode, header};
use ureq::{Agent, Body};

use super::remote::RemoteFile;
use super::settings::{Settings, repo};
use super::trouble::Trouble;
use crate::ui::Download;

/// Longer than a hub takes that is well.
const PATIENCE: Duration = Duration::from_mins(1);
const CONNECT: Duration = Duration::from_secs(20);
/// What the hub says of the largest repositories is some megabytes.
const LONGEST_LISTING: u64 = 256 << 20;

/// Speaks to the hub.
pub(super) struct Client<'a> {
    pub(super) settings: &'a Settings,
    agent: Agent,
}

/// Why a request has no answer.
pub(super) type Failure = Box<ureq::Error>;

impl<'a> Client<'a> {
    pub(super) fn new(settings: &'a Settings) -> Self {
        let config = Agent::config_builder()
            .user_agent(concat!("r1flow/", env!("CARGO_PKG_VERSION")))
            // What is compressed on the way has another length.
            .accept_encoding("identity")
            .redirect_auth_headers(RedirectAuthHeaders::SameHost)
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(PATIENCE))
            .timeout_per_read(Some(PATIENCE));
        Self { settings, agent: config.build().into() }
    }

    /// Returns the text at `url`.
    pub(super) fn text(&self, url: &str) -> Result<String, Failure> {
        let mut answer = self.get(url, 0)?;
        Ok(answer.body_mut().with_config().limit(LONGEST_LISTING).read_to_string()?)
    }

    fn get(&self, url: &str, from: u64) -> Result<Response<Body>, Failure> {
        let mut request = self.agent.get(url);
        if let Some(token) = &self.settings.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {}", token.0));
        }
        if from > 0 {
            request = request.header(header::RANGE, format!("bytes={from}-"));
        }
        Ok(request.call()?)
    }

    /// Returns whether a file is in the cache already.
    pub(super) fn is_there(&self, id: &HubId, commit: &str, file: &RemoteFile) -> bool {
        let repo = self.settings.repo(id);
        is_whole(&repo.pointer_path(commit).join(&file.path), file) || is_whole(&repo.blob_path(&file.etag), file)
    }

    /// Returns a file's place in the cache, after fetching what is missing of it.
    pub(super) fn fetch(&self, id: &HubId, commit: &str, file: &RemoteFile) -> Result<PathBuf, Trouble> {
        let repo = self.settings.repo(id);
        let pointer = repo.pointer_path(commit).join(&file.path);
        if is_whole(&pointer, file) {
            return Ok(pointer);
        }
        let blob = repo.blob_path(&file.etag);
        let disk = |error: std::io::Error| Trouble::disk(&blob, &error);
        fs_err::create_dir_all(blob.parent().expect("it lies in a repository")).map_err(disk)?;
        if !is_whole(&blob, file) {
            self.bring(id, commit, file, &blob)?;
        }
        link(&blob, &pointer, file).map_err(disk)?;
        Ok(pointer)
    }

    /// Brings a file's bytes; they get their name when all are there. What an earlier try has left is taken up.
    fn bring(&self, id: &HubId, commit: &str, file: &RemoteFile, blob: &Path) -> Result<(), Trouble> {
        let disk = |error: std::io::Error| Trouble::disk(blob, &error);
        let part = blob.with_added_extension("r1flow");
        let mut out = File::options().append(true).create(true).open(&part).map_err(disk)?;
        // Whoever else is fetching it will have done so when the lock is free.
        out.lock().map_err(disk)?;
        if is_whole(blob, file) {
            return if part.exists() { fs_err::remove_file(part).map_err(disk) } else { Ok(()) };
        }
        let mut have = out.metadata().map_err(disk)?.len();
        if have > file.size {
            out.set_len(0).map_err(disk)?;
            have = 0;
        }
        let mut download = Download::begin(&file.path, file.size, have);
        while have != file.size {
            let ended = self.receive(id, commit, file, &mut out, have, &mut download);
            let now = out.metadata().map_err(disk)?.len();
            if now > file.size {
                // Nobody knows which of these bytes are the file's.
                out.set_len(0).map_err(disk)?;
                return Err(Trouble::too_long(file));
            }
            // A connection that breaks is made again as long as that brings something.
            if now <= have {
                ended?;
                return Err(Trouble::too_short(file, now));
            }
            have = now;
        }
        if !has_hash(&part, file).map_err(disk)? {
            out.set_len(0).map_err(disk)?;
            return Err(Trouble::spoilt(file));
        }
        out.sync_all().map_err(disk)?;
        fs_err::rename(&part, blob).map_err(disk)?;
        download.end();
        Ok(())
    }

    /// Appends what comes to `out`, which has the first `have` bytes.
    fn receive(
        &self,
        id: &HubId,
        commit: &str,
        file: &RemoteFile,
        out: &mut File,
        have: u64,
        download: &mut Download,
    ) -> Result<(), Trouble> {
        let endpoint = &self.settings.endpoint;
        let url = format!("{endpoint}/{}/resolve/{commit}/{}", repo(id, commit).url(), escaped(&file.path));
        let answer = self.get(&url, have).map_err(|failure| Trouble::of_file(self.settings, id, file, &failure))?;
        if answer.status() != StatusCode::PARTIAL_CONTENT && have > 0 {
            out.set_len(0).map_err(|error| Trouble::disk(self.settings.cache.path(), &error))?;
            download.restart();
        }
        // One byte more tells an answer that is too long.
        let mut body = answer.into_body().into_reader().take(file.size + 1);
        let mut buffer = vec![0; 1 << 16];
        loop {
            let count = body.read(&mut buffer).map_err(|error| Trouble::broken(file, &error))?;
            if count == 0 {
                return Ok(());
            }
            out.write_all(&buffer[..count]).map_err(|error| Trouble::disk(self.settings.cache.path(), &error))?;
            download.advance(count as u64);
        }
    }
}

fn is_whole(path: &Path, file: &RemoteFile) -> bool {
    std::fs::metadata(path).is_ok_and(|found| found.is_file() && found.len() == file.size)
}

/// Returns whether the bytes at `path` are those of a file on the hub.
fn has_hash(path: &Path, file: &RemoteFile) -> std::io::Result<bool> {
    let mut bytes = File::open(path)?;
    let found = if file.etag.len() == 64 {
        let mut hasher = Sha256::new();
        std::io::copy(&mut bytes, &mut hasher)?;
        format!("{:x}", hasher.finalize())
    } else {
        // What git calls a blob.
        let mut hasher = Sha1::new_with_prefix(format!("blob {}\0", file.size));
        std::io::copy(&mut bytes, &mut hasher)?;
        format!("{:x}", hasher.finalize())
    };
    Ok(found.eq_ignore_ascii_case(&file.etag))
}

/// Links a name in a snapshot to the bytes, relative, so that a cache can be moved.
fn link(blob: &Path, pointer: &Path, file: &RemoteFile) -> std::io::Result<()> {
    fs_err::create_dir_all(pointer.parent().expect("it lies in a snapshot"))?;
    if pointer.symlink_metadata().is_ok() {
        fs_err::remove_file(pointer)?;
    }
    // Out of the path's folders, the commit's and `snapshots`.
    let up = "../".repeat(file.path.matches('/').count() + 2);
    let name = blob.file_name().expect("a blob has a name").to_string_lossy();
    std::os::unix::fs::symlink(format!("{up}blobs/{name}"), pointer)
}

/// Returns a path as it stands in a URL.
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
}
