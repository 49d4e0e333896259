//! The stage kinds, one folder each: `Inputs`, `Params`, `run`, and a row of [`KINDS`]. A kind uses no other kind: what
//! two share is in a module of its own (`sampling`, `training`, `rewards`, `artifacts`).

pub mod clean;
pub mod distill;
pub mod eval;
pub mod generate;
pub mod grpo;
pub mod judge;
pub mod pretrain;
pub mod reward_model;
pub mod sft;
pub mod tasks;
pub mod teacher_logits;

use engine::stage::{Kind, kind};

/// Every stage kind that the worker can run, in the order of the recipe.
pub const KINDS: &[Kind] = &[
    kind::<tasks::Tasks>(),
    kind::<clean::Clean>(),
    kind::<pretrain::Pretrain>(),
    kind::<generate::Generate>(),
    kind::<sft::Sft>(),
    kind::<grpo::Grpo>(),
    kind::<judge::Judge>(),
    kind::<reward_model::RewardModel>(),
    kind::<teacher_logits::TeacherLogits>(),
    kind::<distill::Distill>(),
    kind::<eval::Eval>(),
];
