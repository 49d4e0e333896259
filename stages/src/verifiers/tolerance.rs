//! How far a number may be from the gold answer, as data and workflows say it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How far a number may be from the gold answer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Tolerance {
    /// This share of it.
    Relative(#[schemars(range(min = 0.0, max = 1.0))] f64),
    /// This much, in its unit.
    Absolute(#[schemars(range(min = 0.0))] f64),
    /// As rounding to so many significant figures allows.
    Figures(#[schemars(range(min = 1, max = 30))] u32),
}

impl From<Tolerance> for text::math::Tolerance {
    fn from(tolerance: Tolerance) -> Self {
        match tolerance {
            Tolerance::Relative(share) => Self::Relative(share),
            Tolerance::Absolute(amount) => Self::Absolute(amount),
            Tolerance::Figures(figures) => Self::Figures(figures),
        }
    }
}
