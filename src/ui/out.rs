//! Stdout and stderr: what each supports, and what happens when one cannot be written.
//!
//! If the reader leaves early (`| head`), no more is written, and that is no error. Any other failure, such as a full
//! disk, is remembered for the end: see [`trouble`]. A failing stderr cannot be reported anywhere.

use std::fs::File;
use std::io::{Error, ErrorKind, IsTerminal, Result, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::arguments::Color;

/// Stdout or stderr.
struct Stream {
    /// Not `std::io::Stdout`, which silently drops output if the descriptor is closed or not writable.
    file: Result<File>,
    is_terminal: bool,
    has_color: bool,
}

struct Streams {
    out: Stream,
    err: Stream,
}

static STREAMS: OnceLock<Streams> = OnceLock::new();

/// The state of stdout.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    Open,
    /// Its reader has left.
    Left,
    Refused(String),
}

static FATE: Mutex<Fate> = Mutex::new(Fate::Open);

/// Sets when to use colours; only the first call counts.
pub(super) fn start(color: Color) {
    let _ = STREAMS.set(look(color));
}

fn streams() -> &'static Streams {
    STREAMS.get_or_init(|| look(Color::Auto))
}

fn look(color: Color) -> Streams {
    let is_welcome = has_capable_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let stream = |file: Result<File>, is_terminal: bool| {
        let has_color = match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => is_terminal && is_welcome,
        };
        Stream { file, is_terminal, has_color }
    };
    let (out, err) = (std::io::stdout(), std::io::stderr());
    Streams {
        out: stream(out.as_fd().try_clone_to_owned().map(File::from), out.is_terminal()),
        err: stream(err.as_fd().try_clone_to_owned().map(File::from), err.is_terminal()),
    }
}

/// Returns whether TERM names a terminal that can do more than lines of text.
fn has_capable_terminal() -> bool {
    std::env::var_os("TERM").is_some_and(|term| !term.is_empty() && term != "dumb")
}

/// Returns whether stderr is a terminal on which lines can be redrawn.
pub(super) fn is_live() -> bool {
    streams().err.is_terminal && has_capable_terminal()
}

/// Returns the columns of the terminal that stderr is, for live lines; 80 if nothing says.
pub(super) fn width() -> usize {
    error_room().or_else(columns).unwrap_or(80)
}

/// Returns the columns for lines of progress that are not redrawn: those of the terminal that stderr is, else those that
/// `COLUMNS` says; `None` if nothing says.
pub(super) fn plain_room() -> Option<usize> {
    error_room().or_else(columns)
}

/// Returns the columns that the user's `COLUMNS` says: a shell exports it only if it is told to.
fn columns() -> Option<usize> {
    std::env::var("COLUMNS").ok()?.parse().ok().filter(|columns| *columns > 0)
}

/// Returns the columns of the terminal that stdout is, else those that `COLUMNS` says; `None` if it is no terminal.
pub(super) fn room() -> Option<usize> {
    streams().out.room()
}

/// Returns the columns of the terminal that stderr is, else those that `COLUMNS` says; `None` if it is no terminal.
pub(super) fn error_room() -> Option<usize> {
    streams().err.room()
}

impl Stream {
    fn room(&self) -> Option<usize> {
        if !self.is_terminal {
            return None;
        }
        self.file.as_ref().ok().and_then(columns_of).or_else(columns)
    }
}

/// Returns the columns of a terminal, which may say so without saying its rows.
fn columns_of(terminal: &File) -> Option<usize> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the call writes the size into the structure, which lives longer, or fails.
    let done = unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCGWINSZ, &raw mut size) };
    (done == 0 && size.ws_col > 0).then(|| usize::from(size.ws_col))
}

/// Returns whether stdout is a terminal on which lines can be redrawn.
pub(super) fn is_live_result() -> bool {
    streams().out.is_terminal && has_capable_terminal()
}

pub(super) fn is_terminal() -> bool {
    streams().out.is_terminal
}

pub(super) fn has_color() -> bool {
    streams().out.has_color
}

pub(super) fn errors_have_color() -> bool {
    streams().err.has_color
}

/// Writes to stdout, unless an earlier write failed.
pub(super) fn put(bytes: &[u8]) {
    let mut fate = FATE.lock().unwrap_or_else(PoisonError::into_inner);
    if *fate != Fate::Open {
        return;
    }
    match write(&streams().out, bytes) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::BrokenPipe => *fate = Fate::Left,
        Err(error) => *fate = Fate::Refused(error.to_string()),
    }
}

/// Writes to stderr.
pub(super) fn complain(bytes: &[u8]) {
    // A failing stderr cannot be reported anywhere.
    let _ = write(&streams().err, bytes);
}

/// Returns whether stdout still accepts output.
pub(super) fn has_reader() -> bool {
    *FATE.lock().unwrap_or_else(PoisonError::into_inner) == Fate::Open
}

/// Returns why a write to stdout failed; `None` if only its reader left.
pub(super) fn trouble() -> Option<String> {
    match &*FATE.lock().unwrap_or_else(PoisonError::into_inner) {
        Fate::Refused(reason) => Some(reason.clone()),
        Fate::Open | Fate::Left => None,
    }
}

fn write(stream: &Stream, mut bytes: &[u8]) -> Result<()> {
    let mut file = match &stream.file {
        Ok(file) => file,
        Err(error) => return Err(Error::new(error.kind(), error.to_string())),
    };
    while !bytes.is_empty() {
        match file.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // Another program that shares the pipe has made it non-blocking.
            Err(error) if error.kind() == ErrorKind::WouldBlock => wait(file),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Waits until a file is writable.
fn wait(file: &File) {
    let mut asked = libc::pollfd { fd: file.as_raw_fd(), events: libc::POLLOUT, revents: 0 };
    // SAFETY: one entry, which outlives the call. Its result is not needed: the next write finds any error.
    unsafe {
        libc::poll(&raw mut asked, 1, -1);
    }
}
