//! The attacks that the jail is tried with.
//!
//! Each is carried out by a process of the jail itself, with every layer on, in place of a program. So none needs an
//! interpreter, and the probe works on any machine. **An attack that succeeds does no harm**: it opens and does not
//! change, sends signal 0, sets what is already so, or stops just beyond the limit. That is what makes it right to try
//! them on the machine of a user whose jail does not hold.
//!
//! To add one: a function in the file of its group that returns what it gained, and a line in that file's table. The
//! tests then also carry it out without a jail, where it must succeed for a user or for root (`tests/attacks.rs`).

mod calls;
mod files;
mod kernel;
mod network;
mod privileges;
mod processes;
mod resources;
mod trial;

use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::program::{Limits, Outcome};
pub(crate) use trial::VICTIM;
pub use trial::try_all;

/// The version of the table: a result of another version says nothing.
pub const VERSION: u32 = 2;

/// What the file holds that attacks are aimed at.
const SECRET: &str = "this is outside of the jail\n";

/// One attack.
pub(crate) struct Attack {
    pub(crate) name: &'static str,
    /// What it tries, as the end of "a program tries to …".
    pub(crate) tries: &'static str,
    /// Carries it out, and returns what was gained.
    pub(crate) carry_out: fn(&Targets) -> io::Result<String>,
    pub(crate) judged: Judged,
}

/// How it is known whether an attack has got out.
#[derive(Clone, Copy)]
pub(crate) enum Judged {
    /// By what it says.
    Said,
    /// By how it ended, whatever it says: true means that the jail held.
    Ended(fn(&Outcome) -> bool),
    /// By that it had to be killed after a second.
    TimedOut,
    /// By a process of the marker's name that is there afterwards.
    LeftProcess,
    /// By a file of the marker's name in this folder afterwards.
    LeftFile(&'static str),
}

/// What attacks are aimed at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Targets {
    /// Ports of 127.0.0.1 on which this process listens.
    pub(crate) tcp: u16,
    pub(crate) udp: u16,
    /// An abstract socket on which it listens.
    pub(crate) abstract_socket: String,
    /// A folder that every user may write. It holds `secret`, and the sockets `stream` and `datagram`.
    pub(crate) folder: PathBuf,
    /// A process outside, of the user that the helper has.
    pub(crate) victim: i32,
    /// A name that nothing else has.
    pub(crate) marker: String,
    pub(crate) limits: Limits,
}

/// How an attack went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    pub name: String,
    /// What it tried, as the end of "a program tries to …".
    pub tries: String,
    pub verdict: Verdict,
}

/// Whether the jail held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It did, by this.
    Held(String),
    /// It did not, and this was gained.
    Escaped(String),
}

impl Attempt {
    /// Returns whether the attack got out.
    pub fn has_escaped(&self) -> bool {
        matches!(self.verdict, Verdict::Escaped(_))
    }
}

/// The table.
pub(crate) fn table() -> impl Iterator<Item = &'static Attack> {
    [network::TABLE, files::TABLE, processes::TABLE, privileges::TABLE, kernel::TABLE, resources::TABLE]
        .into_iter()
        .flatten()
}

/// The exit code of an attack that has got out.
pub(crate) const ESCAPED: i32 = 10;
/// The exit code of one that has not.
pub(crate) const HELD: i32 = 11;

/// Carries out an attack, writes what it gained or what held it on standard output, and returns the exit code.
pub(crate) fn carry_out(name: &str, targets: &Targets) -> i32 {
    let Some(attack) = table().find(|attack| attack.name == name) else { return 1 };
    let (code, said) = match (attack.carry_out)(targets) {
        Ok(gained) => (ESCAPED, gained),
        Err(error) => (HELD, error.to_string()),
    };
    // SAFETY: standard output is open, or the write fails.
    unsafe {
        libc::write(1, said.as_ptr().cast(), said.len());
    }
    code
}
