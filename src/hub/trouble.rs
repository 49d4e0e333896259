//! Why an input cannot be fetched, with advice on what to do. No text here contains a token.

use std::io::{Error, ErrorKind};
use std::path::Path;

use engine::diagnostic::Diagnostic;
use engine::workflow::hub::{HubId, HubInput};

use super::client::Failure;
use super::names::RepoPath;
use super::remote::RemoteFile;
use super::settings::Settings;
use crate::ui::bytes;

const AGAIN: &str = "run it again: it goes on where it stopped";

/// Why an input cannot be fetched.
#[derive(Debug)]
pub(crate) struct Trouble {
    message: String,
    /// What is wrong with the input in the workflow, in a few words.
    label: &'static str,
    help: String,
}

impl Trouble {
    fn new(label: &'static str, message: String, help: impl Into<String>) -> Self {
        Self { message, label, help: help.into() }
    }

    /// Returns a diagnostic that points at the input in the workflow.
    pub(crate) fn at(self, input: &HubInput) -> Diagnostic {
        Diagnostic::new(&input.span, self.message, self.label).with_help(self.help)
    }

    /// The repository cannot be listed; `is_there` asks whether it exists at all.
    pub(super) fn of_repository(
        settings: &Settings,
        id: &HubId,
        revision: &str,
        failure: &Failure,
        is_there: impl FnOnce() -> bool,
    ) -> Self {
        let (name, sort) = (&id.name, if id.is_dataset { "data set" } else { "model" });
        match failure {
            Failure::Status(404) if is_there() => {
                let message = format!("the {sort} `{name}` has no revision `{revision}`");
                let help = if revision == id.revision {
                    "name a branch, a tag, or all 40 digits of a commit"
                } else {
                    "`r1flow fetch` asks what the branch stands for now"
                };
                Self::new("no such revision", message, help)
            }
            Failure::Status(404) => {
                let message = format!("there is no {sort} `{name}` at {}", settings.endpoint);
                Self::new(
                    "not on the hub",
                    message,
                    "look at the name's spelling; the key says whether it is a model or data",
                )
            }
            Failure::Status(401 | 403) => Self::refused(settings, id),
            _ => Self::unreachable(settings, failure),
        }
    }

    /// A file of the listing cannot be downloaded.
    pub(super) fn of_file(settings: &Settings, id: &HubId, file: &RemoteFile, have: u64, failure: &Failure) -> Self {
        match failure {
            // 416: the hub's file has no bytes after those that are here already.
            Failure::Status(416) => Self::too_short(file, have),
            Failure::Status(401 | 403) => Self::refused(settings, id),
            Failure::Status(404) => {
                let message = format!("the hub names `{}` among the files, but does not have it", file.path);
                Self::new("cannot be fetched", message, "the repository is damaged: try another revision")
            }
            _ => Self::unreachable(settings, failure),
        }
    }

    fn refused(settings: &Settings, id: &HubId) -> Self {
        let name = &id.name;
        let page = format!("{}/{}{name}", settings.endpoint, if id.is_dataset { "datasets/" } else { "" });
        let (message, first) = if settings.token.is_some() {
            (
                format!("the hub does not give `{name}` to the owner of this token"),
                "look whether the token is still valid",
            )
        } else {
            (format!("the hub requires a token for `{name}`"), "put one of yours into HF_TOKEN")
        };
        let help = format!(
            "{first}, accept the licence at {page}, and check the spelling: the hub also hides what is not there"
        );
        Self::new("gated, private, or not there", message, help)
    }

    fn unreachable(settings: &Settings, failure: &Failure) -> Self {
        let endpoint = &settings.endpoint;
        let offline = "without a network, HF_HUB_OFFLINE=1 takes what the cache has";
        match failure {
            Failure::Status(429) => {
                let help = "wait some minutes; with an HF_TOKEN it allows more";
                Self::new("not now", format!("{endpoint} asks for fewer requests"), help)
            }
            Failure::Status(status) => {
                let message = format!("{endpoint} answers with status {status}");
                Self::new("cannot be fetched", message, format!("try again later; {offline}"))
            }
            Failure::Broken(origin, error) => {
                let message = format!("{origin} cannot be reached: {error}");
                let help = format!("look at the network, HTTPS_PROXY and HF_ENDPOINT; {offline}");
                Self::new("cannot be fetched", message, help)
            }
            Failure::Redirect(from, reason) => {
                let message = format!("{from} leads elsewhere, and not where one may go: {reason}");
                let help = "look at HF_ENDPOINT; a proxy may have answered in its place";
                Self::new("cannot be fetched", message, help)
            }
            Failure::TooLong => {
                let message = format!("{failure} comes from {endpoint} where a list of files was asked for");
                let help = "look at HF_ENDPOINT; a hub says less of any repository that it takes";
                Self::new("cannot be fetched", message, help)
            }
        }
    }

    /// The value of HF_ENDPOINT is no address.
    pub(super) fn endpoint(endpoint: &str, reason: &str) -> Self {
        let message = format!("HF_ENDPOINT is `{endpoint}`, and {reason}");
        let help = "write it as `https://HOST` or `https://HOST:PORT`; a secret belongs in HF_TOKEN";
        Self::new("cannot be asked for", message, help)
    }

    pub(super) fn token() -> Self {
        let message = "the token has characters that no token has".to_owned();
        Self::new("cannot be asked for", message, "look at HF_TOKEN, or the file that HF_TOKEN_PATH names")
    }

    /// No variable names a folder for the cache.
    pub(super) fn no_cache() -> Self {
        let message = "there is no folder for what is fetched: neither HF_HOME nor HOME is set".to_owned();
        Self::new(
            "cannot be fetched",
            message,
            "set HF_HOME to a folder of yours, or give a path in the place of the id",
        )
    }

    /// The answer is not one that a hub gives.
    pub(super) fn strange(endpoint: &str, id: &HubId) -> Self {
        let message = format!("what {endpoint} answers about `{}` is not what a hub answers", id.name);
        Self::new("cannot be fetched", message, "look at HF_ENDPOINT; a proxy may have answered in its place")
    }

    pub(super) fn no_data(id: &HubId) -> Self {
        let message = format!("{id} has no data that can be read");
        let help =
            "JSON, CSV, TSV, Parquet and Arrow are read; the hub may have a Parquet copy at `@refs/convert/parquet`";
        Self::new("no data files", message, help)
    }

    pub(super) fn no_model(id: &HubId, reason: &str) -> Self {
        let message = format!("{id} is no model that can be read: {reason}");
        Self::new(
            "no safetensors model",
            message,
            "choose a revision with `config.json` and safetensors; some have one under `@refs/pr/…`",
        )
    }

    /// A file name that leads out of a folder, or that no folder can hold.
    pub(super) fn no_name(id: &HubId, name: &str) -> Self {
        let message = format!("{id} has a file `{}`, and no file here can have such a name", name.escape_debug());
        Self::new("a file cannot be fetched", message, "choose another revision, or one folder of it without that file")
    }

    pub(super) fn too_many(id: &HubId, number: usize, most: usize) -> Self {
        let message = format!("{id} has {number} files that a stage would read, more than the {most} that are fetched");
        Self::new("too many files", message, "name one folder of it, as in `hf:ORG/NAME@main/FOLDER`")
    }

    pub(super) fn too_large(id: &HubId, file: &RepoPath, size: u64, most: u64) -> Self {
        let message = format!(
            "the hub says that `{file}` of {id} takes {}, more than the {} of the largest file that is fetched",
            bytes(size),
            bytes(most)
        );
        Self::new("too large", message, "look at HF_ENDPOINT, or choose another revision")
    }

    pub(super) fn no_room(id: &HubId, cache: &Path, needed: u64, free: u64) -> Self {
        let (needed, free) = (bytes(needed), bytes(free));
        let message = format!("{id} takes {needed} more, and `{}` has room for {free}", cache.display());
        Self::new("no room", message, "free some space, or name another disk with HF_HOME")
    }

    pub(super) fn offline(id: &HubId, cache: &Path) -> Self {
        let message = format!("{id} is not whole in `{}`, and HF_HUB_OFFLINE forbids to ask the hub", cache.display());
        Self::new(
            "not fetched",
            message,
            "fetch it where there is a network, and copy the cache; or unset HF_HUB_OFFLINE",
        )
    }

    /// A cached file does not have the bytes of its name, and offline it cannot be fetched again.
    pub(super) fn spoilt_cache(path: &Path) -> Self {
        let message = format!("`{}` has other bytes than its name says", path.display());
        Self::new("spoilt in the cache", message, "fetch it again where there is a network: unset HF_HUB_OFFLINE")
    }

    pub(super) fn another_part(file: &RemoteFile) -> Self {
        let message = format!("another part of `{}` comes than was asked for", file.path);
        Self::new("cannot be fetched", message, "look at HF_ENDPOINT; a proxy may be at fault")
    }

    pub(super) fn broken(file: &RemoteFile, error: &Error) -> Self {
        Self::new("cannot be fetched", format!("the connection broke while `{}` came: {error}", file.path), AGAIN)
    }

    pub(super) fn too_short(file: &RemoteFile, have: u64) -> Self {
        let message = format!("`{}` ends after {} of {}", file.path, bytes(have), bytes(file.size));
        Self::new("cannot be fetched", message, AGAIN)
    }

    pub(super) fn too_long(file: &RemoteFile) -> Self {
        let message = format!("`{}` does not end after {}, as the hub said", file.path, bytes(file.size));
        Self::new("cannot be fetched", message, "run it again: it begins anew; a proxy may be at fault")
    }

    pub(super) fn spoilt(file: &RemoteFile) -> Self {
        let message = format!("`{}` came with other bytes than the hub has", file.path);
        Self::new("cannot be fetched", message, "run it again: it begins anew; a proxy or this disk may be at fault")
    }

    /// The cache or the store cannot be written.
    pub(super) fn disk(path: &Path, error: &Error) -> Self {
        let message = format!("`{}` cannot be written: {error}", path.display());
        let help = match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                format!("free some space, or name another disk with HF_HOME; {AGAIN}")
            }
            _ => "name another folder with HF_HOME".to_owned(),
        };
        Self::new("cannot be fetched", message, help)
    }

    /// The store cannot be written.
    pub(super) fn store(path: &Path, error: &Error) -> Self {
        let message = format!("the store `{}` cannot be written: {error}", path.display());
        let help = match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => format!("free some space; {AGAIN}"),
            _ => "move what is named there out of the way, or name another store with --store".to_owned(),
        };
        Self::new("cannot be fetched", message, help)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_with_its_cure() {
        let trouble = Trouble::disk(Path::new("/cache/x"), &Error::from_raw_os_error(libc::ENOSPC));
        assert_eq!(trouble.message, "`/cache/x` cannot be written: No space left on device (os error 28)");
        assert!(trouble.help.starts_with("free some space, or name another disk with HF_HOME"), "{}", trouble.help);
    }
}
