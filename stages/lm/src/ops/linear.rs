//! Matmuls with weights. The shim picks the routine by shape, type, and whether a gradient is needed.

use tch::Tensor;

use crate::shim::torch;

const CHECKED: &str = "shapes were checked when the weights were read";

/// Returns `x w^T`.
pub(crate) fn linear(x_nd: &Tensor, weight: &Tensor) -> Tensor {
    torch::linear(x_nd, weight).expect(CHECKED)
}

/// Returns `x + a w^T + bias`, where `x` is the residual stream; it is overwritten if no gradient is needed.
pub(crate) fn linear_add(x_nd: &Tensor, a: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Tensor {
    torch::linear_add(x_nd, a, weight, bias).expect(CHECKED)
}

/// Returns `x fused^T + bias`; gradients go to the `parts`: `num_weights` weights, then as many biases or none, whose
/// rows `fused` and `fused_bias` hold one after the other.
pub(crate) fn fused_linear(
    x_nd: &Tensor,
    fused: &Tensor,
    fused_bias: Option<&Tensor>,
    parts: &[&Tensor],
    num_weights: usize,
) -> Tensor {
    torch::fused_linear(x_nd, fused, fused_bias, parts, num_weights).expect(CHECKED)
}
