//! Attacks on files that are not the program's own.

use std::io;
use std::path::{Path, PathBuf};

use super::calls::{call, gain, held, named, open, pointer, read, text, with};
use super::trial::VICTIM;
use super::{Attack, Judged::LeftFile, Judged::Said, Targets};

#[rustfmt::skip]
pub(super) const TABLE: &[Attack] = &[
    Attack { name: "shadow", tries: "read /etc/shadow", carry_out: |_| read("/etc/shadow"), judged: Said },
    Attack { name: "passwd", tries: "read the machine's users", carry_out: passwd, judged: Said },
    Attack { name: "home", tries: "list homes", carry_out: home, judged: Said },
    Attack { name: "outside", tries: "read a file outside that all may read", carry_out: outside, judged: Said },
    Attack { name: "outside-dots", tries: "read it by a path with many `..`", carry_out: dots, judged: Said },
    Attack { name: "outside-symlink", tries: "read it through a symbolic link", carry_out: symlink, judged: Said },
    Attack { name: "outside-hardlink", tries: "read it through a hard link", carry_out: hardlink, judged: Said },
    Attack { name: "outside-root-of-1", tries: "read it below /proc/1/root", carry_out: root_of_1, judged: Said },
    Attack { name: "outside-root-of-other", tries: "read it below a process's /proc/N/root", carry_out: root_of_other, judged: Said },
    Attack { name: "outside-path-descriptor", tries: "read it from an O_PATH descriptor of /", carry_out: path_descriptor, judged: Said },
    Attack { name: "outside-execute", tries: "execute a file outside", carry_out: execute, judged: Said },
    Attack { name: "outside-handle", tries: "open a file by its handle", carry_out: handle, judged: Said },
    Attack { name: "mode-outside", tries: "change the mode of a file outside", carry_out: mode, judged: Said },
    Attack { name: "owner-outside", tries: "change the owner of a file outside", carry_out: owner, judged: Said },
    Attack { name: "times-outside", tries: "change the times of a file outside", carry_out: times, judged: Said },
    Attack { name: "truncate-outside", tries: "shorten a file outside", carry_out: truncate, judged: Said },
    Attack { name: "parent-folder", tries: "list the folders of other programs", carry_out: parent, judged: Said },
    Attack { name: "write-outside", tries: "write into a folder that all may write", carry_out: write_outside, judged: Said },
    Attack { name: "write-usr", tries: "write to /usr", carry_out: |_| create("/usr"), judged: Said },
    Attack { name: "write-etc", tries: "write to /etc", carry_out: |_| create("/etc"), judged: Said },
    Attack { name: "write-tmp", tries: "write to the machine's /tmp", carry_out: |targets| create_marker("/tmp", targets), judged: LeftFile("/tmp") },
    Attack { name: "write-var-tmp", tries: "write to the machine's /var/tmp", carry_out: |targets| create_marker("/var/tmp", targets), judged: LeftFile("/var/tmp") },
    Attack { name: "write-shm", tries: "share memory by /dev/shm", carry_out: |targets| create_marker("/dev/shm", targets), judged: LeftFile("/dev/shm") },
    Attack { name: "write-cgroup", tries: "change control groups", carry_out: cgroup, judged: Said },
    Attack { name: "write-proc-sys", tries: "change the kernel's settings", carry_out: |_| opened("/proc/sys/kernel/core_pattern", libc::O_WRONLY), judged: Said },
    Attack { name: "remount", tries: "make /usr writable", carry_out: remount, judged: Said },
    Attack { name: "device-node", tries: "make a device of the machine's memory", carry_out: |_| device(libc::S_IFCHR, 1, 1), judged: Said },
    Attack { name: "block-device-node", tries: "make a device of the machine's disk", carry_out: |_| device(libc::S_IFBLK, 8, 0), judged: Said },
    Attack { name: "devices", tries: "open the kernel's log, memory, or a disk", carry_out: devices, judged: Said },
    Attack { name: "sysfs", tries: "read the machine's devices", carry_out: |_| list("/sys/class"), judged: Said },
    Attack { name: "watch-folder", tries: "be told of changes to files outside", carry_out: watch, judged: Said },
    Attack { name: "watch-mount", tries: "be told of every file that is opened", carry_out: watch_mount, judged: Said },
];

fn passwd(_: &Targets) -> io::Result<String> {
    let users = fs_err::read_to_string("/etc/passwd")?;
    if users.lines().count() > 1 { Ok(users) } else { Err(held("only a made-up user")) }
}

fn list(folder: &str) -> io::Result<String> {
    let number = fs_err::read_dir(folder)?.count();
    if number > 0 { Ok(format!("{number} entries of {folder}")) } else { Err(held("empty")) }
}

fn home(_: &Targets) -> io::Result<String> {
    list("/home").or_else(|_| list("/root"))
}

fn secret(targets: &Targets) -> PathBuf {
    targets.folder.join("secret")
}

fn below(folder: &str, targets: &Targets) -> PathBuf {
    Path::new(folder).join(secret(targets).strip_prefix("/").unwrap_or(&secret(targets)))
}

fn outside(targets: &Targets) -> io::Result<String> {
    read(secret(targets))
}

fn dots(targets: &Targets) -> io::Result<String> {
    read(below(&"../".repeat(40), targets))
}

fn symlink(targets: &Targets) -> io::Result<String> {
    rustix::fs::symlink(secret(targets), "link")?;
    read("link")
}

fn hardlink(targets: &Targets) -> io::Result<String> {
    rustix::fs::link(secret(targets), "hard-link")?;
    read("hard-link")
}

fn root_of_1(targets: &Targets) -> io::Result<String> {
    read(below("/proc/1/root", targets))
}

fn root_of_other(targets: &Targets) -> io::Result<String> {
    let victim = named(VICTIM)?.first().copied().unwrap_or(targets.victim);
    read(below(&format!("/proc/{victim}/root"), targets))
}

fn path_descriptor(targets: &Targets) -> io::Result<String> {
    let root = open("/", libc::O_PATH)?;
    let path = text(below("", targets));
    gain("opened", libc::SYS_openat, [root, pointer(path.as_ptr()), i64::from(libc::O_RDONLY)])
}

fn execute(targets: &Targets) -> io::Result<String> {
    let error = crate::sys::execute(&text(secret(targets)), &[text("secret")], &[]);
    // The file is empty of programs: this error comes after the right to execute it was granted.
    if error.raw_os_error() == Some(libc::ENOEXEC) { Ok("executed".to_owned()) } else { Err(error) }
}

/// Gives the file the mode that it has.
fn mode(targets: &Targets) -> io::Result<String> {
    let path = text(secret(targets));
    gain("changed", libc::SYS_fchmodat, [i64::from(libc::AT_FDCWD), pointer(path.as_ptr()), 0o755])
}

/// Gives the file the owner that it has.
fn owner(targets: &Targets) -> io::Result<String> {
    let path = text(secret(targets));
    let standing = i64::from(rustix::fs::stat(&path)?.st_uid);
    gain("changed", libc::SYS_fchownat, [i64::from(libc::AT_FDCWD), pointer(path.as_ptr()), standing, -1, 0])
}

fn times(targets: &Targets) -> io::Result<String> {
    let path = text(secret(targets));
    gain("changed", libc::SYS_utimensat, [i64::from(libc::AT_FDCWD), pointer(path.as_ptr()), 0, 0])
}

/// Gives the file the size that it has.
fn truncate(targets: &Targets) -> io::Result<String> {
    let path = text(secret(targets));
    gain("changed", libc::SYS_truncate, [pointer(path.as_ptr()), super::SECRET.len() as i64])
}

fn handle(_: &Targets) -> io::Result<String> {
    // A handle of an unknown kind: ESTALE or EINVAL come after the right to open by handle was granted.
    let handle = [8_u32, 0xff, 0, 0];
    let root = open("/", libc::O_RDONLY | libc::O_DIRECTORY)?;
    let arguments = [root, pointer(handle.as_ptr()), i64::from(libc::O_RDONLY)];
    super::calls::let_through("a handle", libc::SYS_open_by_handle_at, arguments, &[libc::ESTALE])
}

fn parent(targets: &Targets) -> io::Result<String> {
    let number = fs_err::read_dir("..")?.count();
    let scratch = targets.folder.parent().map_or(0, |folder| fs_err::read_dir(folder).map_or(0, Iterator::count));
    if number.max(scratch) > 1 { Ok(format!("{number} entries beside its own")) } else { Err(held("only its own")) }
}

fn opened(path: impl AsRef<Path>, flags: i32) -> io::Result<String> {
    open(&path, flags).map(|_| format!("opened {}", path.as_ref().display()))
}

/// Makes a file without a name, which leaves nothing behind.
fn create(folder: impl AsRef<Path>) -> io::Result<String> {
    opened(folder, libc::O_WRONLY | libc::O_TMPFILE)
}

fn write_outside(targets: &Targets) -> io::Result<String> {
    create(&targets.folder)
}

fn create_marker(folder: &str, targets: &Targets) -> io::Result<String> {
    opened(Path::new(folder).join(&targets.marker), libc::O_WRONLY | libc::O_CREAT)
}

fn cgroup(_: &Targets) -> io::Result<String> {
    for path in
        ["/sys/fs/cgroup/cgroup.procs", "/sys/fs/cgroup/pids/cgroup.procs", "/sys/fs/cgroup/unified/cgroup.procs"]
    {
        if opened(path, libc::O_WRONLY).is_ok() {
            return Ok(format!("opened {path}"));
        }
    }
    Err(held("none can be opened"))
}

fn remount(_: &Targets) -> io::Result<String> {
    let (target, flags) = (c"/usr", libc::MS_BIND | libc::MS_REMOUNT);
    // Whatever is mounted there gets the flags that it has; if nothing is, EINVAL comes after the right was granted.
    let arguments = [0, pointer(target.as_ptr()), 0, flags as i64, 0];
    super::calls::let_through("a mount", libc::SYS_mount, arguments, &[libc::EINVAL])
}

fn device(kind: u32, major: u32, minor: u32) -> io::Result<String> {
    let number = libc::makedev(major, minor) as i64;
    let path = c"device";
    let arguments = [i64::from(libc::AT_FDCWD), pointer(path.as_ptr()), i64::from(kind | 0o600), number];
    gain("a device", libc::SYS_mknodat, arguments)
}

fn devices(_: &Targets) -> io::Result<String> {
    for path in
        ["/dev/kmsg", "/dev/mem", "/proc/kcore", "/dev/sda", "/dev/vda", "/dev/nvme0n1", "/dev/fuse", "/dev/kvm"]
    {
        if opened(path, libc::O_RDONLY).is_ok() {
            return Ok(format!("opened {path}"));
        }
    }
    Err(held("none can be opened"))
}

fn watch(targets: &Targets) -> io::Result<String> {
    let inotify = call(libc::SYS_inotify_init1, with([0]))?;
    let folder = text(&targets.folder);
    gain("a watch", libc::SYS_inotify_add_watch, [inotify, pointer(folder.as_ptr()), i64::from(libc::IN_CREATE)])
}

fn watch_mount(_: &Targets) -> io::Result<String> {
    gain("a group", libc::SYS_fanotify_init, [i64::from(libc::FAN_CLASS_NOTIF), 0])
}
