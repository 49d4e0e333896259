//! Programs that a model wrote, run against the tests of their problems, in a jail ([`sandbox`]).
//!
//! ```text
//! completion ─ text::program ─▶ program ─ job ─▶ jail: harness.py, all cases in one interpreter ─ judge ─▶ Trial
//!                                         └───── cache: the same program, tests and tools are never run twice
//! ```
//! Expected outputs never enter the jail: a program writes or returns something, and the comparison is made here. Only
//! tests that are programs themselves (`asserts`, pytest) are run beside the solution, and a solution that looks for
//! them can find them.
//!
//! CPU time is the limit that counts a program as too slow. If other load may have decided an end, the program is run
//! again alone before that counts.

mod job;
mod judge;
mod report;
mod runner;
mod tools;

use std::fmt;

use serde::{Deserialize, Serialize};

pub(crate) use judge::short;
pub use report::tell_jail;
pub use runner::{JailKey, Place, run_by};
pub(crate) use runner::{Runner, Submission, jail, place};
pub use sandbox::serve as serve_jail;
pub use tools::{Tools, tools};

/// How a program did against its tests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Trial {
    /// Cases that it passed.
    pub passed: usize,
    /// All cases.
    pub of: usize,
    /// Why the first case that it failed was failed.
    pub failure: Option<Failure>,
    /// What happened there, for people.
    pub detail: String,
}

/// Why a program fails a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Failure {
    /// The answer has no program in a language that can be run.
    NoProgram,
    /// It does not compile.
    Compile,
    /// It ended with an error.
    Runtime,
    /// Its output is not the expected one.
    Wrong,
    /// It took too long.
    Time,
    /// It needed too much memory.
    Memory,
}

impl Failure {
    /// Every failure, in the order of reports.
    pub const ALL: [Self; 6] = [Self::NoProgram, Self::Compile, Self::Runtime, Self::Wrong, Self::Time, Self::Memory];

    /// Returns its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::NoProgram => "no program",
            Self::Compile => "compile",
            Self::Runtime => "runtime",
            Self::Wrong => "wrong",
            Self::Time => "time",
            Self::Memory => "memory",
        }
    }
}

impl fmt::Display for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(failure) = self.failure else { return f.write_str("all tests are passed") };
        write!(f, "{}, {}", failure.name(), self.detail)?;
        if self.of > 1 { write!(f, " ({} of {} cases passed)", self.passed, self.of) } else { Ok(()) }
    }
}

impl Trial {
    /// Makes the trial of an answer that has no program.
    fn without_program(of: usize, detail: &str) -> Self {
        Self { passed: 0, of, failure: Some(Failure::NoProgram), detail: detail.to_owned() }
    }

    /// Returns whether every case was passed.
    pub fn is_right(&self) -> bool {
        self.failure.is_none() && self.passed == self.of
    }

    /// Returns the share of cases that were passed.
    pub fn share(&self) -> f64 {
        self.passed as f64 / self.of.max(1) as f64
    }
}
