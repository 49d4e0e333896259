//! The losses of the recipe as functions of tensors; each keeps its input's shape, and the caller weighs and sums.

use tch::Tensor;

/// The unbiased KL estimate "k3" of one token: `r - ln r - 1` with `r = reference / policy` (DeepSeek-R1, equation 2).
///
/// Never negative, 0 where both agree; the gradient flows to `logps`.
pub fn k3(logps: &Tensor, reference_logps: &Tensor) -> Tensor {
    let log_ratio = reference_logps - logps;
    log_ratio.exp() - log_ratio - 1.0
}

/// The clipped surrogate of one token, to be maximised: `min(ratio a, clip(ratio, 1 - low, 1 + high) a)`
/// (DeepSeek-R1, equation 1), with `ratio = exp(logps - old_logps)` and advantage `a`.
///
/// Beyond the bound that the advantage pushes towards, the gradient is 0.
pub fn clipped_surrogate(logps: &Tensor, old_logps: &Tensor, advantages: &Tensor, low: f64, high: f64) -> Tensor {
    let ratio = (logps - old_logps).exp();
    (&ratio * advantages).minimum(&(ratio.clamp(1.0 - low, 1.0 + high) * advantages))
}

/// The Bradley-Terry loss of one pair: `-ln sigmoid(chosen - rejected)`.
pub fn bradley_terry(chosen: &Tensor, rejected: &Tensor) -> Tensor {
    -(chosen - rejected).log_sigmoid()
}

/// Binary cross-entropy of one score against its label, 0 or 1: the pointwise loss of a safety reward model.
pub fn pointwise(scores: &Tensor, labels: &Tensor) -> Tensor {
    // -y ln s - (1 - y) ln(1 - s), where 1 - sigmoid(x) = sigmoid(-x) keeps precision at both ends.
    -(labels * scores.log_sigmoid()) - (1.0 - labels) * (-scores).log_sigmoid()
}

#[cfg(test)]
mod tests {
    use tch::Kind;

    use super::*;

    const STEP: f64 = 1e-6;

    fn vector(values: &[f64]) -> Tensor {
        Tensor::from_slice(values)
    }

    /// Compares values with a closed form, and the gradient of the sum with central differences of it.
    fn check(input: &[f64], loss: impl Fn(&Tensor) -> Tensor, closed_form: impl Fn(usize, f64) -> f64) {
        let x = vector(input).set_requires_grad(true);
        let values = loss(&x);
        values.sum(Kind::Double).backward();
        let grad = x.grad();
        for (i, x) in input.iter().enumerate() {
            let expected = closed_form(i, *x);
            assert!((values.double_value(&[i as i64]) - expected).abs() < 1e-12, "value at {x}");
            let slope = (closed_form(i, x + STEP) - closed_form(i, x - STEP)) / (2.0 * STEP);
            assert!((grad.double_value(&[i as i64]) - slope).abs() < 1e-6, "slope at {x}: {slope}");
        }
    }

    #[test]
    fn k3_follows_its_definition() {
        let reference = [-1.0, -0.5, -3.0, -2.0];
        let closed = |i: usize, x: f64| (reference[i] - x).exp() - (reference[i] - x) - 1.0;
        check(&[-1.0, -2.0, -0.1, -2.5], |x| k3(x, &vector(&reference)), closed);
    }

    #[test]
    fn the_surrogate_is_clipped_on_the_side_the_advantage_pushes_to() {
        let (old, advantages) = ([-1.0; 6], [1.0, 1.0, 1.0, -2.0, -2.0, -2.0]);
        let closed = |i: usize, x: f64| {
            let ratio = (x - old[i]).exp();
            (ratio * advantages[i]).min(ratio.clamp(0.8, 1.5) * advantages[i])
        };
        let loss = |x: &Tensor| clipped_surrogate(x, &vector(&old), &vector(&advantages), 0.2, 0.5);
        check(&[-1.05, -2.0, -0.1, -1.05, -2.0, -0.1], loss, closed);
    }

    #[test]
    fn bradley_terry_is_symmetric_around_ln_2() {
        let rejected = [0.0, 1.0, -2.0, 30.0];
        let closed = |i: usize, x: f64| (rejected[i] - x).exp().ln_1p();
        check(&[0.0, 3.0, -2.5, 1.0], |x| bradley_terry(x, &vector(&rejected)), closed);
        let tie = bradley_terry(&vector(&[0.7]), &vector(&[0.7])).double_value(&[0]);
        assert!((tie - std::f64::consts::LN_2).abs() < 1e-12);
    }

    #[test]
    fn pointwise_is_cross_entropy() {
        let labels = [0.0, 1.0, 1.0, 0.0];
        let closed = |i: usize, x: f64| if labels[i] > 0.5 { (-x).exp().ln_1p() } else { x.exp().ln_1p() };
        check(&[0.3, -1.2, 4.0, 2.0], |x| pointwise(x, &vector(&labels)), closed);
        let far = pointwise(&vector(&[500.0, -500.0]), &vector(&[1.0, 0.0]));
        assert!(far.abs().max().double_value(&[]) < 1e-12);
    }
}
