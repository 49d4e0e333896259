//! Namespaces: a program sees no process, no file, no network and no host but its own.
//!
//! The helper enters namespaces once, for all programs: it builds a root from read-only parts of the system, and has
//! no network, no IPC objects and a name of its own. Each program then gets a process and a mount namespace, with a
//! memory file system of bounded size over `/tmp` and a `/proc` that shows only itself. Without root, a user namespace
//! comes with each, in which the kernel counts the program's processes apart from those of its neighbours.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::{
    MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, mount, mount_change, move_mount,
    open_tree, unmount,
};

use crate::program::{Limits, Policy};
use crate::sys;

/// The program's own folder, the same for every program.
pub(crate) const FOLDER: &str = "/tmp/program";
/// The only part of the file system that a program can write.
pub(crate) const WRITABLE: &str = "/tmp";
/// The user and group that a program has in a user namespace.
pub(crate) const USER: u32 = 1000;

/// Parts of the system that interpreters and compilers need. Programs see these and no other files.
pub(crate) const SYSTEM: &[&str] = &[
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/alternatives",
    "/etc/mime.types",
];
/// What resolving names and checking certificates needs.
pub(crate) const NETWORK: &[&str] =
    &["/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/services", "/etc/ssl", "/etc/ca-certificates"];
/// Devices without state.
pub(crate) const DEVICES: &[&str] = &["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];

/// Something that the new root shows.
enum Part {
    Tree(OwnedFd, bool),
    Link(PathBuf),
}

/// Enters namespaces that all programs share, and leaves the helper in a root of read-only parts.
pub(crate) fn enter(policy: &Policy, user: bool) -> io::Result<()> {
    let ids = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let mut flags = libc::CLONE_NEWNS | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS;
    if !policy.network {
        flags |= libc::CLONE_NEWNET;
    }
    if user {
        flags |= libc::CLONE_NEWUSER;
    }
    // SAFETY: new namespaces change nothing that memory safety rests on.
    sys::check(i64::from(unsafe { libc::unshare(flags) }))?;
    if user {
        let proc = rustix::fs::open("/proc", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        map_user(proc.as_fd(), ids)?;
    }
    rustix::system::sethostname(b"jail")?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    let parts = parts(policy)?;
    build(&policy.scratch, parts)
}

/// Maps the one user and group of a new user namespace to those outside.
pub(crate) fn map_user(proc: BorrowedFd, (user, group): (u32, u32)) -> io::Result<()> {
    let write = |name: &str, text: String| -> io::Result<()> {
        let file = rustix::fs::openat(proc, name, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
        rustix::io::write(&file, text.as_bytes())?;
        Ok(())
    };
    write("self/setgroups", "deny".to_owned())?;
    write("self/uid_map", format!("{USER} {user} 1"))?;
    write("self/gid_map", format!("{USER} {group} 1"))
}

/// Copies what the new root shows, while the old one is there.
fn parts(policy: &Policy) -> io::Result<Vec<(PathBuf, Part)>> {
    let mut paths: Vec<(&Path, bool)> = SYSTEM.iter().map(|path| (Path::new(path), true)).collect();
    if policy.network {
        paths.extend(NETWORK.iter().map(|path| (Path::new(path), true)));
    }
    paths.extend(policy.readable.iter().map(|path| (path.as_path(), true)));
    paths.extend(DEVICES.iter().map(|path| (Path::new(path), false)));
    // A fresh `/proc` may be mounted only where another one is seen. Each program's covers it.
    paths.push((Path::new("/proc"), true));
    let mut parts = Vec::new();
    for (path, bare) in paths {
        let Ok(about) = fs_err::symlink_metadata(path) else { continue };
        let part = if about.is_symlink() && path.components().count() == 2 {
            Part::Link(fs_err::read_link(path)?)
        } else {
            let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::AT_RECURSIVE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
            let tree = open_tree(CWD, path, flags)?;
            // Read-only, it would allow only read-only ones on top of it.
            if path != Path::new("/proc") {
                set_attributes(&tree, bare)?;
            }
            Part::Tree(tree, fs_err::metadata(path)?.is_dir())
        };
        parts.push((path.to_owned(), part));
    }
    Ok(parts)
}

/// Makes a tree of mounts read-only and its set-uid bits void; `bare` makes its devices void too.
fn set_attributes(tree: &OwnedFd, bare: bool) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    // SAFETY: all zeros is a value of this structure.
    let mut attributes: libc::mount_attr = unsafe { std::mem::zeroed() };
    attributes.attr_set = libc::MOUNT_ATTR_NOSUID;
    if bare {
        attributes.attr_set |= libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NODEV;
    }
    let flags = libc::AT_EMPTY_PATH | libc::AT_RECURSIVE;
    // SAFETY: the path is a constant, and the structure has the size that is passed.
    sys::check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    })
    .map(drop)
}

/// Mounts the new root over `at`, fills it and makes it the root of this process.
fn build(at: &Path, parts: Vec<(PathBuf, Part)>) -> io::Result<()> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    mount("jail", at, "tmpfs", flags, c"size=1m,mode=0755")?;
    rustix::process::chdir(at)?;
    for folder in ["tmp", "dev", "etc"] {
        fs_err::create_dir_all(folder)?;
    }
    for (path, part) in parts {
        let inside = path.strip_prefix("/").unwrap_or(&path).to_owned();
        if let Some(parent) = inside.parent() {
            fs_err::create_dir_all(Path::new(".").join(parent))?;
        }
        match part {
            Part::Link(target) => rustix::fs::symlink(&target, &inside)?,
            Part::Tree(tree, is_folder) => {
                if is_folder {
                    fs_err::create_dir_all(&inside)?;
                } else {
                    fs_err::OpenOptions::new().create(true).append(true).open(&inside)?;
                }
                move_mount(&tree, "", CWD, &inside, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?;
            }
        }
    }
    for (link, target) in
        [("dev/fd", "/proc/self/fd"), ("dev/stdin", "/proc/self/fd/0"), ("dev/stdout", "/proc/self/fd/1")]
    {
        rustix::fs::symlink(target, link)?;
    }
    rustix::fs::symlink("/proc/self/fd/2", "dev/stderr")?;
    rustix::fs::symlink("/tmp", "dev/shm")?;
    fs_err::write("etc/passwd", format!("program:x:{USER}:{USER}::{FOLDER}:/bin/sh\n"))?;
    fs_err::write("etc/group", format!("program:x:{USER}:\n"))?;
    // The old root is put on top of the new one, and taken off.
    rustix::process::pivot_root(".", ".")?;
    unmount(".", UnmountFlags::DETACH)?;
    rustix::process::chdir("/")?;
    let flags = MountFlags::BIND | MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV;
    Ok(rustix::mount::mount_remount("/", flags, c"")?)
}

/// Mounts what a program has of its own, in a mount namespace of its own.
pub(crate) fn mount_own(limits: &Limits) -> io::Result<()> {
    let bare = MountFlags::NOSUID | MountFlags::NODEV;
    let options = format!("size={},nr_inodes={},mode=0755", limits.disk.max(64 << 10), limits.num_files());
    let options = CString::new(options).expect("numbers hold no zero byte");
    mount("own", WRITABLE, "tmpfs", bare, options.as_c_str())?;
    let bare = bare | MountFlags::NOEXEC;
    if mount("proc", "/proc", "proc", bare, c"subset=pid").is_err()
        && mount("proc", "/proc", "proc", bare, c"").is_err()
    {
        // Where the kernel gives none, as below a masked `/proc`, programs have none.
        mount("none", "/proc", "tmpfs", bare | MountFlags::RDONLY, c"size=4k")?;
    }
    Ok(())
}

/// Gives up every capability, now and for what is executed.
pub(crate) fn drop_capabilities() -> io::Result<()> {
    for capability in 0..64 {
        // Without the right to do this there is nothing to give up; beyond the last capability it fails.
        let _ = sys::prctl(libc::PR_CAPBSET_DROP, capability);
    }
    let none = rustix::thread::CapabilitySets {
        effective: rustix::thread::CapabilitySet::empty(),
        permitted: rustix::thread::CapabilitySet::empty(),
        inheritable: rustix::thread::CapabilitySet::empty(),
    };
    Ok(rustix::thread::set_capabilities(None, none)?)
}
