//! TensorBoard's event files: a stage's curve and its rollouts, for people who watch a run.
//!
//! ```text
//! logs/                                            `run.tensorboard`, or the folder of an export
//! └── student/qwen/                                the stage's name; TensorBoard calls each such folder a run
//!     ├── events.out.tfevents.1795862100.r1flow    an attempt: seconds since 1970, later ones greater
//!     └── events.out.tfevents.1795865700.r1flow    the attempt that resumed
//! ```
//! | In the file | From |
//! |---|---|
//! | scalar `train/reward`, `eval/accuracy` | the curve, by the rule of Hugging Face's `Trainer` ([`scalar_tag`]) |
//! | text `rollouts/completion` | the first rows of a step in output `rollouts` |
//! | histograms `rollouts/tokens`, `rollouts/reward`, `rollouts/advantage` | all rows of a step |
//!
//! Every file begins with the version of the format, and that of an attempt with the start of a session at its first
//! step: TensorBoard then drops what earlier files have of this step and later ones.
//!
//! Event files are a view for people: nothing reads them back, nothing in a fingerprint or the store depends on them,
//! and a failure to write one is a warning. [`message`] and [`record`] are the format, `board` turns steps into events,
//! `live` follows a running stage, `export` reads the store, and `rows` alone knows how rollouts are stored.

pub mod message;
pub mod record;

mod histogram;
mod rollouts;
mod rows;
mod tags;

mod board;
mod curve;
mod export;
mod follower;
mod live;

pub use export::{Error, Exported, export};
pub(crate) use follower::Followed;
pub(crate) use live::Live;
pub use tags::scalar_tag;
