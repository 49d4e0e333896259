//! The engine of r1flow: from a workflow file to artifacts, without knowing what a stage does.

#![warn(missing_docs)]

pub mod artifact;
pub mod diagnostic;
pub mod kind;
pub mod limits;
pub mod schema;
pub mod workflow;

pub mod action;
pub mod dirty;
pub mod forecast;
pub mod mistakes;
pub mod past;
pub mod plan;
pub mod select;

mod attempt;
mod blocking;
mod curve;
pub mod doing;
pub mod event;
pub mod exec;
mod failure;
pub mod history;
pub mod options;
pub mod placement;
pub mod pools;
pub mod prefix;
pub mod run;
pub mod schedule;
pub mod secrets;
pub mod tensorboard;
pub mod tokens;
pub mod verify;
mod watchdog;

pub mod stage;
pub mod worker;
