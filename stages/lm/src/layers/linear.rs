//! Linear layers with a common input and contiguous weights, so that one matmul computes them all.

use tch::Tensor;

use crate::ops::fused_linear;
use crate::weights::Weights;

/// Linear layers of the same input, with contiguous weights.
pub(crate) struct FusedLinear {
    weight: Tensor,
    bias: Option<Tensor>,
    parts: Vec<Tensor>,
    num_weights: usize,
}

impl FusedLinear {
    /// Makes the weights of these layers contiguous, and their biases if they have any.
    pub(crate) fn new(weights: &mut Weights, layers: &[String], with_bias: bool) -> Self {
        let named = |suffix: &str| layers.iter().map(|layer| format!("{layer}.{suffix}")).collect::<Vec<_>>();
        let (weight_names, bias_names) = (named("weight"), if with_bias { named("bias") } else { Vec::new() });
        let weight = weights.fuse(&weight_names);
        let bias = with_bias.then(|| weights.fuse(&bias_names));
        let parts = weight_names.iter().chain(&bias_names).map(|name| weights.get(name)).collect();
        Self { weight, bias, parts, num_weights: weight_names.len() }
    }

    /// Returns the outputs of all layers, one after the other, for each token.
    pub(crate) fn forward(&self, x_nd: &Tensor) -> Tensor {
        let parts: Vec<&Tensor> = self.parts.iter().collect();
        fused_linear(x_nd, &self.weight, self.bias.as_ref(), &parts, self.num_weights)
    }
}

#[cfg(test)]
mod tests {
    use tch::Kind;

    use super::*;
    use crate::ops::{linear, linear_add};
    use crate::shim;

    fn wave(rows: i64, columns: i64, pitch: f64) -> Tensor {
        (Tensor::arange(rows * columns, (Kind::Float, tch::Device::Cpu)) * pitch).sin().view([rows, columns])
    }

    fn differ(found: &Tensor, expected: &Tensor) -> f64 {
        (found.to_kind(Kind::Float) - expected).abs().max().double_value(&[])
    }

    #[test]
    fn a_weight_that_never_had_a_gradient_needs_none() {
        let (x, w) = (wave(9, 6, 0.3).set_requires_grad(true), wave(4, 6, 0.7));
        let y = linear_add(&linear(&x, &w), &x, &w, None) + fused_linear(&x, &w, None, &[&w], 1);
        y.sum(Kind::Float).backward();
        let ones = Tensor::ones([9, 4], (Kind::Float, tch::Device::Cpu));
        assert!(differ(&x.grad(), &(ones.matmul(&w) * 3.0)) < 1e-5);
    }

    /// [`shim::torch::adapt`] computes gradients by low-rank matmuls: for one of two fused weights, and for a weight
    /// that writes to the residual stream.
    #[test]
    fn adapters_take_what_the_gradient_of_their_weight_comes_to() {
        for (kind, bound) in [(Kind::Float, 1e-5), (Kind::BFloat16, 0.1)] {
            let leaf = |tensor: Tensor| tensor.detach().set_requires_grad(true);
            let fused = wave(7, 6, 0.7).to_kind(kind);
            let [adapted, plain] = [(0, 4), (4, 3)].map(|(start, rows)| leaf(fused.narrow(0, start, rows)));
            let (a, b) = (leaf(wave(2, 6, 0.9)), leaf(wave(4, 2, 1.1)));
            shim::torch::adapt(&adapted, &a, &b, 1.5).unwrap();
            let (x, dy) = (leaf(wave(5, 6, 0.3).to_kind(kind)), wave(5, 7, 0.4).to_kind(kind));
            let backward = |y: Tensor, dy: &Tensor| (y.to_kind(Kind::Float) * dy).sum(Kind::Float).backward();
            let wide = |tensor: &Tensor| tensor.detach().to_kind(Kind::Float);

            backward(fused_linear(&x, &fused, None, &[&adapted, &plain], 2), &dy);
            let dw = wide(&dy).tr().matmul(&wide(&x));
            let (for_adapted, for_plain) = (dw.narrow(0, 0, 4), dw.narrow(0, 4, 3));
            let expected = |dw: &Tensor, times: f64| {
                (b.detach().tr().matmul(dw) * 1.5 * times, dw.matmul(&a.detach().tr()) * 1.5 * times)
            };
            let (da, db) = expected(&for_adapted, 1.0);
            assert!(!adapted.grad().defined(), "nothing arrives at the weight itself");
            assert!(differ(&a.grad(), &da) < bound && differ(&b.grad(), &db) < bound, "{kind:?}");
            assert!(differ(&plain.grad(), &for_plain) < bound, "{kind:?}");
            assert!(differ(&x.grad(), &wide(&dy).matmul(&wide(&fused))) < bound, "{kind:?}");

            // The same through the other layer, added to the gradients so far.
            let part = dy.narrow(1, 0, 4);
            backward(linear_add(&Tensor::zeros_like(&part), &x, &adapted, None), &part);
            let (da, db) = expected(&for_adapted, 2.0);
            assert!(!adapted.grad().defined());
            assert!(differ(&a.grad(), &da) < 2.0 * bound && differ(&b.grad(), &db) < 2.0 * bound, "{kind:?}");
        }
    }
}
