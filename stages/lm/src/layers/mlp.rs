//! The SwiGLU MLP (Shazeer 2020, equation 6): `down(silu(gate x) * up x)`, without biases.

use tch::Tensor;

use super::Mlp;
use super::linear::FusedLinear;
use crate::ops::{linear, linear_add, swiglu};
use crate::weights::{Spec, Weights};

/// An MLP, or one expert of many.
pub(crate) struct SwiGlu {
    gate_up: FusedLinear,
    down_weight: Tensor,
}

impl SwiGlu {
    /// Lists the parameters below `name`, for a residual stream of width `d` and an MLP of width `f`.
    pub(crate) fn parameters(name: &str, d: i64, f: i64) -> Vec<Spec> {
        let spec = |part: &str, shape: [i64; 2]| (format!("{name}.{part}_proj.weight"), shape.to_vec());
        vec![spec("gate", [f, d]), spec("up", [f, d]), spec("down", [d, f])]
    }

    pub(crate) fn new(weights: &mut Weights, name: &str) -> Self {
        let gate_up = FusedLinear::new(weights, &["gate", "up"].map(|part| format!("{name}.{part}_proj")), false);
        Self { gate_up, down_weight: weights.get(&format!("{name}.down_proj.weight")) }
    }

    /// Returns the output alone, not added to the residual stream.
    pub(crate) fn forward(&self, x_nd: &Tensor) -> Tensor {
        linear(&swiglu(&self.gate_up.forward(x_nd)), &self.down_weight)
    }
}

impl Mlp for SwiGlu {
    fn add_to(&self, x_nd: &Tensor, normed_nd: &Tensor) -> Tensor {
        linear_add(x_nd, &swiglu(&self.gate_up.forward(normed_nd)), &self.down_weight, None)
    }
}
