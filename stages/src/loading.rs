//! The resources of an attempt that a reward or a verifier gets when it is loaded.

use std::path::Path;

use engine::stage::Context;
use lm::Device;

/// Resources of an attempt.
#[derive(Clone, Copy, Debug)]
pub struct Loading<'a> {
    /// The device of models.
    pub device: Device,
    /// The attempt's own folder, for temporary files.
    pub folder: &'a Path,
    /// CPU threads.
    pub threads: usize,
    /// The stage's seed, for all random draws.
    pub seed: u64,
}

impl<'a> Loading<'a> {
    /// Returns the resources of an attempt that computes on `device`.
    pub fn of(ctx: &'a Context, device: Device, seed: u64) -> Self {
        Self { device, folder: ctx.dir(), threads: ctx.machine().threads, seed }
    }
}
