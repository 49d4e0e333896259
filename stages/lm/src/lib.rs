//! All of r1flow's tensors: models in the Hugging Face layout, sampling, losses, the optimiser, checkpoints.
//!
//! A model takes [`Rows`]: packed, variable-length rows without padding. [`Model::hidden`] returns hidden states,
//! [`head`] computes log-probabilities (and gradients) from them without ever holding all logits, and [`generate`]
//! samples. On a CPU the same call with the same number of threads gives the same bits; nothing depends on addresses,
//! time or the order of threads.
//!
//! This crate does not depend on stages, rewards or text: token ids in, token ids and tensors out.
//!
//! Its layers; a module uses those below it and none above:
//!
//! ```text
//! generate  head  reward  footprint          uses of a model
//! model  vocabulary                          a network with its head and its named parameters; more tokens
//! pass                                       a forward pass that a backward pass follows
//! models                                     the architectures, and how each reads its configuration
//! layers                                     the two halves of a decoder's layer
//! attention  weights                         attention over packed rows or a cache; parameters by name
//! ops                                        one function per operation, which picks the kernel
//! config  checkpoint  device  memory  optim  files, devices, the optimiser
//! shim  dropout  rope  heads  rows  loss  limits  C++, maths and sizes
//! ```
#![warn(missing_docs)]

pub mod footprint;
pub mod generate;
pub mod head;
pub mod reward;

pub mod model;
mod vocabulary;

mod pass;

pub mod models;

mod layers;

mod attention;
pub mod weights;

mod ops;

pub mod checkpoint;
pub mod config;
pub mod device;
pub mod group;
pub mod memory;
pub mod optim;
pub mod processor;

mod dropout;
mod heads;
pub mod limits;
pub mod loss;
mod rope;
pub mod rows;
pub mod shim;

pub use config::{Config, Experts, Groups, Latent, Router, Shape};
pub use device::{Options, setup};
pub use dropout::{Dropout, Passes};
pub use generate::{Completion, Request, Sampling};
pub use group::Group;
pub use model::Model;
pub use optim::{AdamW, AdamWOptions, Decay, Schedule, adapt, clip_grad_norm, zero_grad};
pub use pass::Pass;
pub use reward::RewardModel;
pub use rope::{Rope, Scaling, Yarn};
pub use rows::{Predictions, Rows};
pub use tch::{self, Device, Kind, Tensor, no_grad_guard};
pub use vocabulary::NewToken;
