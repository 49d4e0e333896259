//! The ranks that compute one step together, and what they add up: gradients, counts and measurements.
//!
//! A rank sees its own part of a batch. What is divided by a size of the whole batch is summed over the group first, so
//! no loss and no metric knows how many ranks there are.

use tch::Tensor;

/// The ranks of a stage, seen from one of them.
#[derive(Debug)]
pub enum Group {
    /// One process: its own part is the whole.
    Alone,
}

impl Group {
    /// Replaces each number by its sum over the ranks.
    pub fn sum(&self, numbers: &mut [f64]) {
        match self {
            Self::Alone => _ = numbers,
        }
    }

    /// Returns the least of the ranks' numbers, none where no rank has one.
    pub fn least(&self, number: Option<f64>) -> Option<f64> {
        match self {
            Self::Alone => number,
        }
    }

    /// Returns the greatest of the ranks' numbers, none where no rank has one.
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
