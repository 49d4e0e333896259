//! Why an attempt has failed, and whether another one may succeed.

use std::error::Error;

/// What to do about a full disk.
pub(crate) const NO_ROOM: &str =
    "free space with `r1flow gc`, or keep the store on another disk: `--store`; what is finished is kept";

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
        let (mut is_starved, mut is_full, mut cause) = (false, false, Some(error));
        while let Some(error) = cause {
            let code = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::raw_os_error);
            is_starved |= matches!(code, Some(libc::EMFILE | libc::ENFILE));
            is_full |= matches!(code, Some(libc::ENOSPC | libc::EDQUOT));
            cause = error.source();
        }
        let help = match (is_starved, is_full) {
            (true, _) => Some("let this process open more files, `ulimit -n`, or run fewer stages: `--jobs`"),
            (false, true) => Some(NO_ROOM),
            (false, false) => None,
        };
        let help = help.map(str::to_owned);
        Self { message: error.to_string(), help, may_retry: false, is_starved }
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
