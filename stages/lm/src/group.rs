//! The ranks that compute one step together: collective sums of gradients, counts and measurements.
//!
//! Each rank computes its own part of a batch.

use tch::Tensor;

/// The ranks of a stage.
#[derive(Debug)]
pub enum Group {
    /// One process: every collective operation is the identity.
    Alone,
}

impl Group {
    /// Replaces each number by its sum over the ranks.
    pub fn sum(&self, numbers: &mut [f64]) {
        match self {
            Self::Alone => _ = numbers,
        }
    }

    /// Returns the least number of all ranks; `None` if no rank has one.
    pub fn least(&self, number: Option<f64>) -> Option<f64> {
        match self {
            Self::Alone => number,
        }
    }

    /// Returns the greatest number of all ranks; `None` if no rank has one.
    pub fn most(&self, number: Option<f64>) -> Option<f64> {
        match self {
            Self::Alone => number,
        }
    }

    /// Returns the numbers of all ranks, in the order of ranks.
    pub fn gather(&self, numbers: Vec<f64>) -> Vec<f64> {
        match self {
            Self::Alone => numbers,
        }
    }

    /// Replaces the gradient of each parameter by its sum over the ranks.
    pub fn sum_gradients(&self, parameters: &[(String, Tensor)]) {
        match self {
            Self::Alone => _ = parameters,
        }
    }
}
