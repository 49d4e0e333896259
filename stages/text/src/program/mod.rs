//! Programs in completions: where a program is, and whether its output is the expected one. Nothing is run here.
//!
//! | file | answers for |
//! |---|---|
//! | `fences` | fenced blocks of Markdown |
//! | `extract` | which block is the program |
//! | `output` | comparing outputs |

mod extract;
mod fences;
mod output;

pub use extract::{Found, Language, extract};
pub use output::{Checker, same_output, same_value};
