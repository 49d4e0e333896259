//! A guard: the process that starts one program, watches it, and ends all that it left.
//!
//! It is the first process of the program's namespace, so that its end is the end of everything there; or else the
//! reaper of the program's descendants, which cannot leave their process group, because the filter refuses that. It
//! ends with the helper and with the caller's connection.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use rustix::fs::{MemfdFlags, Mode, SealFlags};
use rustix::pipe::{PipeFlags, pipe_with};

use crate::inside::{self, Start, What};
use crate::layers::cgroup::Slot;
use crate::layers::{Form, Grounds, namespaces};
use crate::program::{File, Limits};
use crate::sys::{self, Side};
use crate::watch::{Pipes, Watched};
use crate::wire::{self, Answer, Ask};
use crate::{attacks, folder, tree};

/// Where commands are looked for.
const PATH: [&str; 3] = ["/usr/local/bin", "/usr/bin", "/bin"];
/// Processes that the user may have besides, where the kernel counts those of all of a user's programs together.
const NEIGHBOURS: u64 = 256;

/// What a guard works with.
pub(crate) struct Post<'a> {
    pub(crate) grounds: &'a Grounds,
    pub(crate) slot: usize,
    pub(crate) cgroup: Option<&'a Slot>,
    pub(crate) connection: UnixStream,
    /// The slot's process.
    pub(crate) parent: i32,
}

/// Serves one connection and ends the process.
pub(crate) fn serve(mut post: Post) -> ! {
    let answered = take(&mut post)
        .and_then(|(answer, output, errors)| wire::send(&mut post.connection, &answer, &[&output, &errors]));
    sys::exit(i32::from(answered.is_err()))
}

/// Waits until the connection ends. Attacks are aimed at this process.
pub(crate) fn be_a_victim(mut connection: UnixStream) -> ! {
    let pid = std::process::id();
    let named = CString::new(attacks::VICTIM).expect("a name without a zero byte");
    // SAFETY: the name lives through the call.
    unsafe {
        libc::prctl(libc::PR_SET_NAME, named.as_ptr());
    }
    let ended = wire::send(&mut connection, &pid, &[]).and_then(|()| wire::receive_bytes(&mut connection, 1));
    sys::exit(i32::from(ended.is_ok()))
}

/// Reads what is asked for, does it, and returns the answer.
fn take(post: &mut Post) -> io::Result<(Answer, Vec<u8>, Vec<u8>)> {
    let (what, files, input, limits) = match wire::receive(&mut post.connection)? {
        Ask::Program { arguments, files: heads, input, limits } => {
            let mut files = Vec::new();
            for head in heads {
                let bytes = wire::receive_bytes(&mut post.connection, head.size)?;
                files.push(File { name: head.name, bytes, executable: head.executable });
            }
            let input = wire::receive_bytes(&mut post.connection, input)?;
            match command(&arguments) {
                Ok(what) => (what, files, input, limits),
                Err(error) => return Ok((Err(error.to_string()), Vec::new(), Vec::new())),
            }
        }
        Ask::Attack { name, targets, limits } => (What::Attack { name, targets }, Vec::new(), Vec::new(), limits),
    };
    let run = run(post, what, &files, &input, limits);
    let cleared = match &post.grounds.form {
        Form::Folders(scratch) => scratch.clear(post.slot),
        Form::Namespaces { .. } => Ok(()),
    };
    Ok(match run.and_then(|done| cleared.map(|()| done)) {
        Ok((head, output, errors)) => (head, output, errors),
        Err(error) => (Err(error.to_string()), Vec::new(), Vec::new()),
    })
}

/// Runs a program.
fn run(
    post: &Post,
    what: What,
    files: &[File],
    input: &[u8],
    limits: Limits,
) -> io::Result<(Answer, Vec<u8>, Vec<u8>)> {
    let grounds = post.grounds;
    rustix::process::setsid()?;
    let signals = leash(post)?;
    let user = grounds.ids(post.slot);
    let (folder, home) = own_folder(post, &limits, user)?;
    folder::fill(&folder, files, user)?;
    if let Some(cgroup) = post.cgroup {
        // The guard is in the group, with what it was sent and what it reads.
        let own = files.iter().map(|file| file.bytes.len()).sum::<usize>() + 2 * input.len();
        cgroup.bound(&limits, own as u64 * 2 + 2 * limits.output)?;
    }
    let proc = match grounds.form {
        Form::Namespaces { .. } => folder::open_folder(rustix::fs::CWD, "/proc")?,
        Form::Folders(_) => grounds.proc.try_clone()?,
    };
    let (output, output_end) = pipe_with(PipeFlags::CLOEXEC)?;
    let (errors, errors_end) = pipe_with(PipeFlags::CLOEXEC)?;
    let (status, status_end) = pipe_with(PipeFlags::CLOEXEC)?;
    let start = Start {
        grounds,
        what,
        limits,
        user,
        tasks: tasks(grounds, &limits)?,
        folder: folder.try_clone()?,
        environment: environment(&home, &grounds.form),
        input: sealed(input)?,
        output: output_end,
        errors: errors_end,
        status: status_end,
        guard: std::process::id() as i32,
    };
    let program = match sys::fork()? {
        Side::Child => inside::enter(start),
        Side::Parent(program) => program,
    };
    drop(start);
    let pipes = Pipes::new(output, errors, status)?;
    let mut watched = Watched::new(post, program, limits, pipes, signals, proc, folder, user);
    watched.watch()?;
    Ok(watched.outcome())
}

/// Makes this process end with its slot, and its descendants with it. Returns where its signals are read.
fn leash(post: &Post) -> io::Result<OwnedFd> {
    match post.grounds.form {
        Form::Namespaces { user } => {
            if user {
                namespaces::map_user(post.grounds.proc.as_fd(), (namespaces::USER, namespaces::USER))?;
            }
            // The kernel ends the whole namespace with its first process.
            sys::signal_at_parent_s_death(libc::SIGKILL)?;
        }
        Form::Folders(_) => {
            sys::prctl(libc::PR_SET_CHILD_SUBREAPER, 1)?;
            // It ends the group first, then itself.
            sys::signal_at_parent_s_death(libc::SIGTERM)?;
        }
    }
    // No program may look into this process, whose user it may share.
    sys::prctl(libc::PR_SET_DUMPABLE, 0)?;
    sys::signals(&[libc::SIGCHLD, libc::SIGTERM])
}

/// Makes the program's own folder, and returns it with its path.
fn own_folder(post: &Post, limits: &Limits, user: Option<u32>) -> io::Result<(OwnedFd, PathBuf)> {
    match &post.grounds.form {
        Form::Folders(scratch) => Ok((scratch.make(post.slot)?, scratch.path_of(post.slot))),
        Form::Namespaces { .. } => {
            namespaces::mount_own(limits)?;
            let whole = folder::open_folder(rustix::fs::CWD, namespaces::WRITABLE)?;
            folder::fill(&whole, &[], user)?;
            rustix::fs::mkdir(namespaces::FOLDER, Mode::RWXU)?;
            Ok((folder::open_folder(rustix::fs::CWD, namespaces::FOLDER)?, PathBuf::from(namespaces::FOLDER)))
        }
    }
}

/// Returns the bound on the number of the user's tasks.
fn tasks(grounds: &Grounds, limits: &Limits) -> io::Result<Option<u64>> {
    let processes = u64::from(limits.processes);
    Ok(match grounds.form {
        _ if grounds.counts_processes() && !grounds.bounds_processes() => None,
        // The guard is counted too.
        Form::Namespaces { user: true } => Some(processes + 1),
        _ if grounds.bounds_processes() => Some(processes),
        _ => {
            let user = grounds.ids(0).unwrap_or_else(|| rustix::process::geteuid().as_raw());
            Some(tree::tasks_of_user(grounds.proc.as_fd(), user)? + processes + NEIGHBOURS)
        }
    })
}

/// Returns what to execute for a command.
fn command(arguments: &[String]) -> io::Result<What> {
    let text = |text: &str| CString::new(text).map_err(|_| io::Error::other(format!("a zero byte in `{text:?}`")));
    let first = arguments.first().ok_or_else(|| io::Error::other("a command without a program"))?;
    let paths = if first.contains('/') {
        vec![text(first)?]
    } else {
        PATH.iter().map(|folder| text(&format!("{folder}/{first}"))).collect::<Result<_, _>>()?
    };
    Ok(What::Program { paths, arguments: arguments.iter().map(|argument| text(argument)).collect::<Result<_, _>>()? })
}

/// Returns the environment, which is the same for every program but for the folder where there are no namespaces.
fn environment(home: &Path, form: &Form) -> Vec<CString> {
    let scratch = match form {
        Form::Namespaces { .. } => Path::new(namespaces::WRITABLE),
        Form::Folders(_) => home,
    };
    let path = PATH.join(":");
    let fixed = [
        ("PATH", path.as_str()),
        ("LANG", "C.UTF-8"),
        ("LC_ALL", "C.UTF-8"),
        ("TZ", "UTC"),
        ("USER", "program"),
        ("LOGNAME", "program"),
        ("SHELL", "/bin/sh"),
        ("PYTHONHASHSEED", "0"),
        ("PYTHONDONTWRITEBYTECODE", "1"),
        ("PYTHONNOUSERSITE", "1"),
        ("PYTHONUTF8", "1"),
        ("OMP_NUM_THREADS", "1"),
        ("OPENBLAS_NUM_THREADS", "1"),
        ("MKL_NUM_THREADS", "1"),
        ("NUMEXPR_NUM_THREADS", "1"),
        ("MALLOC_ARENA_MAX", "1"),
    ];
    let own = [("HOME", home), ("TMPDIR", scratch)].map(|(name, path)| (name, path.to_string_lossy().into_owned()));
    let fixed = fixed.iter().map(|(name, value)| format!("{name}={value}"));
    let all = fixed.chain(own.iter().map(|(name, value)| format!("{name}={value}")));
    all.map(|line| CString::new(line).expect("paths and constants hold no zero byte")).collect()
}

/// Returns a file in memory that nothing can change. A file is read in one piece, which a pipe does not promise.
fn sealed(bytes: &[u8]) -> io::Result<OwnedFd> {
    let file = rustix::fs::memfd_create("input", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut rest = bytes;
    while !rest.is_empty() {
        rest = &rest[rustix::io::write(&file, rest)?..];
    }
    rustix::fs::seek(&file, rustix::fs::SeekFrom::Start(0))?;
    rustix::fs::fcntl_add_seals(&file, SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE)?;
    Ok(file)
}
