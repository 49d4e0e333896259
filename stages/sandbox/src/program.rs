//! What goes into the jail and what comes out: plain values, the same on every system.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What holds for every program of a jail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Folders and files that a program may read and execute, besides the system's own (`/usr` and what belongs to it).
    pub readable: Vec<PathBuf>,
    /// A program may use the network. The default is no.
    pub network: bool,
    /// What must hold before a program is run at all.
    pub required: Required,
    /// The folder in which the folders of programs are made where there are no namespaces. Every user must be able to
    /// pass through it.
    pub scratch: PathBuf,
    /// Layers that are not used though they may work. This is for tests and for looking into a failure.
    pub leave_out: BTreeSet<Layer>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            readable: Vec::new(),
            network: false,
            required: Required::Full,
            scratch: PathBuf::from("/tmp"),
            leave_out: BTreeSet::new(),
        }
    }
}

/// How much must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Required {
    /// Every attack of the table is refused, or nothing is run.
    Full,
    /// Programs are run with the layers that work, even with none.
    Nothing,
}

/// A means by which the jail holds a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layer {
    /// Rights to files, TCP ports, abstract sockets and signals.
    Landlock,
    /// The list of system calls that a program may make.
    Seccomp,
    /// User, process, mount, network, IPC and host name spaces of its own.
    Namespaces,
    /// A control group, which bounds the memory and the number of processes of the whole tree.
    Cgroup,
    /// A user id that no other running program has. Only root can give one.
    OwnUser,
    /// Bounds of each process: memory, CPU time, size of files, number of processes.
    Rlimits,
}

impl Layer {
    /// Every layer.
    pub const ALL: [Self; 6] =
        [Self::Landlock, Self::Seccomp, Self::Namespaces, Self::Cgroup, Self::OwnUser, Self::Rlimits];
}

/// Bounds of one run of one program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Time on the clock: a generous bound on programs that wait, since it depends on what else the machine does.
    pub wall: Duration,
    /// CPU time of the program and its descendants together. This is the limit that calls a program too slow.
    pub cpu: Duration,
    /// Bytes of address space of each process. The tree's resident memory has the same bound; where a control group
    /// holds it, `disk` is added, because files in memory count.
    pub memory: u64,
    /// Bytes that the program may write on standard output and standard error together.
    pub output: u64,
    /// Bytes of one file.
    pub file_size: u64,
    /// Bytes of all files together.
    pub disk: u64,
    /// Processes and threads at the same time, the program's own included. With 1 it can start neither.
    pub processes: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            wall: Duration::from_mins(1),
            cpu: Duration::from_secs(10),
            memory: 1 << 30,
            output: 1 << 20,
            file_size: 16 << 20,
            disk: 64 << 20,
            processes: 16,
        }
    }
}

#[cfg(target_os = "linux")]
impl Limits {
    /// Returns how many files and folders a program may make: one for each 4 KiB of `disk`, within bounds.
    pub(crate) fn num_files(&self) -> u64 {
        (self.disk / 4096).clamp(256, 16_384)
    }
}

/// One program with all that it starts from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Program {
    /// The command. A first argument without a slash is looked up in `/usr/local/bin`, `/usr/bin` and `/bin`.
    pub arguments: Vec<String>,
    /// The contents of its own folder, in which it starts.
    pub files: Vec<File>,
    /// Its standard input, as a file that can be read only.
    pub input: Vec<u8>,
}

/// A file in the program's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// A relative path. Its folders are made.
    pub name: String,
    pub bytes: Vec<u8>,
    pub executable: bool,
}

/// How a program ended, and what it left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    pub end: End,
    /// Standard output, whole unless `end` is [`End::Output`].
    pub output: Vec<u8>,
    /// Standard error.
    pub errors: Vec<u8>,
    /// CPU time of the program and its descendants.
    pub cpu: Duration,
    /// Time on the clock.
    pub wall: Duration,
    /// The resident memory of its largest process, in bytes.
    pub memory: u64,
}

impl Outcome {
    /// Returns whether other load on the machine may have decided the end, so that the run should be repeated alone.
    pub fn may_be_load(&self) -> bool {
        matches!(self.end, End::WallTime | End::CpuTime)
    }
}

/// The ways in which a program ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// It ended with this code.
    Exited(i32),
    /// This signal ended it.
    Signalled(i32),
    /// It was killed at the limit of time on the clock.
    WallTime,
    /// It used more CPU time than the limit, even if it ended by itself.
    CpuTime,
    /// It was killed because its processes together took too much memory. A single process that asks for too much
    /// memory gets none, and ends in its own way.
    Memory,
    /// It was killed because it wrote too much on standard output or standard error.
    Output,
    /// It was killed because its files took too much space. Where its folder is in memory, writing fails instead.
    Disk,
    /// It was killed because it had too many processes. Where the kernel counts them, starting one fails instead.
    Processes,
    /// The command cannot be started, for this reason.
    NotStarted(String),
}
