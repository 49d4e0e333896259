//! The resources of an attempt that a reward or a verifier gets when it is loaded.

use std::path::Path;

use engine::stage::Context;
use lm::Device;

use crate::programs::JailKey;

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
    /// What must hold before programs that a model wrote are run.
    pub jail: JailKey,
}

impl<'a> Loading<'a> {
    /// Returns the resources of an attempt that computes on `device`.
    pub fn of(ctx: &'a Context, device: Device, seed: u64) -> Self {
        Self { device, folder: ctx.dir(), threads: ctx.machine().threads, seed, jail: JailKey::default() }
    }

    /// Returns the resources outside of an attempt: a CPU, no folder.
    pub(crate) fn alone(threads: usize) -> Self {
        Self { device: Device::Cpu, folder: Path::new(""), threads, seed: 0, jail: JailKey::default() }
    }

    /// Says what must hold before programs that a model wrote are run.
    #[must_use]
    pub fn with_jail(self, jail: JailKey) -> Self {
        Self { jail, ..self }
    }
}
