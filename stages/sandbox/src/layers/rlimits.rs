//! Bounds that the kernel keeps for each process.

use std::io;

use rustix::process::{Resource, Rlimit, setrlimit};

use crate::program::Limits;

/// Bytes of stack: programs that recurse need more than the usual 8 MiB, and threads take as much address space each.
const STACK: u64 = 64 << 20;
/// Open files of one process.
const OPEN_FILES: u64 = 128;

/// Bounds this process. `base` is address space that it has before it starts, `processes` what may run under its user
/// id, or none where that number would count others' processes.
pub(crate) fn apply(limits: &Limits, base: u64, processes: Option<u64>) -> io::Result<()> {
    // The kernel counts whole seconds. It is the second line behind the guard, which counts exactly.
    let cpu = limits.cpu.as_secs().saturating_add(2);
    let bounds = [
        (Resource::As, limits.memory.saturating_add(base)),
        (Resource::Cpu, cpu),
        (Resource::Fsize, limits.file_size.min(limits.disk)),
        (Resource::Nofile, OPEN_FILES),
        (Resource::Core, 0),
        (Resource::Stack, STACK.min(limits.memory)),
        (Resource::Memlock, 64 << 10),
        (Resource::Msgqueue, 0),
        (Resource::Rtprio, 0),
        (Resource::Nice, 0),
    ];
    for (resource, bound) in bounds.into_iter().chain(processes.map(|number| (Resource::Nproc, number))) {
        set(resource, bound)?;
    }
    Ok(())
}

/// Sets a bound, or leaves a lower one that stands already.
fn set(resource: Resource, bound: u64) -> io::Result<()> {
    let standing = rustix::process::getrlimit(resource).maximum.unwrap_or(u64::MAX);
    let bound = Some(bound.min(standing));
    Ok(setrlimit(resource, Rlimit { current: bound, maximum: bound })?)
}
