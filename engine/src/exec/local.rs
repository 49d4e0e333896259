//! A child process on this machine.

use std::process::Stdio;

use tokio::process::Command;

use super::{Executor, Launch, Session};
use crate::secrets::WITHHELD;
use crate::worker::engine::ENGINE;

/// Runs workers as child processes.
#[derive(Clone, Copy, Debug)]
pub struct Local;

impl Executor for Local {
    fn start(&self, launch: &Launch<'_>) -> std::io::Result<Session> {
        let threads = launch.threads.to_string();
        // No hook runs between fork and exec, so the engine's memory need not be copied. Instead the worker itself,
        // first of all, asks the kernel to kill it when the engine dies.
        let mut command = Command::new(launch.worker);
        command
            .arg("run")
            .current_dir(launch.dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            // In a process group of its own, so that Ctrl-C reaches only the engine, which then requests a checkpoint.
            .process_group(0)
            .envs([("OMP_NUM_THREADS", &threads), ("MKL_NUM_THREADS", &threads)])
            // Threads that spin while they wait made a busy machine ten times slower.
            .envs([("OMP_WAIT_POLICY", "PASSIVE"), ("GOMP_SPINCOUNT", "0"), ("KMP_BLOCKTIME", "0")]);
        command.env(ENGINE, std::process::id().to_string());
        for variable in WITHHELD {
            command.env_remove(variable);
        }
        if !launch.gpus.is_empty() {
            command.env("CUDA_VISIBLE_DEVICES", launch.gpus.join(","));
        }
        command.spawn().map(Session::lead)
    }
}
