//! What a reward or a verifier is given when it is loaded.

use std::path::Path;

use engine::stage::Context;
use lm::Device;

/// What a reward or a verifier may use of the attempt that it is part of.
#[derive(Clone, Copy, Debug)]
pub struct Loading<'a> {
    /// Where models compute.
    pub device: Device,
    /// The attempt's own folder, for files that only this attempt needs.
    pub folder: &'a Path,
    /// CPU threads.
    pub threads: usize,
    /// The stage's seed, for whatever is drawn.
    pub seed: u64,
}

impl<'a> Loading<'a> {
    /// Returns what an attempt that computes on `device` lends.
    pub fn of(ctx: &'a Context, device: Device, seed: u64) -> Self {
        Self { device, folder: ctx.dir(), threads: ctx.machine().threads, seed }
    }
}
