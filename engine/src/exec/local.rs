//! A child process on this machine.

use std::process::Stdio;

use tokio::process::{Child, Command};

use super::{Executor, Launch};

/// Runs workers as child processes.
#[derive(Clone, Copy, Debug)]
pub struct Local;

impl Executor for Local {
    fn start(&self, launch: &Launch<'_>) -> std::io::Result<Child> {
        let log = fs_err::OpenOptions::new().create(true).append(true).open(&launch.log)?;
        let threads = launch.threads.to_string();
        let mut command = Command::new(launch.worker);
        command
            .arg("run")
            .current_dir(launch.dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log.into_parts().0)
            .kill_on_drop(true)
            // A group of its own: a Ctrl-C at the terminal reaches the engine alone, which asks for a checkpoint.
            .process_group(0)
            .envs([("OMP_NUM_THREADS", &threads), ("MKL_NUM_THREADS", &threads)])
            // Threads that spin while they wait made a busy machine ten times slower.
            .envs([("OMP_WAIT_POLICY", "PASSIVE"), ("GOMP_SPINCOUNT", "0"), ("KMP_BLOCKTIME", "0")]);
        if !launch.gpus.is_empty() {
            command.env("CUDA_VISIBLE_DEVICES", launch.gpus.join(","));
        }
        die_with_parent(&mut command);
        command.spawn()
    }
}

/// Asks the kernel to kill the worker when the engine's process ends, however it ends.
#[cfg(target_os = "linux")]
fn die_with_parent(command: &mut Command) {
    let engine = std::process::id();
    // SAFETY: between fork and exec only async-signal-safe calls are made.
    unsafe {
        command.pre_exec(move || {
            if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) != 0 {
                return Err(std::io::Error::last_os_error());
            }
            // The engine may have died before the call above.
            if libc::getppid().unsigned_abs() != engine {
                libc::_exit(1);
            }
            Ok(())
        });
    }
}

/// Elsewhere the end of stdin tells the worker that the engine is gone.
#[cfg(not(target_os = "linux"))]
fn die_with_parent(_: &mut Command) {}
