//! Strings and token ids: tokenizers, chat templates, verifiers, statistics. Uses no tensors.

pub mod chat;
pub mod choice;
pub mod conversation;
pub mod exact;
pub mod hedge;
pub mod instructions;
pub mod language;
pub mod limits;
pub mod math;
pub mod overlap;
pub mod passk;
pub mod presentation;
pub mod program;
pub mod puzzles;
pub mod readable;
pub mod reflection;
pub mod surround;
pub mod template;
pub mod think;
pub mod tokenizer;

mod boxed;
mod error;
mod growth;
mod verdict;

pub use boxed::boxed;
pub use chat::{Chat, SpecialTokens};
pub use conversation::{Message, Prompt};
pub use error::Error;
pub use surround::Surround;
pub use template::{ChatTemplate, TextTemplate};
pub use tokenizer::{Tokenizer, char_level, train_byte_bpe};
pub use verdict::Verdict;
