//! The resources of an attempt that a reward or a verifier gets when it is loaded.

use std::path::Path;
use std::rc::Rc;

use engine::stage::{Context, StageError};
use lm::Device;

use crate::held::JudgePlace;
use crate::opinions::Asked;
use crate::own::Own;
use crate::programs::JailKey;

/// Resources of an attempt.
#[derive(Clone, Copy, Debug)]
pub struct Loading<'a> {
    /// The device of judges and reward models.
    pub device: Device,
    /// Whether they leave it when they have judged.
    pub offload: bool,
    /// The stage's judge, for prompts that no rule can check.
    pub(crate) judge: Option<&'a Rc<dyn Asked>>,
    /// The stage's verifier of the user's own, for prompts with `verify = "own"`.
    pub(crate) verifier: Option<&'a Own>,
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
    /// Returns the resources of an attempt whose model is on `device`.
    pub fn of(ctx: &'a Context, device: Device, place: JudgePlace, seed: u64) -> Result<Self, StageError> {
        Ok(Self {
            device: place.device(ctx, device)?,
            offload: place.judge_offload,
            judge: None,
            verifier: None,
            folder: ctx.dir(),
            threads: ctx.machine().threads,
            seed,
            jail: JailKey::default(),
        })
    }

    /// Returns the resources outside of an attempt: a CPU, no folder.
    pub(crate) fn alone(threads: usize) -> Self {
        Self {
            device: Device::Cpu,
            offload: false,
            judge: None,
            verifier: None,
            folder: Path::new(""),
            threads,
            seed: 0,
            jail: JailKey::default(),
        }
    }

    /// Says which verifier of the user's own the stage has.
    #[must_use]
    pub(crate) fn with_verifier(self, verifier: Option<&'a Own>) -> Self {
        Self { verifier, ..self }
    }

    /// Says which judge the stage has.
    #[must_use]
    pub(crate) fn with_judge(self, judge: Option<&'a Rc<dyn Asked>>) -> Self {
        Self { judge, ..self }
    }

    /// Says what must hold before programs that a model wrote are run.
    #[must_use]
    pub fn with_jail(self, jail: JailKey) -> Self {
        Self { jail, ..self }
    }
}
