//! Runs programs that a model wrote, in a jail that is tried before it is trusted.
//!
//! It answers for what a program can reach, what it can use, and that nothing of it is left; not for what its output
//! means. `docs/sandbox.md` says which layer holds what where.
//!
//! ```text
//! caller (many threads) ──▶ helper ──▶ a slot for each that runs ──▶ a guard for each program ──▶ the program
//! jail.rs                   helper.rs  slot.rs                       guard.rs, watch.rs            inside.rs
//! ```
//!
//! The one idea to know: no layer is believed because of a version or a promise of the system. The layers that work
//! are put on, then every attack of the table (`attacks`) is tried in the jail by the jail's own processes, without an
//! interpreter. One that gets out means that nothing is run.

#[cfg(target_os = "linux")]
pub mod attacks;
#[cfg(target_os = "linux")]
mod folder;
#[cfg(target_os = "linux")]
mod guard;
#[cfg(target_os = "linux")]
mod helper;
#[cfg(target_os = "linux")]
mod inside;
mod jail;
#[cfg(target_os = "linux")]
mod layers;
mod program;
#[cfg(target_os = "linux")]
mod slot;
#[cfg(target_os = "linux")]
mod sys;
#[cfg(target_os = "linux")]
mod tree;
#[cfg(target_os = "linux")]
mod watch;
#[cfg(target_os = "linux")]
mod wire;

#[cfg(target_os = "linux")]
pub use helper::serve;
pub use jail::{Error, Jail};
#[cfg(target_os = "linux")]
pub use layers::Layers;
#[cfg(target_os = "linux")]
pub use layers::is_of_system;
pub use program::{End, File, Layer, Limits, Outcome, Policy, Program, Required};

/// Returns that nothing of the system is shown, because nothing is run.
#[cfg(not(target_os = "linux"))]
pub fn is_of_system(_: &std::path::Path) -> bool {
    false
}

/// Refuses: programs that others wrote are run on Linux only.
#[cfg(not(target_os = "linux"))]
pub fn serve() -> std::process::ExitCode {
    std::process::ExitCode::FAILURE
}
