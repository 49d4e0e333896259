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
    use crate::dropout::{Dropout, Passes};
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
            shim::torch::adapt(&adapted, &a, &b, 1.5, &Dropout::default()).unwrap();
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

    fn leaf(tensor: &Tensor) -> Tensor {
        tensor.detach().copy().set_requires_grad(true)
    }

    /// Returns the factors by which a layer with this dropout multiplies its inputs, [n, width]: W0 is 0, and A and B
    /// are the identity.
    fn factors(n: i64, width: i64, dropout: &Dropout) -> Tensor {
        let identity = || leaf(&Tensor::eye(width, (Kind::Float, tch::Device::Cpu)));
        let (weight, a, b) = (identity(), identity(), identity());
        shim::torch::adapt(&weight, &a, &b, 1.0, dropout).unwrap();
        linear(&Tensor::ones([n, width], (Kind::Float, tch::Device::Cpu)), &weight).detach()
    }

    #[test]
    fn dropout_is_drawn_from_the_pass_and_the_layer() {
        let passes = Passes::default();
        let drawn = |pass, stream| {
            passes.set(pass);
            factors(64, 96, &Dropout { share: 0.25, stream, passes: passes.share() })
        };
        let (one, same, other_pass, other_layer) = (drawn(7, 3), drawn(7, 3), drawn(8, 3), drawn(7, 4));
        assert_eq!(one, same);
        let zeros = |factors: &Tensor| factors.eq(0.0).sum(Kind::Double).double_value(&[]) / (64.0 * 96.0);
        for factors in [&one, &other_pass, &other_layer] {
            assert!((zeros(factors) - 0.25).abs() < 0.03, "{}", zeros(factors));
            assert!(differ(&(factors * 0.75).round(), &(factors * 0.75)) < 1e-6, "0 or 4/3");
        }
        for other in [&other_pass, &other_layer] {
            // Two independent draws of a quarter drop a sixteenth together.
            let both = zeros(&(&one + other));
            assert!((both - 0.0625).abs() < 0.02, "{both}");
        }
    }

    #[test]
    fn dropout_is_that_of_adapters_beside_the_base() {
        let passes = Passes::default();
        passes.set(-5);
        let dropout = |stream| Dropout { share: 0.4, stream, passes: passes.share() };
        let (first_mask, second_mask) = (factors(5, 6, &dropout(1)), factors(5, 6, &dropout(2)));
        let base = wave(7, 6, 0.7);
        let [(a1, b1), (a2, b2)] =
            [(4, 0.9), (3, 1.3)].map(|(rows, pitch)| (wave(2, 6, pitch), wave(rows, 2, pitch + 0.1)));
        let merged = |base: Tensor, a: &Tensor, b: &Tensor| base + b.matmul(a) * 1.5;
        let fused = Tensor::cat(&[merged(base.narrow(0, 0, 4), &a1, &b1), merged(base.narrow(0, 4, 3), &a2, &b2)], 0);
        let weights =
            [(0, 4), (4, 3)].map(|(start, rows)| fused.narrow(0, start, rows).detach().set_requires_grad(true));
        let ours = [&a1, &b1, &a2, &b2].map(leaf);
        shim::torch::adapt(&weights[0], &ours[0], &ours[1], 1.5, &dropout(1)).unwrap();
        shim::torch::adapt(&weights[1], &ours[2], &ours[3], 1.5, &dropout(2)).unwrap();
        let (x, dy) = (leaf(&wave(5, 6, 0.3)), wave(5, 7, 0.4));
        let y = fused_linear(&x, &fused, None, &[&weights[0], &weights[1]], 2);
        (&y * &dy).sum(Kind::Float).backward();

        let theirs = [&a1, &b1, &a2, &b2].map(leaf);
        let their_x = leaf(&x);
        let beside = |mask: &Tensor, a: &Tensor, b: &Tensor| (&their_x * mask).matmul(&a.tr()).matmul(&b.tr()) * 1.5;
        let adapted = [beside(&first_mask, &theirs[0], &theirs[1]), beside(&second_mask, &theirs[2], &theirs[3])];
        let their_y = their_x.matmul(&base.tr()) + Tensor::cat(&adapted, 1);
        (&their_y * &dy).sum(Kind::Float).backward();
        assert!(differ(&y, &their_y) < 1e-5, "{}", differ(&y, &their_y));
        assert!(differ(&x.grad(), &their_x.grad()) < 1e-5, "{}", differ(&x.grad(), &their_x.grad()));
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert!(differ(&ours.grad(), &theirs.grad()) < 1e-5, "{}", differ(&ours.grad(), &theirs.grad()));
        }
        let _guard = tch::no_grad_guard();
        let whole = fused_linear(&x, &fused, None, &[&weights[0], &weights[1]], 2);
        assert!(differ(&whole, &x.matmul(&fused.tr())) < 1e-5, "nothing is dropped where no gradient is needed");
    }
}
