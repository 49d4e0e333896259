//! What may go wrong between an id and its files, with what to do about it. No text here has a token in it.

use std::io::{Error, ErrorKind};
use std::path::Path;

use engine::diagnostic::Diagnostic;
use engine::workflow::hub::{HubId, HubInput};

use super::remote::RemoteFile;
use super::settings::Settings;
use super::transfer::Failure;
use crate::ui::bytes;

const AGAIN: &str = "run it again: it goes on where it stopped";

/// Why an input cannot be fetched.
#[derive(Debug)]
pub(crate) struct Trouble {
    message: String,
    /// What is wrong with what stands in the workflow, in a few words.
    label: &'static str,
    help: String,
}

impl Trouble {
    fn new(label: &'static str, message: String, help: impl Into<String>) -> Self {
        Self { message, label, help: help.into() }
    }

    /// Points at the input in the workflow.
    pub(crate) fn at(self, input: &HubInput) -> Diagnostic {
        Diagnostic::new(&input.place, self.message, self.label).with_help(self.help)
    }

    /// Nothing is known of the repository; `is_there` asks once more, whether it is there at all.
    pub(super) fn of_repository(
        settings: &Settings,
        id: &HubId,
        revision: &str,
        failure: &Failure,
        is_there: impl FnOnce() -> bool,
    ) -> Self {
        let (name, sort) = (&id.name, if id.is_dataset { "data set" } else { "model" });
        match **failure {
            ureq::Error::StatusCode(404) if is_there() => {
                let message = format!("the {sort} `{name}` has no revision `{revision}`");
                let help = if revision == id.revision {
                    "name a branch, a tag, or all 40 digits of a commit"
                } else {
                    "`r1flow fetch` asks what the branch stands for now"
                };
                Self::new("no such revision", message, help)
            }
            ureq::Error::StatusCode(404) => {
                let message = format!("there is no {sort} `{name}` at {}", settings.endpoint);
                Self::new(
                    "not on the hub",
                    message,
                    "look at the name's spelling; the key says whether it is a model or data",
                )
            }
            ureq::Error::StatusCode(401 | 403) => Self::refused(settings, id),
            _ => Self::unreachable(settings, failure),
        }
    }

    /// A file that the hub has named does not come.
    pub(super) fn of_file(settings: &Settings, id: &HubId, file: &RemoteFile, failure: &Failure) -> Self {
        match **failure {
            ureq::Error::StatusCode(401 | 403) => Self::refused(settings, id),
            ureq::Error::StatusCode(404) => {
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
            (format!("the hub gives `{name}` to nobody without a token"), "put one of yours into HF_TOKEN")
        };
        let help = format!(
            "{first}, accept the licence at {page}, and check the spelling: the hub also hides what is not there"
        );
        Self::new("gated, private, or not there", message, help)
    }

    fn unreachable(settings: &Settings, failure: &Failure) -> Self {
        let endpoint = &settings.endpoint;
        let offline = "without a network, HF_HUB_OFFLINE=1 takes what the cache has";
        match **failure {
            ureq::Error::StatusCode(429) => {
                let help = "wait some minutes; with an HF_TOKEN it allows more";
                Self::new("not now", format!("{endpoint} asks for fewer requests"), help)
            }
            // Of a request only the token is the user's own spelling.
            ureq::Error::Http(_) => {
                let message = "the token has characters that no token has".to_owned();
                Self::new("cannot be asked for", message, "look at HF_TOKEN, or the file that HF_TOKEN_PATH names")
            }
            ureq::Error::StatusCode(status) => {
                let message = format!("{endpoint} answers with status {status}");
                Self::new("cannot be fetched", message, format!("try again later; {offline}"))
            }
            _ => {
                let message = format!("{endpoint} cannot be reached: {failure}");
                let help = format!("look at the network, HTTPS_PROXY and HF_ENDPOINT; {offline}");
                Self::new("cannot be fetched", message, help)
            }
        }
    }

    /// An answer that is none.
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

    pub(super) fn offline(id: &HubId, cache: &Path) -> Self {
        let message = format!("{id} is not whole in `{}`, and HF_HUB_OFFLINE forbids to ask the hub", cache.display());
        Self::new(
            "not fetched",
            message,
            "fetch it where there is a network, and copy the cache; or unset HF_HUB_OFFLINE",
        )
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
