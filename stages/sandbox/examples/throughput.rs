//! Prints how many programs a second are started bare and in the jail, on one thread and on all processors.
//!
//!     cargo build --release -p r1flow-sandbox --bins && cargo run --release -p r1flow-sandbox --example throughput
//!
//! The two take turns, so that what else the machine does meets both alike. Arguments: the number of rounds (5), then
//! layers to leave out.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use sandbox::{End, Jail, Limits, Policy, Program, Required};

/// Programs in one round on one thread.
const PROGRAMS: usize = 40;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let rounds: usize = arguments.next().map_or(Ok(5), |number| number.parse())?;
    let leave_out = arguments.map(|name| serde_json::from_value(name.into())).collect::<Result<_, _>>()?;
    let policy = Policy { leave_out, required: Required::Nothing, ..Policy::default() };
    let mut helper = Command::new(std::env::current_exe()?.with_file_name("../r1flow-jail"));
    helper.arg("serve");
    let jail = Jail::start(helper, policy, |_| true)?;
    let mut out = std::io::stdout();
    writeln!(out, "{:?}", jail.layers())?;
    let cores = std::thread::available_parallelism()?.get();
    for threads in [1, cores] {
        let (mut bare, mut jailed) = (Duration::ZERO, Duration::ZERO);
        for _ in 0..rounds {
            bare += time(threads, || {
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
                let done = bare.output();
                assert!(done.is_ok_and(|done| done.status.success()));
            });
            jailed += time(threads, || {
                let program =
                    Program { arguments: ["python3", "-c", "pass"].map(String::from).to_vec(), ..Program::default() };
                let done = jail.run(&program, &Limits::default()).expect("the jail works");
                assert_eq!(done.end, End::Exited(0), "{}", String::from_utf8_lossy(&done.errors));
            });
        }
        let rate = |time: Duration| (rounds * PROGRAMS * threads) as f64 / time.as_secs_f64();
        let (bare, jailed) = (rate(bare), rate(jailed));
        writeln!(out, "{threads} threads: bare {bare:.1}/s, jailed {jailed:.1}/s, ratio {:.2}", jailed / bare)?;
    }
    Ok(())
}

/// Returns how long it takes to do something `PROGRAMS` times on each thread.
fn time(threads: usize, what: impl Fn() + Sync) -> Duration {
    let (start, done) = (Instant::now(), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while done.fetch_add(1, Ordering::Relaxed) < PROGRAMS * threads {
                    what();
                }
            });
        }
    });
    start.elapsed()
}
