//! The keeper: a process beside the engine that kills what workers leave behind when the engine is killed.
//!
//! The kernel kills a worker when its engine dies, but not the processes that the worker started, such as a sandbox.
//! Those are in the worker's process group. A live engine kills the group of every worker that has ended. The keeper
//! does so for a dead engine: it reads from a pipe which groups there are, and kills them when the pipe ends, because
//! then the engine is gone. It is a few lines of shell, so it needs next to no memory, and the engine need not fork
//! itself.

use std::collections::BTreeSet;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, MutexGuard};

/// The keeper's name in process lists.
pub const KEEPER: &str = "r1flow-keeper";

/// Reads `+ GROUP` and `- GROUP`. At the end of its input it kills the groups that were added and not removed. It
/// ignores signals of a terminal or a batch system.
const SCRIPT: &str = r#"
trap '' HUP INT QUIT TERM USR1 USR2
while read -r sign group; do
    case $sign in
        +) groups="$groups $group " ;;
        -) groups="${groups%% $group *} ${groups#* $group }" ;;
    esac
done
for group in $groups; do kill -KILL "-$group"; done
"#;

/// The keeper, shared by all engines of this process.
static KEPT: Mutex<Kept> = Mutex::new(Kept::new());

struct Kept {
    /// Groups of running workers.
    groups: BTreeSet<u32>,
    keeper: Option<(Child, ChildStdin)>,
}

/// The process group of a worker. Dropping this value kills the group; if the engine is killed, the keeper does.
#[derive(Debug)]
pub(crate) struct Group(u32);

impl Group {
    /// Registers the group that a process leads.
    pub(crate) fn led_by(pid: u32) -> Self {
        let mut kept = kept();
        kept.groups.insert(pid);
        kept.tell(&format!("+ {pid}\n"));
        Self(pid)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // SAFETY: a signal to a process group that this engine made.
        unsafe {
            libc::kill(-self.0.cast_signed(), libc::SIGKILL);
        }
        let mut kept = kept();
        kept.groups.remove(&self.0);
        kept.tell(&format!("- {}\n", self.0));
    }
}

impl Kept {
    const fn new() -> Self {
        Self { groups: BTreeSet::new(), keeper: None }
    }

    /// Sends a change to the keeper. A keeper that is not running is started with all groups.
    fn tell(&mut self, change: &str) {
        if let Some((_, pipe)) = &mut self.keeper {
            if pipe.write_all(change.as_bytes()).is_ok() {
                return;
            }
            self.rest();
        }
        if self.groups.is_empty() {
            return;
        }
        match start(&self.groups) {
            Ok(keeper) => self.keeper = Some(keeper),
            Err(error) => {
                tracing::warn!(%error, "cannot start the keeper: processes that stages start may survive if the engine is killed");
            }
        }
    }

    /// Ends the keeper.
    fn rest(&mut self) {
        if let Some((mut keeper, _)) = self.keeper.take() {
            // An error means that it has ended already.
            let _ = keeper.kill();
            let _ = keeper.wait();
        }
    }
}

/// Ends the keeper if no worker is running. Called at the end of a run, so that the engine leaves no process behind.
pub(crate) fn rest() {
    let mut kept = kept();
    if kept.groups.is_empty() {
        kept.rest();
    }
}

fn kept() -> MutexGuard<'static, Kept> {
    KEPT.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Starts a keeper, and sends it all groups.
fn start(groups: &BTreeSet<u32>) -> std::io::Result<(Child, ChildStdin)> {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", SCRIPT, KEEPER]).current_dir("/").env_clear().process_group(0);
    let mut keeper = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let mut pipe = keeper.stdin.take().expect("it is piped");
    for group in groups {
        writeln!(pipe, "+ {group}")?;
    }
    Ok((keeper, pipe))
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    /// A process that sleeps, in a group of its own.
    struct Sleeper(Child);

    impl Sleeper {
        fn start() -> Self {
            let mut command = Command::new("sleep");
            Self(command.arg("3600").process_group(0).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
        }
    }

    impl Drop for Sleeper {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    #[test]
    fn the_end_of_the_pipe_kills_what_is_kept_and_nothing_else_even_by_a_second_keeper() {
        let (mut kept, mut sleepers) = (Kept::new(), [(); 3].map(|()| Sleeper::start()));
        let [first, second, gone] = sleepers.each_ref().map(|sleeper| sleeper.0.id());
        for pid in [first, gone] {
            kept.groups.insert(pid);
            kept.tell(&format!("+ {pid}\n"));
        }
        kept.groups.remove(&gone);
        kept.tell(&format!("- {gone}\n"));
        let (keeper, _) = kept.keeper.as_mut().unwrap();
        let was = keeper.id();
        keeper.kill().unwrap();
        keeper.wait().unwrap();
        kept.groups.insert(second);
        kept.tell(&format!("+ {second}\n"));

        let (mut keeper, pipe) = kept.keeper.take().unwrap();
        assert_ne!(keeper.id(), was);
        drop(pipe);
        assert!(keeper.wait().unwrap().success());
        let [first, second, gone] = &mut sleepers;
        assert_eq!([first, second].map(|sleeper| sleeper.0.wait().unwrap().signal()), [Some(libc::SIGKILL); 2]);
        assert!(gone.0.try_wait().unwrap().is_none(), "it has been let go");
    }
}
