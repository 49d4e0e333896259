//! The stages of r1flow: kinds, artifact formats, rewards, the loop that trainers share.
//!
//! A kind is a folder with `Inputs`, `Params` and `run`, and a row of [`KINDS`]; the worker serves that table.

pub mod artifacts;
pub mod rewards;

pub mod trainer;

pub mod distill;
pub mod eval;
pub mod generate;
pub mod grpo;
pub mod pretrain;
pub mod reward_model;
pub mod sft;
pub mod tasks;
pub mod teacher_logits;

mod data;
mod rollout;

#[cfg(test)]
mod testing;

use std::io::Write;
use std::process::ExitCode;

use engine::stage::{Kind, kind};

pub use lm::processor::processor;

/// Every stage kind that the worker can run, in the order of the recipe.
pub const KINDS: &[Kind] = &[
    kind::<tasks::Tasks>(),
    kind::<pretrain::Pretrain>(),
    kind::<generate::Generate>(),
    kind::<sft::Sft>(),
    kind::<grpo::Grpo>(),
    kind::<reward_model::RewardModel>(),
    kind::<teacher_logits::TeacherLogits>(),
    kind::<distill::Distill>(),
    kind::<eval::Eval>(),
];

/// Tells on stdout, in a line, what GPUs a stage could run on; on stderr, what stands in the way.
pub fn tell_gpus() -> ExitCode {
    match lm::device::survey() {
        Ok(line) => {
            let told = writeln!(std::io::stdout(), "{line}");
            ExitCode::from(u8::from(told.is_err()))
        }
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}
