//! What attacks are made of: raw system calls, children, and looking through `/proc`.

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::sys;

/// Makes a system call with numbers as arguments and returns its result.
pub(super) fn call(number: i64, of: [i64; 6]) -> io::Result<i64> {
    // SAFETY: each attack passes pointers that live through the call, and the process ends after the attack.
    sys::check(unsafe { libc::syscall(number, of[0], of[1], of[2], of[3], of[4], of[5]) })
}

/// Fills up a call's arguments with zeros.
pub(super) fn with<const N: usize>(arguments: [i64; N]) -> [i64; 6] {
    let mut all = [0; 6];
    all[..N].copy_from_slice(&arguments);
    all
}

/// Makes a system call that is a gain when it succeeds.
pub(super) fn gain<const N: usize>(what: &str, number: i64, arguments: [i64; N]) -> io::Result<String> {
    call(number, with(arguments)).map(|result| format!("{what}: {result}"))
}

/// Makes a call that is a gain too when it fails with one of these errors: they show that it was let through, with
/// arguments that make it do nothing.
pub(super) fn let_through<const N: usize>(
    what: &str,
    number: i64,
    arguments: [i64; N],
    errors: &[i32],
) -> io::Result<String> {
    match call(number, with(arguments)) {
        Err(error) if error.raw_os_error().is_some_and(|code| errors.contains(&code)) => {
            Ok(format!("{what}: let through ({error})"))
        }
        result => result.map(|result| format!("{what}: {result}")),
    }
}

/// Returns what held.
pub(super) fn held(why: &str) -> io::Error {
    io::Error::other(why.to_owned())
}

/// Returns a path for a call.
pub(super) fn text(path: impl AsRef<Path>) -> CString {
    CString::new(path.as_ref().as_os_str().as_bytes()).expect("paths of attacks hold no zero byte")
}

/// Returns a pointer as an argument.
pub(super) fn pointer<T: ?Sized>(to: *const T) -> i64 {
    to.cast::<u8>() as i64
}

/// Opens a path and returns the descriptor.
pub(super) fn open(path: impl AsRef<Path>, flags: i32) -> io::Result<i64> {
    let path = text(path);
    let arguments = with([i64::from(libc::AT_FDCWD), pointer(path.as_ptr()), i64::from(flags), 0o600]);
    call(libc::SYS_openat, arguments)
}

/// Reads some bytes of a file, and returns how many.
pub(super) fn read(path: impl AsRef<Path>) -> io::Result<String> {
    let file = open(&path, libc::O_RDONLY)?;
    let mut bytes = [0_u8; 64];
    let size = call(libc::SYS_read, with([file, pointer(bytes.as_mut_ptr()), 64]))?;
    Ok(format!("read {size} bytes of {}", path.as_ref().display()))
}

/// Starts a child that does something and then waits to be killed.
pub(super) fn child(what: impl FnOnce()) -> io::Result<i32> {
    match sys::fork()? {
        sys::Side::Child => {
            what();
            loop {
                // SAFETY: it waits for a signal.
                unsafe { libc::pause() };
            }
        }
        sys::Side::Parent(child) => Ok(child),
    }
}

/// Waits on the clock.
pub(super) fn sleep(milliseconds: u64) {
    std::thread::sleep(std::time::Duration::from_millis(milliseconds));
}

/// Gives this process a name that is seen from outside.
pub(super) fn name_it(name: &str) {
    let name = CString::new(name).expect("a marker holds no zero byte");
    // SAFETY: the name lives through the call.
    unsafe {
        libc::prctl(libc::PR_SET_NAME, name.as_ptr());
    }
}

/// Returns the numbers of processes with a name, as `/proc` shows them here.
pub(crate) fn named(name: &str) -> io::Result<Vec<i32>> {
    let mut found = Vec::new();
    for entry in fs_err::read_dir("/proc")? {
        let path = entry?.path();
        let pid = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse::<i32>().ok());
        let comm = fs_err::read_to_string(path.join("comm")).unwrap_or_default();
        found.extend(pid.filter(|_| comm.trim_end() == name));
    }
    Ok(found)
}
