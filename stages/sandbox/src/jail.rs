//! The caller's side: starting a jail and running programs in it.

use std::io;
use std::process::Command;

use crate::program::{Outcome, Policy, Program};

/// Why nothing was run, or why it is not known how it went.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("programs that others wrote are run on Linux only")]
    Unsupported,
    #[error("cannot start the jail's helper: {0}")]
    Helper(#[source] io::Error),
    #[error("the jail's helper cannot work: {0}")]
    Unable(String),
    #[error("the jail does not hold here, {}", told(.0))]
    Open(Vec<String>),
    #[error("`{0}` does not name a file in a program's own folder")]
    Name(String),
    #[error("the jail could not run a program: {0}")]
    Run(String),
    #[error("lost the jail's helper: {0}")]
    Lost(#[source] io::Error),
}

/// Names the attacks that got out, the first of them if there are many.
fn told(escaped: &[String]) -> String {
    let shown = escaped.iter().take(5).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    format!("{} attacks got out of it: {shown}{}", escaped.len(), if escaped.len() > 5 { " and others" } else { "" })
}

#[cfg(target_os = "linux")]
pub use linux::Jail;
#[cfg(not(target_os = "linux"))]
pub use other::Jail;

#[cfg(target_os = "linux")]
mod linux {
    use std::io::{PipeReader, Read};
    use std::net::Shutdown;
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;
    use std::process::{Child, Stdio};
    use std::sync::{Mutex, PoisonError};

    use super::{Command, Error, Outcome, Policy, Program};
    use crate::attacks::{self, Targets};
    use crate::folder::is_inside;
    use crate::layers::Layers;
    use crate::program::{Limits, Required};
    use crate::wire::{self, Answer, Ask, FileHead, Hello, Ready};

    /// A jail: its helper process. Dropping it ends the helper and all that runs.
    #[derive(Debug)]
    pub struct Jail {
        control: Mutex<UnixStream>,
        helper: Mutex<Child>,
        /// Ends when the helper, its keeper and all guards have.
        end: PipeReader,
        policy: Policy,
        layers: Layers,
    }

    impl Jail {
        /// Starts a helper, whose `main` must call [`serve`](crate::serve). If the policy requires that the jail holds,
        /// every attack is tried, unless `is_known_to_hold` says so of this key: the kernel, the policy, the user, and
        /// the layers that work.
        pub fn start(
            mut helper: Command,
            policy: Policy,
            is_known_to_hold: impl FnOnce(&str) -> bool,
        ) -> Result<Self, Error> {
            let (mut control, theirs) = UnixStream::pair().map_err(Error::Helper)?;
            helper.stdin(OwnedFd::from(theirs)).stdout(Stdio::null());
            let child = helper.spawn().map_err(Error::Helper)?;
            // The command holds the other end, and would hide that the helper has ended.
            drop(helper);
            let (end, held) = std::io::pipe().map_err(Error::Helper)?;
            wire::send(&mut control, &Hello { policy: policy.clone() }, &[]).map_err(Error::Lost)?;
            wire::send_descriptor(&control, &held, wire::RUN).map_err(Error::Lost)?;
            drop(held);
            let ready: Ready = wire::receive(&mut control).map_err(Error::Lost)?;
            let layers = ready.map_err(Error::Unable)?;
            let jail = Self { control: Mutex::new(control), helper: Mutex::new(child), end, policy, layers };
            if jail.policy.required == Required::Full && !is_known_to_hold(&jail.key()) {
                let tried = attacks::try_all(&jail)?;
                let escaped: Vec<_> = tried.into_iter().filter(attacks::Attempt::has_escaped).collect();
                if !escaped.is_empty() {
                    return Err(Error::Open(escaped.into_iter().map(|attempt| attempt.name).collect()));
                }
            }
            Ok(jail)
        }

        /// Returns the layers in use.
        pub fn layers(&self) -> &Layers {
            &self.layers
        }

        /// Returns what the result of trying the attacks depends on.
        pub fn key(&self) -> String {
            let system = rustix::system::uname();
            let parts = (
                system.release().to_string_lossy(),
                system.version().to_string_lossy(),
                system.machine().to_string_lossy(),
                rustix::process::geteuid().as_raw(),
                &self.policy,
                &self.layers,
                attacks::VERSION,
            );
            serde_json::to_string(&parts).expect("numbers, texts and paths")
        }

        /// Runs a program and returns how it ended. Programs run side by side, one for each thread that calls this.
        pub fn run(&self, program: &Program, limits: &Limits) -> Result<Outcome, Error> {
            if let Some(file) = program.files.iter().find(|file| !is_inside(file.name.as_ref())) {
                return Err(Error::Name(file.name.clone()));
            }
            let head = |file: &crate::File| FileHead {
                name: file.name.clone(),
                size: file.bytes.len() as u64,
                executable: file.executable,
            };
            let ask = Ask::Program {
                arguments: program.arguments.clone(),
                files: program.files.iter().map(head).collect(),
                input: program.input.len() as u64,
                limits: *limits,
            };
            let bytes = program.files.iter().map(|file| file.bytes.as_slice()).chain([program.input.as_slice()]);
            self.ask(&ask, &bytes.collect::<Vec<_>>())
        }

        /// Runs an attack in place of a program.
        pub(crate) fn attack(&self, name: &str, targets: &Targets, limits: &Limits) -> Result<Outcome, Error> {
            self.ask(&Ask::Attack { name: name.to_owned(), targets: targets.clone(), limits: *limits }, &[])
        }

        /// Starts a process outside the jail that attacks are aimed at. It ends with the connection.
        pub(crate) fn victim(&self) -> Result<(i32, UnixStream), Error> {
            let mut connection = self.connect(wire::VICTIM).map_err(Error::Lost)?;
            let pid = wire::receive(&mut connection).map_err(Error::Lost)?;
            Ok((pid, connection))
        }

        /// Returns the folder for what is made while attacks are tried.
        pub(crate) fn scratch(&self) -> &std::path::Path {
            &self.policy.scratch
        }

        fn connect(&self, what_for: u8) -> std::io::Result<UnixStream> {
            let (ours, theirs) = UnixStream::pair()?;
            let control = self.control.lock().unwrap_or_else(PoisonError::into_inner);
            wire::send_descriptor(&*control, &theirs, what_for)?;
            Ok(ours)
        }

        fn ask(&self, ask: &Ask, bytes: &[&[u8]]) -> Result<Outcome, Error> {
            let mut connection = self.connect(wire::RUN).map_err(Error::Lost)?;
            wire::send(&mut connection, ask, bytes).map_err(Error::Lost)?;
            let answer: Answer = wire::receive(&mut connection).map_err(Error::Lost)?;
            let head = answer.map_err(Error::Run)?;
            let mut bytes = |size| wire::receive_bytes(&mut connection, size).map_err(Error::Lost);
            let (output, errors) = (bytes(head.output)?, bytes(head.errors)?);
            Ok(Outcome { end: head.end, output, errors, cpu: head.cpu, wall: head.wall, memory: head.memory })
        }
    }

    impl Drop for Jail {
        fn drop(&mut self) {
            let control = self.control.get_mut().unwrap_or_else(PoisonError::into_inner);
            let _ = control.shutdown(Shutdown::Write);
            // Nothing is left then: the keeper, which ends last, has cleaned up.
            let _ = self.end.read_to_end(&mut Vec::new());
            let _ = self.helper.get_mut().unwrap_or_else(PoisonError::into_inner).wait();
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod other {
    use super::{Command, Error, Outcome, Policy, Program};
    use crate::program::Limits;

    /// A jail, which there is on Linux only.
    #[derive(Debug)]
    pub struct Jail(());

    impl Jail {
        /// Refuses: programs that others wrote are run on Linux only.
        pub fn start(_: Command, _: Policy, _: impl FnOnce(&str) -> bool) -> Result<Self, Error> {
            Err(Error::Unsupported)
        }

        /// Refuses, like `start`.
        pub fn run(&self, _: &Program, _: &Limits) -> Result<Outcome, Error> {
            Err(Error::Unsupported)
        }
    }
}
