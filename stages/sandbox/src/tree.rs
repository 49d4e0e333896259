//! What the descendants of a guard use, as `/proc` shows it.
//!
//! A guard is the reaper of all that its program starts (or the first process of their namespace), so whatever lives
//! has it as an ancestor.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};

/// A process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    pub(crate) parent: i32,
    /// Clock ticks of CPU time, its reaped children's included.
    ticks: u64,
    threads: u64,
    /// Pages.
    resident: u64,
}

/// What descendants use together.
#[derive(Debug, Clone, Default)]
pub(crate) struct Used {
    pub(crate) pids: Vec<i32>,
    pub(crate) tasks: u64,
    pub(crate) cpu: Duration,
    pub(crate) resident: u64,
}

/// Returns all processes that this `/proc` shows.
pub(crate) fn processes(proc: BorrowedFd) -> io::Result<Vec<Process>> {
    let mut found = Vec::new();
    for entry in Dir::read_from(proc)? {
        let entry = entry?;
        let Some(pid) = entry.file_name().to_str().ok().and_then(|name| name.parse().ok()) else { continue };
        // A process may go while it is looked at.
        found.extend(process(proc, pid));
    }
    Ok(found)
}

fn process(proc: BorrowedFd, pid: i32) -> Option<Process> {
    let file = rustix::fs::openat(proc, format!("{pid}/stat"), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let mut text = [0; 1024];
    let size = rustix::io::read(&file, &mut text).ok()?;
    let text =
        std::str::from_utf8(&text[..size]).ok().map_or_else(|| String::from_utf8_lossy(&text[..size]), Into::into);
    // The name is in parentheses, and may hold some itself.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some(Process {
        pid,
        parent: number(1)? as i32,
        ticks: number(11)? + number(12)? + number(13)? + number(14)?,
        threads: number(17)?,
        resident: number(21)?,
    })
}

/// Returns what the descendants of a process use.
pub(crate) fn used_by_descendants(proc: BorrowedFd, of: i32) -> io::Result<Used> {
    let all = processes(proc)?;
    let mut family = BTreeSet::from([of]);
    // A child may be listed before its parent, so until nothing is added.
    loop {
        let children = all.iter().filter(|process| family.contains(&process.parent)).map(|process| process.pid);
        let larger: BTreeSet<i32> = family.iter().copied().chain(children).collect();
        if larger.len() == family.len() {
            break;
        }
        family = larger;
    }
    let mut used = Used::default();
    let mut ticks = 0;
    for process in all.iter().filter(|process| process.pid != of && family.contains(&process.pid)) {
        used.pids.push(process.pid);
        used.tasks += process.threads;
        ticks += process.ticks;
        used.resident += process.resident * rustix::param::page_size() as u64;
    }
    used.cpu = Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64);
    Ok(used)
}

/// Returns how many processes and threads a user has.
pub(crate) fn tasks_of_user(proc: BorrowedFd, user: u32) -> io::Result<u64> {
    let owner = |pid: i32| rustix::fs::statat(proc, pid.to_string(), AtFlags::empty()).map(|about| about.st_uid);
    let all = processes(proc)?;
    Ok(all.iter().filter(|process| owner(process.pid) == Ok(user)).map(|process| process.threads).sum())
}

/// Returns the bytes of files on `device` that processes hold open after they were removed from their folders.
pub(crate) fn removed_files(proc: BorrowedFd, pids: &[i32], device: u64) -> u64 {
    let mut seen = BTreeSet::new();
    for pid in pids {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let Ok(open) = rustix::fs::openat(proc, format!("{pid}/fd"), flags, Mode::empty()) else { continue };
        let Ok(entries) = Dir::read_from(&open) else { continue };
        for entry in entries.flatten() {
            let Ok(about) = rustix::fs::statat(open.as_fd(), entry.file_name(), AtFlags::empty()) else { continue };
            let is_file = FileType::from_raw_mode(about.st_mode) == FileType::RegularFile;
            if is_file && about.st_nlink == 0 && about.st_dev == device {
                seen.insert((about.st_ino, about.st_blocks as u64 * 512));
            }
        }
    }
    seen.iter().map(|(_, bytes)| bytes).sum()
}
