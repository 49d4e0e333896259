//! Sampling from a model: what to ask ([`questions`]), with which seeds ([`sampler`]), what is kept from one attempt to
//! the next ([`kept`]), and what a model in training samples for its own next step ([`rollout`]).

mod kept;
mod questions;
mod rollout;
mod sampler;

pub(crate) use kept::KeptRows;
pub(crate) use questions::{Question, questions, shuffle};
pub(crate) use rollout::{Agreement, Draws, Truncation, draw, fitting};
pub(crate) use sampler::{Drawn, Sampler, sample_seed};
