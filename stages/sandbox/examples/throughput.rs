//! Prints how many programs a second are started bare and in the jail, on one thread and on all processors, and the CPU
//! time that each takes with all that belongs to it.
//!
//!     cargo build --release -p r1flow-sandbox --bins && cargo run --release -p r1flow-sandbox --example throughput
//!
//! Every thread takes turns with each program, so that what else the machine does meets both alike. Arguments: the
//! number of programs of each thread (200), then layers to leave out.

#[cfg(target_os = "linux")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    linux::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
mod linux {
    use std::collections::BTreeMap;
    use std::io::Write;
    use std::os::unix::process::CommandExt;
    use std::process::{Command, Stdio};
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Instant;

    use sandbox::{End, Jail, Limits, Policy, Program, Required};

    pub(super) fn main() -> Result<(), Box<dyn std::error::Error>> {
        let mut arguments = std::env::args().skip(1);
        let number: u64 = arguments.next().map_or(Ok(200), |number| number.parse())?;
        let leave_out = arguments.map(|name| serde_json::from_value(name.into())).collect::<Result<_, _>>()?;
        let policy = Policy { leave_out, required: Required::Nothing, ..Policy::default() };
        let mut helper = Command::new(std::env::current_exe()?.with_file_name("../r1flow-jail"));
        helper.arg("serve");
        let jail = Jail::start(helper, policy, |_| true)?;
        let mut out = std::io::stdout();
        writeln!(out, "{:?}", jail.layers())?;
        let cores = std::thread::available_parallelism()?.get() as u64;
        for threads in [1, cores] {
            let times = [AtomicU64::new(0), AtomicU64::new(0)];
            let before = (used(false), used(true));
            std::thread::scope(|scope| {
                for _ in 0..threads {
                    scope.spawn(|| {
                        for _ in 0..number {
                            time(&times[0], bare);
                            time(&times[1], || jailed(&jail));
                        }
                    });
                }
            });
            let cpu = [used(false) - before.0, used(true) - before.1];
            let cpu = cpu.map(|ticks| ticks as f64 * 10.0 / (number * threads) as f64);
            // Programs a second of all threads.
            let rates = times.map(|time| (number * threads * threads) as f64 * 1e6 / time.into_inner() as f64);
            let [bare, jailed] = rates;
            let ratio = jailed / bare;
            writeln!(out, "{threads} threads: bare {bare:.1}/s, jailed {jailed:.1}/s, ratio {ratio:.2}")?;
            writeln!(out, "  CPU: bare {:.1} ms, jailed {:.1} ms, ratio {:.2}", cpu[0], cpu[1], cpu[0] / cpu[1])?;
        }
        Ok(())
    }

    fn time(sum: &AtomicU64, what: impl FnOnce()) {
        let start = Instant::now();
        what();
        sum.fetch_add(start.elapsed().as_micros() as u64, Ordering::Relaxed);
    }

    fn bare() {
        let mut bare = Command::new("/usr/bin/python3");
        bare.args(["-c", "pass"]).stdin(Stdio::null());
        // As much of the processor as programs get in the jail.
        // SAFETY: one system call.
        unsafe {
            bare.pre_exec(|| {
                libc::nice(5);
                Ok(())
            });
        }
        assert!(bare.output().is_ok_and(|done| done.status.success()));
    }

    fn jailed(jail: &Jail) {
        let arguments = ["python3", "-c", "pass"].map(String::from).to_vec();
        let done = jail.run(&Program { arguments, ..Program::default() }, &Limits::default()).expect("the jail works");
        assert_eq!(done.end, End::Exited(0), "{}", String::from_utf8_lossy(&done.errors));
    }

    /// Returns the CPU time, in ticks of 10 ms, of this process's children that have ended, or of the jail's helper and
    /// all that came from it.
    fn used(by_jail: bool) -> u64 {
        let stat = |pid: u32| fs_err::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let fields = |pid: u32| -> Vec<u64> {
            let stat = stat(pid);
            let after = stat.rsplit_once(')').map_or("", |(_, after)| after);
            after.split_whitespace().map(|field| field.parse().unwrap_or(0)).collect()
        };
        let me = std::process::id();
        if !by_jail {
            return fields(me)[13..15].iter().sum();
        }
        let entries = fs_err::read_dir("/proc").into_iter().flatten().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let all: BTreeMap<u32, Vec<u64>> = pids.map(|pid| (pid, fields(pid))).filter(|(_, it)| it.len() > 15).collect();
        let is_ours = |pid: u32| {
            let above = std::iter::successors(Some(pid), |pid| Some(all.get(pid)?[1] as u32));
            pid != me && above.take(64).any(|pid| pid == me)
        };
        all.iter().filter(|(pid, _)| is_ours(**pid)).map(|(_, fields)| fields[11..15].iter().sum::<u64>()).sum()
    }
}
