//! Sampling from a model: the prompts ([`questions`]) with what is shown before them ([`exemplars`]), the sampler and
//! its seeds ([`sampler`]), rows kept from one attempt to the next ([`kept`]), and sampling during training
//! ([`rollout`]).

mod drawing;
mod exemplars;
mod kept;
mod questions;
mod rollout;
mod sampler;

pub(crate) use drawing::Drawing;
pub(crate) use exemplars::{Exemplars, FewShot, show_exemplars};
pub(crate) use kept::KeptRows;
pub(crate) use questions::{Question, questions, shuffle};
pub(crate) use rollout::{Agreement, Draws, draw, fitting, none_ended, requests};
pub(crate) use sampler::{Drawn, Sampler, sample_seed};
