//! What this machine has: cores, memory, GPUs.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Result, anyhow};
use engine::exec::DESCRIPTORS;
use engine::pools::{CORES, GPUS, MEMORY};

/// File descriptors for the engine itself: the store, the history, files that are being written.
const RESERVED: u64 = 64;

/// Returns the number of cores that this process may use.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Returns total and available memory in bytes, if the system reports them.
pub(crate) fn memory() -> Option<(u64, u64)> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let of = |key: &str| -> Option<u64> {
        let line = text.lines().find(|line| line.starts_with(key))?;
        Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? << 10)
    };
    Some((of("MemTotal:")?, of("MemAvailable:")?))
}

/// Raises the limit on open files as far as allowed, and returns how many parallel attempts it is enough for.
pub(crate) fn attempts_by_open_files() -> usize {
    // SAFETY: an all-zero `rlimit` is valid; both calls read or write one local, which outlives them.
    let limit = unsafe {
        let mut limits: libc::rlimit = std::mem::zeroed();
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limits) != 0 {
            return usize::MAX;
        }
        let raised = libc::rlimit { rlim_cur: limits.rlim_max, ..limits };
        if libc::setrlimit(libc::RLIMIT_NOFILE, &raw const raised) == 0 { raised.rlim_cur } else { limits.rlim_cur }
    };
    attempts_within(limit)
}

/// The engine itself gets half of a small limit, and `RESERVED` of a large one.
fn attempts_within(limit: u64) -> usize {
    let rest = limit - (limit / 2).min(RESERVED);
    usize::try_from(rest / DESCRIPTORS).unwrap_or(usize::MAX).max(1)
}

/// Returns how many bytes an ordinary user may still write to the disk of `path`, if the system reports it.
pub(crate) fn free_space(path: &Path) -> Option<u64> {
    use std::os::unix::ffi::OsStrExt;
    let path = std::ffi::CString::new(path.as_os_str().as_bytes()).ok()?;
    let mut found = std::mem::MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: the path ends in zero and the struct is as large as the call expects.
    let is_ok = unsafe { libc::statvfs(path.as_ptr(), found.as_mut_ptr()) } == 0;
    // SAFETY: the call has filled it.
    is_ok.then(|| unsafe { found.assume_init() }).map(|found| found.f_bavail * found.f_frsize)
}

/// Returns the CUDA names of the GPUs that this process may use.
pub(crate) fn gpus() -> Vec<String> {
    if let Ok(visible) = std::env::var("CUDA_VISIBLE_DEVICES") {
        return visible.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
    }
    let found = std::fs::read_dir("/proc/driver/nvidia/gpus").map_or(0, Iterator::count);
    (0..found).map(|index| index.to_string()).collect()
}

/// Returns the size of each pool, and the GPUs: what this machine has, with at least `at_least` cores, then the user's
/// values in `said` (`NAME=N`).
pub(crate) fn pools(said: &[String], at_least: usize) -> Result<(BTreeMap<String, u64>, Vec<String>)> {
    let mut pools = BTreeMap::from([(CORES.to_owned(), cores().max(at_least) as u64)]);
    pools.extend(memory().map(|(total, _)| (MEMORY.to_owned(), total >> 30)));
    let mut gpus = gpus();
    for text in said {
        let parsed = text.split_once('=').and_then(|(name, amount)| Some((name, amount.parse::<u64>().ok()?)));
        let (name, amount) = parsed.ok_or_else(|| anyhow!("`{text}` is no pool: write `--pool NAME=N`"))?;
        if name == GPUS {
            if amount > gpus.len() as u64 {
                return Err(anyhow!("`--pool {text}`: this machine has {} GPUs; give fewer, or none", gpus.len()));
            }
            gpus.truncate(usize::try_from(amount)?);
        } else {
            pools.insert(name.to_owned(), amount);
        }
    }
    Ok((pools, gpus))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_fit_into_what_may_be_opened() {
        for (limit, attempts) in [(16, 1), (64, 4), (256, 24), (1_024, 120), (u64::MAX, usize::MAX / 8)] {
            let found = attempts_within(limit);
            assert!(found == attempts || limit == u64::MAX && found > 1 << 40, "{limit}: {found}");
        }
    }
}
