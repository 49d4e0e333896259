//! Attacks on parts of the kernel that programs have no use for, and on the filter itself.

use std::io;

use super::calls::{call, gain, let_through, pointer, with};
use super::{Attack, Judged::Said, Targets};

#[rustfmt::skip]
pub(super) const TABLE: &[Attack] = &[
    Attack { name: "io-uring", tries: "open files past the filter by io_uring", carry_out: io_uring, judged: Said },
    Attack { name: "bpf", tries: "load a program into the kernel", carry_out: bpf, judged: Said },
    Attack { name: "perf", tries: "measure the machine", carry_out: perf, judged: Said },
    Attack { name: "userfaultfd", tries: "hold up the kernel at a page fault", carry_out: userfaultfd, judged: Said },
    Attack { name: "keyring", tries: "read the user's keys", carry_out: keyring, judged: Said },
    Attack { name: "add-key", tries: "leave a key with the kernel", carry_out: add_key, judged: Said },
    Attack { name: "shared-memory", tries: "share memory under a number", carry_out: |_| gain("made", libc::SYS_shmget, [0, 4096, 0o600]), judged: Said },
    Attack { name: "message-queue", tries: "make a message queue", carry_out: |_| gain("made", libc::SYS_msgget, [0, 0o600]), judged: Said },
    Attack { name: "semaphore", tries: "make semaphores", carry_out: |_| gain("made", libc::SYS_semget, [0, 1, 0o600]), judged: Said },
    Attack { name: "posix-queue", tries: "make a POSIX message queue", carry_out: queue, judged: Said },
    Attack { name: "memory-file", tries: "make a file in memory that nothing counts", carry_out: memory_file, judged: Said },
    Attack { name: "secret-memory", tries: "take memory that the kernel cannot see", carry_out: |_| gain("made", libc::SYS_memfd_secret, [0]), judged: Said },
    Attack { name: "segments", tries: "change the processor's segments", carry_out: segments, judged: Said },
    Attack { name: "personality", tries: "make all memory executable", carry_out: |_| gain("set", libc::SYS_personality, [i64::from(libc::READ_IMPLIES_EXEC)]), judged: Said },
    Attack { name: "ports", tries: "reach the hardware's ports", carry_out: ports, judged: Said },
    Attack { name: "other-calls", tries: "make system calls of 32-bit programs", carry_out: thirty_two_bit, judged: Said },
    Attack { name: "x32-calls", tries: "make system calls under their x32 numbers", carry_out: x32, judged: Said },
    Attack { name: "pipe-size", tries: "enlarge pipes, whose memory no limit counts", carry_out: pipe_size, judged: Said },
    Attack { name: "move-pages", tries: "move another process's memory", carry_out: |targets| gain("moved", libc::SYS_move_pages, [i64::from(targets.victim), 0, 0, 0, 0, 0]), judged: Said },
    Attack { name: "advise", tries: "have another process's memory reclaimed", carry_out: advise, judged: Said },
    Attack { name: "file-handle", tries: "find the handle of a file", carry_out: handle, judged: Said },
    Attack { name: "attributes", tries: "store bytes in a file's attributes", carry_out: attributes, judged: Said },
    Attack { name: "sync", tries: "make the machine write all its disks", carry_out: |_| let_through("synced", libc::SYS_syncfs, [-1], &[libc::EBADF]), judged: Said },
    Attack { name: "asynchronous", tries: "read and write by the old asynchronous calls", carry_out: asynchronous, judged: Said },
    Attack { name: "landlock", tries: "make rules of its own", carry_out: |_| gain("version", libc::SYS_landlock_create_ruleset, [0, 0, 1]), judged: Said },
];

fn io_uring(_: &Targets) -> io::Result<String> {
    let parameters = [0_u32; 32];
    gain("made", libc::SYS_io_uring_setup, [4, pointer(parameters.as_ptr())])
}

fn bpf(_: &Targets) -> io::Result<String> {
    const MAP_CREATE: i64 = 0;
    // An array of one entry of eight bytes.
    let attributes = [2_u32, 4, 8, 1, 0, 0, 0, 0];
    gain("made", libc::SYS_bpf, [MAP_CREATE, pointer(attributes.as_ptr()), 32])
}

fn perf(_: &Targets) -> io::Result<String> {
    // A software event, the CPU clock: type 1, size 64, without the kernel's own time.
    let mut attributes = [0_u64; 8];
    attributes[0] = 1 | 64 << 32;
    attributes[5] = 1 << 5 | 1 << 6;
    gain("opened", libc::SYS_perf_event_open, [pointer(attributes.as_ptr()), 0, -1, -1, 0])
}

fn userfaultfd(_: &Targets) -> io::Result<String> {
    const USER_MODE_ONLY: i64 = 1;
    gain("made", libc::SYS_userfaultfd, [USER_MODE_ONLY])
}

fn keyring(_: &Targets) -> io::Result<String> {
    const GET_KEYRING_ID: i64 = 0;
    const USER_KEYRING: i64 = -4;
    gain("keyring", libc::SYS_keyctl, [GET_KEYRING_ID, USER_KEYRING, 1])
}

fn add_key(_: &Targets) -> io::Result<String> {
    // In its own process's keyring, which ends with it.
    const PROCESS_KEYRING: i64 = -2;
    let (kind, name) = (c"user", c"r1flow-attack");
    let [kind, name] = [kind, name].map(|text| pointer(text.as_ptr()));
    gain("key", libc::SYS_add_key, [kind, name, name, 1, PROCESS_KEYRING])
}

fn queue(targets: &Targets) -> io::Result<String> {
    let name = super::calls::text(&targets.marker);
    let queue =
        call(libc::SYS_mq_open, with([pointer(name.as_ptr()), i64::from(libc::O_CREAT | libc::O_RDWR), 0o600, 0]))?;
    let _ = call(libc::SYS_mq_unlink, with([pointer(name.as_ptr())]));
    Ok(format!("made {queue}"))
}

fn memory_file(_: &Targets) -> io::Result<String> {
    let name = c"memory";
    gain("made", libc::SYS_memfd_create, [pointer(name.as_ptr()), 0])
}

#[cfg(target_arch = "x86_64")]
fn segments(_: &Targets) -> io::Result<String> {
    let mut bytes = [0_u8; 16];
    gain("read", libc::SYS_modify_ldt, [0, pointer(bytes.as_mut_ptr()), 16])
}

#[cfg(target_arch = "x86_64")]
fn ports(_: &Targets) -> io::Result<String> {
    gain("granted", libc::SYS_ioperm, [0x80, 1, 1])
}

/// Asks for its number as a 32-bit program would. No filter for 64-bit calls sees the number of the call rightly.
#[cfg(target_arch = "x86_64")]
fn thirty_two_bit(_: &Targets) -> io::Result<String> {
    const GETPID: i64 = 20;
    let result: i64;
    // SAFETY: the call has no arguments, and changes one register.
    unsafe {
        std::arch::asm!("int 0x80", inlateout("rax") GETPID => result);
    }
    if result == i64::from(std::process::id()) {
        Ok("made a call".to_owned())
    } else {
        Err(io::Error::from_raw_os_error(-result as i32))
    }
}

#[cfg(target_arch = "x86_64")]
fn x32(_: &Targets) -> io::Result<String> {
    const X32: i64 = 0x4000_0000;
    gain("made a call", X32 + libc::SYS_getpid, [])
}

#[cfg(not(target_arch = "x86_64"))]
fn segments(_: &Targets) -> io::Result<String> {
    Err(super::calls::held("this processor has none"))
}

#[cfg(not(target_arch = "x86_64"))]
fn ports(_: &Targets) -> io::Result<String> {
    Err(super::calls::held("this processor has none"))
}

#[cfg(not(target_arch = "x86_64"))]
fn thirty_two_bit(_: &Targets) -> io::Result<String> {
    Err(super::calls::held("this processor has no instruction for them here"))
}

#[cfg(not(target_arch = "x86_64"))]
fn x32(_: &Targets) -> io::Result<String> {
    Err(super::calls::held("this processor has none"))
}

fn pipe_size(_: &Targets) -> io::Result<String> {
    let (end, _other) = rustix::pipe::pipe()?;
    let end = i64::from(std::os::fd::AsRawFd::as_raw_fd(&end));
    gain("enlarged", libc::SYS_fcntl, [end, i64::from(libc::F_SETPIPE_SZ), 1 << 20])
}

fn advise(targets: &Targets) -> io::Result<String> {
    let process = call(libc::SYS_pidfd_open, with([i64::from(targets.victim), 0]))?;
    Ok(format!("has a descriptor of it: {process}"))
}

fn handle(_: &Targets) -> io::Result<String> {
    let (root, mut handle, mut mount) = (c"/", [0_u32; 34], 0_i32);
    handle[0] = 128;
    let [handle, mount] = [pointer(handle.as_mut_ptr()), pointer(&raw mut mount)];
    gain("found", libc::SYS_name_to_handle_at, [i64::from(libc::AT_FDCWD), pointer(root.as_ptr()), handle, mount, 0])
}

fn attributes(_: &Targets) -> io::Result<String> {
    let (at, name) = (c".", c"user.attack");
    let name = pointer(name.as_ptr());
    gain("stored", libc::SYS_setxattr, [pointer(at.as_ptr()), name, name, 4, 0])
}

fn asynchronous(_: &Targets) -> io::Result<String> {
    let mut context = 0_u64;
    gain("made", libc::SYS_io_setup, [1, pointer(&raw mut context)])
}
