//! Sampling from a model: the prompts ([`questions`]), the sampler and its seeds ([`sampler`]), rows kept from one
//! attempt to the next ([`kept`]), and sampling during training ([`rollout`]).

mod kept;
mod questions;
mod rollout;
mod sampler;

pub(crate) use kept::KeptRows;
pub(crate) use questions::{Question, questions, shuffle};
pub(crate) use rollout::{Agreement, Draws, Truncation, draw, fitting};
pub(crate) use sampler::{Drawn, Sampler, sample_seed};
