//! The engine of r1flow: from a workflow file to artifacts, without knowing what a stage does.

pub mod artifact;
pub mod kind;
pub mod stage;
pub mod worker;
pub mod workflow;
