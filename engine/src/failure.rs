//! Why an attempt has failed, and whether another one may succeed.

use std::error::Error;
use std::io::ErrorKind;

/// Why an attempt failed.
#[derive(Debug, Default)]
pub(crate) struct Failure {
    pub(crate) message: String,
    pub(crate) help: Option<String>,
    /// Whether another attempt may succeed: the worker died or hung, rather than reported a failure.
    pub(crate) may_retry: bool,
    /// Whether file descriptors ran out: some become free when another stage ends.
    pub(crate) is_starved: bool,
}

impl Failure {
    /// Makes a failure without advice.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), ..Self::default() }
    }

    fn of(error: &(dyn Error + 'static)) -> Self {
        let shortage = Shortage::of(error);
        Self {
            message: error.to_string(),
            help: shortage.map(Shortage::advice),
            may_retry: false,
            is_starved: shortage == Some(Shortage::Descriptors),
        }
    }
}

/// A resource of the system that has run out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shortage {
    Descriptors,
    Disk,
}

impl Shortage {
    /// Finds a shortage among the causes of an error. An error that names its file has the kind of its cause alone, not
    /// its number.
    pub(crate) fn of(error: &(dyn Error + 'static)) -> Option<Self> {
        let mut cause = Some(error);
        while let Some(error) = cause {
            if let Some(error) = error.downcast_ref::<std::io::Error>() {
                match (error.raw_os_error(), error.kind()) {
                    (Some(libc::EMFILE | libc::ENFILE), _) => return Some(Self::Descriptors),
                    (_, ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => return Some(Self::Disk),
                    _ => {}
                }
            }
            // A transparent error of another crate hides the error of the system, and not its words.
            let words = error.to_string();
            let is = |number: i32| words.contains(&format!("(os error {number})"));
            if is(libc::ENOSPC) || is(libc::EDQUOT) {
                return Some(Self::Disk);
            }
            if is(libc::EMFILE) || is(libc::ENFILE) {
                return Some(Self::Descriptors);
            }
            cause = error.source();
        }
        None
    }

    /// Returns what a user can do about it.
    pub(crate) fn advice(self) -> String {
        match self {
            Self::Descriptors => "let this process open more files, `ulimit -n`, or run fewer stages: `--jobs`",
            Self::Disk => {
                "free space with `r1flow gc`, or keep the store on another disk: `--store`; what is finished is kept"
            }
        }
        .to_owned()
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::of(&error)
    }
}

impl From<store::Error> for Failure {
    fn from(error: store::Error) -> Self {
        Self::of(&error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::StageError;

    #[test]
    fn a_full_disk_has_advice_in_engine_and_worker() {
        let full = || fs_err::write("/dev/full", "x").unwrap_err();
        for help in [Failure::from(full()).help, StageError::from(full()).help] {
            assert!(help.is_some_and(|help| help.contains("`r1flow gc`")));
        }
        // As a crate does that writes checkpoints.
        #[derive(Debug, thiserror::Error)]
        #[error(transparent)]
        struct Hidden(#[from] std::io::Error);
        let source = std::io::Error::from_raw_os_error(libc::ENOSPC);
        let hidden = Hidden(std::io::Error::new(source.kind(), format!("{source}: `20.partial/weights`")));
        assert!(StageError::from(hidden).help.is_some_and(|help| help.contains("`r1flow gc`")));
        let other = fs_err::read("/nowhere").unwrap_err();
        assert_eq!(Failure::from(other).help, None);
    }
}
