//! Dropout of an adapted layer's inputs (Srivastava et al. 2014, section 4; LoRA has it on the input of A).
//!
//! What is dropped is a hash of the number of the pass, the layer and the element (`shim/dropout.h`). It does not
//! depend on a generator's state, so a pass that is computed again, a resumed attempt and another device drop the same.
//! Departure: the chunks of a head are dropped alike.

use tch::{Device, Kind, Tensor};

/// The number of a model's current pass, which all adapted layers of the model read.
pub struct Passes(Tensor);

impl Default for Passes {
    fn default() -> Self {
        Self(Tensor::zeros([1], (Kind::Int64, Device::Cpu)))
    }
}

impl Passes {
    /// Sets the number; each pass of the model adds 1 before it begins.
    pub fn set(&self, number: i64) {
        let _guard = tch::no_grad_guard();
        let _ = self.0.shallow_clone().fill_(number);
    }

    pub(crate) fn number(&self) -> i64 {
        self.0.int64_value(&[0])
    }

    pub(crate) fn tensor(&self) -> &Tensor {
        &self.0
    }

    /// Returns another handle of the same number.
    #[must_use]
    pub fn share(&self) -> Self {
        Self(self.0.shallow_clone())
    }
}

/// The dropout of one adapted layer.
#[derive(Default)]
pub struct Dropout {
    /// The share of inputs that are set to 0, below 1; the others are divided by the rest of 1. 0 is no dropout.
    pub share: f64,
    /// Distinguishes the draws of a model's layers.
    pub stream: u64,
    /// The number of the pass; [`Model::passes`](crate::Model::passes).
    pub passes: Passes,
}
