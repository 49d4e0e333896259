//! Linear layers whose weights lie together, and the product that ends in the residual stream.

use tch::Tensor;

use crate::shim;
use crate::weights::Weights;

/// `x + a w^T + bias`; the old stream is used up.
pub(crate) fn linear_add(x_nd: &Tensor, a: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Tensor {
    shim::linear_add(x_nd, a, weight, bias).expect("shapes were checked when the weights were read")
}

/// `x w^T`.
pub(crate) fn linear(x_nd: &Tensor, weight: &Tensor) -> Tensor {
    shim::linear(x_nd, weight).expect("shapes were checked when the weights were read")
}

/// Linear layers of one input, whose weights lie together.
pub(crate) struct FusedLinear {
    weight: Tensor,
    bias: Option<Tensor>,
    parts: Vec<Tensor>,
    num_weights: usize,
}

impl FusedLinear {
    /// Moves the weights of these layers together, and their biases if they have any.
    pub(crate) fn new(weights: &mut Weights, layers: &[String], with_bias: bool) -> Self {
        let named = |suffix: &str| layers.iter().map(|layer| format!("{layer}.{suffix}")).collect::<Vec<_>>();
        let (weight_names, bias_names) = (named("weight"), if with_bias { named("bias") } else { Vec::new() });
        let weight = weights.fuse(&weight_names);
        let bias = with_bias.then(|| weights.fuse(&bias_names));
        let parts = weight_names.iter().chain(&bias_names).map(|name| weights.get(name)).collect();
        Self { weight, bias, parts, num_weights: weight_names.len() }
    }

    /// The outputs of all layers, one after the other, for each token.
    pub(crate) fn forward(&self, x_nd: &Tensor) -> Tensor {
        let parts: Vec<&Tensor> = self.parts.iter().collect();
        shim::fused_linear(x_nd, &self.weight, self.bias.as_ref(), &parts, self.num_weights)
            .expect("shapes were checked when the weights were read")
    }
}
