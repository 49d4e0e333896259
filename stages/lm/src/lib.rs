//! All of r1flow's tensors: models in the Hugging Face layout, sampling, losses, the optimiser, checkpoints.
//!
//! A model takes [`Rows`]: packed, variable-length rows without padding. [`Model::hidden`] gives hidden states,
//! [`head`] turns them into log-probabilities (and gradients) without ever holding all logits, [`generate`] samples.
//! On a CPU the same call with the same number of threads gives the same bits; nothing depends on addresses, time or
//! the order of threads.
//!
//! This crate knows no stage, no reward rule and no text: token ids in, token ids and tensors out.
#![warn(missing_docs)]

pub mod config;
pub mod model;
pub mod models;
pub mod rows;

pub mod generate;
pub mod head;
pub mod loss;
pub mod optim;
pub mod reward;

pub mod checkpoint;
pub mod device;
pub mod footprint;
pub mod limits;
pub mod memory;
pub mod processor;
pub mod weights;

mod attention;
mod heads;
mod layers;
mod ops;
mod pass;
mod rope;
pub mod shim;

pub use config::{Config, Experts, Latent, Shape};
pub use device::{Options, setup};
pub use generate::{Completion, Request, Sampling};
pub use model::Model;
pub use optim::{AdamW, AdamWOptions, Decay, Schedule, adapt, clip_grad_norm, zero_grad};
pub use pass::Pass;
pub use reward::RewardModel;
pub use rope::{Rope, Scaling, Yarn};
pub use rows::{Predictions, Rows};
pub use tch::{self, Device, Kind, Tensor, no_grad_guard};
