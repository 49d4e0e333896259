//! Control groups: the kernel bounds the memory and the number of processes of a program's whole tree.
//!
//! The helper makes one group below its own, where that is allowed, and in it one for each program that runs at the
//! same time. These are used again, because making and removing one for each program costs more than running it.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{AtFlags, CWD, Mode, OFlags};

use crate::program::Limits;

/// What the memory limit leaves for the pages that the kernel needs for processes.
const SLACK: u64 = 32 << 20;

/// How often it is tried to remove groups whose processes have yet to leave them.
const PATIENCE: u32 = 1000;

/// One hierarchy: both controllers in version 2, one of them in version 1.
#[derive(Debug)]
struct Hierarchy {
    parent: OwnedFd,
    /// The group that the helper made in `parent`.
    name: String,
    group: OwnedFd,
    memory: bool,
    pids: bool,
}

/// The helper's groups.
#[derive(Debug)]
pub(crate) struct Cgroup {
    version: u8,
    hierarchies: Vec<Hierarchy>,
}

/// The groups of one running program.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    /// A process that writes 0 to these moves into the groups.
    procs: Vec<OwnedFd>,
    memory: Vec<OwnedFd>,
    pids: Vec<OwnedFd>,
    events: Option<OwnedFd>,
}

impl Cgroup {
    /// Makes the helper's groups; fails where it may not, or where memory or processes are not bounded by it.
    pub(crate) fn create() -> io::Result<Self> {
        let own = fs_err::read_to_string("/proc/self/cgroup")?;
        let mounts = fs_err::read_to_string("/proc/self/mountinfo")?;
        let mut made = Self { version: 1, hierarchies: Vec::new() };
        let (memory, pids) = (folder(&own, &mounts, Some("memory")), folder(&own, &mounts, Some("pids")));
        let result = match (memory, pids, folder(&own, &mounts, None)) {
            (Some(memory), Some(pids), _) => made.add(&memory, true, false).and_then(|()| made.add(&pids, false, true)),
            (_, _, Some(unified)) => {
                made.version = 2;
                let control = unified.join("cgroup.subtree_control");
                if !has_both(&control) {
                    // It works at the root and where no process is in the group itself.
                    fs_err::write(&control, "+memory +pids")?;
                }
                made.add(&unified, true, true)
            }
            _ => Err(io::Error::other("no control groups are mounted")),
        };
        // A slot shows that files can be written there.
        match result.and_then(|()| made.try_slot()) {
            Ok(()) => Ok(made),
            Err(error) => {
                made.remove();
                Err(error)
            }
        }
    }

    fn add(&mut self, folder: &Path, memory: bool, pids: bool) -> io::Result<()> {
        let parent = open_folder(CWD, folder)?;
        let name = format!("r1flow-jail-{}", std::process::id());
        rustix::fs::mkdirat(&parent, &name, Mode::RWXU)?;
        let group = open_folder(&parent, Path::new(&name))?;
        if self.version == 2 {
            write(&open(&group, Path::new("cgroup.subtree_control"), OFlags::WRONLY)?, "+memory +pids")?;
        }
        self.hierarchies.push(Hierarchy { parent, name, group, memory, pids });
        Ok(())
    }

    /// Makes the groups of a slot.
    pub(crate) fn slot(&self, number: usize) -> io::Result<Slot> {
        let mut slot = Slot::default();
        for hierarchy in &self.hierarchies {
            rustix::fs::mkdirat(&hierarchy.group, slot_name(number), Mode::RWXU)?;
            let group = open_folder(&hierarchy.group, Path::new(&slot_name(number)))?;
            let file = |name: &str, flags| open(&group, Path::new(name), flags);
            slot.procs.push(file("cgroup.procs", OFlags::WRONLY)?);
            if hierarchy.memory && self.version == 1 {
                slot.memory.push(file("memory.limit_in_bytes", OFlags::WRONLY)?);
                slot.memory.extend(file("memory.memsw.limit_in_bytes", OFlags::WRONLY).ok());
                slot.events = Some(file("memory.oom_control", OFlags::RDONLY)?);
            } else if hierarchy.memory {
                slot.memory.push(file("memory.max", OFlags::WRONLY)?);
                if let Ok(swap) = file("memory.swap.max", OFlags::WRONLY) {
                    write(&swap, "0")?;
                }
                slot.events = Some(file("memory.events", OFlags::RDONLY)?);
            }
            if hierarchy.pids {
                slot.pids.push(file("pids.max", OFlags::WRONLY)?);
            }
        }
        Ok(slot)
    }

    /// Makes groups as for a slot, moves a process into them, and removes them.
    #[expect(clippy::disallowed_methods, reason = "see `Hierarchy::remove`")]
    fn try_slot(&self) -> io::Result<()> {
        const TRIAL: usize = usize::MAX;
        let tried = self.slot(TRIAL).and_then(|slot| {
            slot.bound(&Limits::default(), 0)?;
            super::apart(|| slot.enter())
        });
        for hierarchy in &self.hierarchies {
            let _ = rustix::fs::unlinkat(&hierarchy.group, slot_name(TRIAL), AtFlags::REMOVEDIR);
        }
        tried
    }

    /// Removes the groups, once they are empty. What cannot be removed stays.
    pub(crate) fn remove(&self) {
        // A process that ends closes its files before it leaves its group.
        for _ in 0..PATIENCE {
            if self.hierarchies.iter().all(Hierarchy::remove) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Hierarchy {
    /// Removes the groups, and returns whether they are gone.
    #[expect(
        clippy::disallowed_methods,
        reason = "these groups were made here, and the kernel removes only empty ones"
    )]
    fn remove(&self) -> bool {
        // Those of the slots were made by processes that this one does not know.
        for name in folders(&self.group) {
            let _ = rustix::fs::unlinkat(&self.group, name, AtFlags::REMOVEDIR);
        }
        let removed = rustix::fs::unlinkat(&self.parent, &self.name, AtFlags::REMOVEDIR);
        matches!(removed, Ok(()) | Err(rustix::io::Errno::NOENT))
    }
}

impl Slot {
    /// Bounds what is in the groups: a program, its guard, which takes some memory of its own, and the slot.
    pub(crate) fn bound(&self, limits: &Limits, guard: u64) -> io::Result<()> {
        let memory = limits.memory.saturating_add(limits.disk).saturating_add(SLACK + guard).to_string();
        // Which of version 1's two limits may be written first depends on what stood before.
        let results: Vec<_> = self.memory.iter().map(|file| write(file, &memory)).collect();
        if results.iter().any(Result::is_err) {
            self.memory.iter().rev().try_for_each(|file| write(file, &memory))?;
        }
        self.pids.iter().try_for_each(|file| write(file, &(u64::from(limits.processes) + 2).to_string()))
    }

    /// Moves this process into the groups.
    pub(crate) fn enter(&self) -> io::Result<()> {
        self.procs.iter().try_for_each(|file| write(file, "0"))
    }

    /// Returns how many processes the kernel has killed in the group for want of memory.
    pub(crate) fn num_killed(&self) -> u64 {
        let mut text = [0; 512];
        let Some(Ok(size)) = self.events.as_ref().map(|file| rustix::io::pread(file, &mut text, 0)) else { return 0 };
        let text = String::from_utf8_lossy(&text[..size]).into_owned();
        let number = text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok());
        number.unwrap_or(0)
    }
}

/// Returns the folder of this process's group: of a controller of version 1, or of version 2.
fn folder(own: &str, mounts: &str, controller: Option<&str>) -> Option<PathBuf> {
    let group = own.lines().find_map(|line| {
        let [_, controllers, path] = line.splitn(3, ':').collect::<Vec<_>>().try_into().ok()?;
        let wanted = match controller {
            Some(name) => controllers.split(',').any(|each| each == name),
            None => controllers.is_empty(),
        };
        wanted.then_some(path)
    })?;
    mounts.lines().find_map(|line| {
        let (mount, kind) = line.split_once(" - ")?;
        let kind: Vec<&str> = kind.split(' ').collect();
        let wanted = match controller {
            Some(name) => kind[0] == "cgroup" && kind.last()?.split(',').any(|each| each == name),
            None => kind[0] == "cgroup2",
        };
        let mount: Vec<&str> = mount.split(' ').collect();
        let (root, at) = (*mount.get(3)?, *mount.get(4)?);
        // In a container the mount may show only the container's own part.
        let below = group.strip_prefix(root.trim_end_matches('/')).unwrap_or("/");
        wanted.then(|| Path::new(at).join(below.trim_start_matches('/')))
    })
}

fn has_both(control: &Path) -> bool {
    let text = fs_err::read_to_string(control).unwrap_or_default();
    ["memory", "pids"].iter().all(|name| text.split_whitespace().any(|each| each == *name))
}

/// Returns the names of the folders in a folder.
fn folders(of: &OwnedFd) -> Vec<CString> {
    let opened = rustix::fs::openat(of, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    let entries = opened.and_then(rustix::fs::Dir::new).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.file_type() == rustix::fs::FileType::Directory);
    folders.map(|entry| entry.file_name().to_owned()).filter(|name| !name.to_bytes().starts_with(b".")).collect()
}

fn slot_name(number: usize) -> String {
    format!("slot-{number}")
}

fn open(folder: &OwnedFd, name: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    Ok(rustix::fs::openat(folder, name, flags | OFlags::CLOEXEC, Mode::empty())?)
}

fn open_folder(at: impl AsFd, name: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(at, name, flags, Mode::empty())?)
}

fn write(file: &OwnedFd, text: &str) -> io::Result<()> {
    rustix::io::pwrite(file, text.as_bytes(), 0).map(drop).map_err(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(own: &str, mount: &str, controller: Option<&str>, expect: Option<&str>) {
        assert_eq!(folder(own, mount, controller), expect.map(PathBuf::from));
    }

    #[test]
    fn the_group_of_this_process_is_found() {
        let own = "4:memory:/a/b\n3:cpu,cpuacct:/\n0::/user/c\n";
        let first = "31 30 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory";
        check(own, first, Some("memory"), Some("/sys/fs/cgroup/memory/a/b"));
        check(own, first, Some("pids"), None);
        check(own, first, None, None);
        check(own, "31 30 0:27 / /sys/fs/cgroup rw - cgroup2 cgroup rw", None, Some("/sys/fs/cgroup/user/c"));
        // A container's mount shows its own part as the root.
        check(own, "31 30 0:27 /a /mine rw - cgroup cgroup rw,memory", Some("memory"), Some("/mine/b"));
    }
}
