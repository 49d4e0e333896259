//! Attacks on what the machine has only so much of. Each stops just beyond the limit that should have held it.

use std::fs::File;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use super::calls::{call, child, held, pointer, sleep, with};
use super::{Attack, Judged::Ended, Judged::Said, Judged::TimedOut, Targets};
use crate::program::End;

#[rustfmt::skip]
pub(super) const TABLE: &[Attack] = &[
    Attack { name: "memory", tries: "take more memory than its limit", carry_out: memory, judged: Said },
    Attack { name: "memory-of-many", tries: "take more memory in many processes", carry_out: memory_of_many, judged: Said },
    Attack { name: "processes", tries: "start more processes than its limit", carry_out: processes, judged: Said },
    Attack { name: "threads", tries: "start more threads than its limit", carry_out: threads, judged: Said },
    Attack { name: "file-size", tries: "write a file that is too large", carry_out: file_size, judged: Said },
    Attack { name: "disk", tries: "fill the disk with many files", carry_out: disk, judged: Said },
    Attack { name: "disk-removed", tries: "fill the disk with files that have no name", carry_out: disk_removed, judged: Said },
    Attack { name: "files", tries: "make more files than the disk has room for", carry_out: files, judged: Said },
    Attack { name: "folders", tries: "make folders in each other without end", carry_out: folders, judged: Said },
    Attack { name: "open-files", tries: "hold more files open than others leave", carry_out: open_files, judged: Said },
    Attack { name: "output", tries: "flood standard output", carry_out: |targets| flood(targets, &[1]), judged: Ended(|outcome| outcome.end == End::Output) },
    Attack { name: "errors", tries: "flood both outputs", carry_out: |targets| flood(targets, &[1, 2]), judged: Ended(|outcome| outcome.end == End::Output) },
    Attack { name: "cpu-time", tries: "compute without end", carry_out: |_| compute(1), judged: Ended(|outcome| outcome.end == End::CpuTime) },
    Attack { name: "cpu-time-of-many", tries: "compute without end in many processes", carry_out: |_| compute(4), judged: Ended(|outcome| outcome.end == End::CpuTime) },
    Attack { name: "cpu-time-of-short", tries: "compute without end in processes that end", carry_out: |_| compute_in_turn(), judged: Ended(|outcome| outcome.end == End::CpuTime) },
    Attack { name: "wait", tries: "wait without end, with its outputs closed", carry_out: wait, judged: TimedOut },
];

/// Long enough for a guard that looks now and then to have looked.
const HOLD: u64 = 1500;

/// Takes memory and writes to each page. Returns whether it got it.
fn take(bytes: u64) -> bool {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_POPULATE;
    let size = bytes as usize;
    // SAFETY: a new mapping, which nothing else uses.
    let at = unsafe { libc::mmap(std::ptr::null_mut(), size, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0) };
    if at == libc::MAP_FAILED {
        return false;
    }
    for offset in (0..size).step_by(4096) {
        // SAFETY: it is inside the mapping.
        unsafe { at.cast::<u8>().add(offset).write_volatile(1) };
    }
    true
}

fn memory(targets: &Targets) -> io::Result<String> {
    // In parts, since it is the sum that counts.
    let parts = (0..9).take_while(|_| take(targets.limits.memory / 8)).count();
    if parts > 8 { Ok(format!("took {parts} eighths of its limit")) } else { Err(held("no more memory")) }
}

fn memory_of_many(targets: &Targets) -> io::Result<String> {
    let limits = targets.limits;
    let each = limits.memory * 9 / 10;
    // More than any layer allows: control groups count the disk too.
    let number = (limits.memory + limits.disk + (64 << 20)) / each + 1;
    let (mut read, write) = io::pipe()?;
    for _ in 0..number {
        let mut write = write.try_clone()?;
        child(|| {
            if take(each) {
                let _ = write.write_all(b"+");
            }
        })?;
    }
    drop(write);
    for taken in 0..number {
        if io::Read::read_exact(&mut read, &mut [0]).is_err() {
            return Err(held(&format!("only {taken} of {number} processes got their part")));
        }
    }
    sleep(HOLD);
    Ok(format!("{number} processes took {each} bytes each"))
}

fn processes(targets: &Targets) -> io::Result<String> {
    let wanted = targets.limits.processes * 4;
    for number in 1..wanted {
        if let Err(error) = child(|| ()) {
            return if number > targets.limits.processes {
                sleep(HOLD);
                Ok(format!("{number} processes"))
            } else {
                Err(error)
            };
        }
    }
    sleep(HOLD);
    Ok(format!("{wanted} processes"))
}

fn threads(targets: &Targets) -> io::Result<String> {
    let wanted = targets.limits.processes * 4;
    for number in 1..wanted {
        let thread = std::thread::Builder::new().stack_size(64 << 10).spawn(|| sleep(60_000));
        if let Err(error) = thread {
            return if number > targets.limits.processes {
                sleep(HOLD);
                Ok(format!("{number} threads"))
            } else {
                Err(error)
            };
        }
    }
    sleep(HOLD);
    Ok(format!("{wanted} threads"))
}

fn ignore_size_signal() {
    // SAFETY: no handler is installed.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}

/// Writes bytes that a file system cannot leave out.
fn write(mut file: impl Write, size: u64) -> io::Result<()> {
    let part = vec![7_u8; 65_536];
    let mut left = size;
    while left > 0 {
        let now = left.min(part.len() as u64);
        file.write_all(&part[..now as usize])?;
        left -= now;
    }
    Ok(())
}

fn file_size(targets: &Targets) -> io::Result<String> {
    ignore_size_signal();
    let size = targets.limits.file_size + 65_536;
    write(fs_err::File::create("large")?, size)?;
    Ok(format!("wrote {size} bytes"))
}

fn disk(targets: &Targets) -> io::Result<String> {
    let limits = targets.limits;
    let number = limits.disk * 3 / 2 / limits.file_size;
    for index in 0..number {
        write(fs_err::File::create(format!("file-{index}"))?, limits.file_size)?;
    }
    sleep(HOLD);
    Ok(format!("wrote {number} files of {} bytes", limits.file_size))
}

fn disk_removed(targets: &Targets) -> io::Result<String> {
    let limits = targets.limits;
    let number = limits.disk * 3 / 2 / limits.file_size;
    let mut files: Vec<File> = Vec::new();
    for _ in 0..number {
        let path = super::calls::open(".", libc::O_WRONLY | libc::O_TMPFILE)?;
        // SAFETY: the kernel has just made it.
        let file = unsafe { <File as std::os::fd::FromRawFd>::from_raw_fd(path as i32) };
        write(&file, limits.file_size)?;
        files.push(file);
    }
    sleep(HOLD);
    Ok(format!("wrote {} files of {} bytes", files.len(), limits.file_size))
}

fn files(targets: &Targets) -> io::Result<String> {
    let number = targets.limits.num_files() * 2;
    for index in 0..number {
        fs_err::File::create(format!("file-{index}"))?;
    }
    sleep(HOLD);
    Ok(format!("made {number} files"))
}

fn folders(targets: &Targets) -> io::Result<String> {
    let number = targets.limits.num_files() * 2;
    for _ in 0..number {
        fs_err::create_dir_all("folder")?;
        rustix::process::chdir("folder")?;
    }
    sleep(HOLD);
    Ok(format!("made {number} folders"))
}

fn open_files(_: &Targets) -> io::Result<String> {
    let mut number = 0;
    while number < 1024 {
        call(libc::SYS_dup, with([0]))?;
        number += 1;
    }
    Ok(format!("holds {number} open"))
}

fn flood(targets: &Targets, outputs: &[i64]) -> io::Result<String> {
    let part = [b'x'; 4096];
    for _ in 0..targets.limits.output / 4096 + 64 {
        for output in outputs {
            call(libc::SYS_write, with([*output, pointer(part.as_ptr()), 4096]))?;
        }
    }
    Ok("all was taken".to_owned())
}

/// How long an attack computes where nothing holds it: on a busy machine, little of it is its own.
const LONG: Duration = Duration::from_mins(2);

/// Computes for a while on the clock.
fn spin(time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        std::hint::spin_loop();
    }
}

fn compute(processes: u32) -> io::Result<String> {
    for _ in 1..processes {
        child(|| spin(LONG))?;
    }
    spin(LONG);
    Ok("computed for minutes".to_owned())
}

fn compute_in_turn() -> io::Result<String> {
    for _ in 0..1000 {
        let child = child(|| {
            spin(Duration::from_millis(100));
            crate::sys::exit(0);
        })?;
        // SAFETY: it waits for the child.
        unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
    }
    Ok("computed for minutes".to_owned())
}

fn wait(_: &Targets) -> io::Result<String> {
    for descriptor in 0..3 {
        call(libc::SYS_close, with([descriptor]))?;
    }
    sleep(10_000);
    Ok("waited for ten seconds".to_owned())
}
