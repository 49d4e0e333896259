//! Explains how a worker ended without a final message: killed for lack of memory, crashed in a native library, or
//! exited.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

/// The number of processes that the kernel had killed for lack of memory when a worker began.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Witness {
    kills: u64,
}

impl Witness {
    /// Reads the number so far, on this machine and in this cgroup.
    pub(crate) fn begin() -> Self {
        Self { kills: kills() }
    }

    fn has_seen_a_kill(self) -> bool {
        kills() > self.kills
    }
}

/// Returns how a worker ended, and what to do about it.
pub(crate) fn tell(status: std::io::Result<ExitStatus>, witness: Witness) -> (String, String) {
    let status = match status {
        Ok(status) => status,
        Err(error) => return (format!("the worker died: {error}"), "`r1flow log` shows what it wrote".to_owned()),
    };
    let Some(signal) = status.signal() else {
        return match status.code() {
            Some(0) => (
                "the worker exited without a final message: exit status 0, and neither `done` nor `stopped` nor `failed`"
                    .to_owned(),
                "something in the stage has ended the process; `r1flow log` shows what it wrote".to_owned(),
            ),
            _ => (format!("the worker died: {status}"), "`r1flow log` shows what it wrote".to_owned()),
        };
    };
    let help = match signal {
        libc::SIGKILL if witness.has_seen_a_kill() => {
            "the kernel killed it because memory ran out: reduce the stage's memory use, or run fewer stages at once (`--jobs`, \
             `run.needs.memory-gib`)"
        }
        libc::SIGKILL => {
            "signal 9 is what the kernel sends where memory is out; if it was not that, a person or a program has killed it"
        }
        libc::SIGSEGV | libc::SIGBUS | libc::SIGABRT | libc::SIGFPE => {
            "a native library has crashed; `r1flow log` shows its last words"
        }
        libc::SIGILL => "a library uses an instruction that this processor does not have",
        libc::SIGTERM | libc::SIGINT | libc::SIGHUP => "a person or a program has ended it",
        _ => "`r1flow log` shows what it wrote",
    };
    (format!("the worker died: {status}"), help.to_owned())
}

/// Returns how often the kernel has killed for lack of memory: its own count plus that of our cgroup.
fn kills() -> u64 {
    let count = |path: &str| -> Option<u64> {
        let text = fs_err::read_to_string(path).ok()?;
        text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
    };
    let groups = fs_err::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let of_groups = groups.lines().filter_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        match controllers {
            "" => count(&format!("/sys/fs/cgroup{path}/memory.events")),
            "memory" => count(&format!("/sys/fs/cgroup/memory{path}/memory.oom_control")),
            _ => None,
        }
    });
    count("/proc/vmstat").unwrap_or(0) + of_groups.sum::<u64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_named_for_signal_9_and_for_nothing_else() {
        // As `wait` gives them: the signal, or the code in the second byte.
        for (raw, how, help) in [
            (9, "signal: 9", "memory"),
            (11, "signal: 11", "native library"),
            (6, "signal: 6", "native library"),
            (7, "signal: 7", "native library"),
            (4, "signal: 4", "processor"),
            (15, "signal: 15", "ended it"),
            (0, "without a final message", "r1flow log"),
            (3 << 8, "exit status: 3", "r1flow log"),
        ] {
            let (message, advice) = tell(Ok(ExitStatus::from_raw(raw)), Witness::begin());
            assert!(message.contains(how) && advice.contains(help), "{raw}: {message} {advice}");
            assert_eq!(advice.contains("memory"), raw == 9, "{advice}");
        }
        let (_, advice) = tell(Ok(ExitStatus::from_raw(9)), Witness { kills: 0 });
        assert!(kills() == 0 || advice.starts_with("the kernel killed it because memory ran out"), "{advice}");
    }
}
