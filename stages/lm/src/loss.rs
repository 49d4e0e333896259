//! The losses of the recipe as functions of tensors. Each returns one loss per element or row; the caller weighs and
//! sums.

use tch::{Kind, Tensor};

/// The KL estimate "k1" of one token: `ln p - ln reference`. Its mean is the KL divergence, but it may be negative.
///
/// As a loss its gradient says nothing of the reference: on-policy its mean is 0.
pub fn k1(logps: &Tensor, reference_logps: &Tensor) -> Tensor {
    logps - reference_logps
}

/// The KL estimate "k2" of one token: `(ln p - ln reference)² / 2`. It is biased; the gradient of its mean is that of the
/// KL divergence.
pub fn k2(logps: &Tensor, reference_logps: &Tensor) -> Tensor {
    (logps - reference_logps).square() / 2.0
}

/// The unbiased KL estimate "k3" of one token: `r - ln r - 1` with `r = reference / policy` (DeepSeek-R1, equation 2).
///
/// It is never negative, and 0 where both agree. The gradient flows to `logps`.
pub fn k3(logps: &Tensor, reference_logps: &Tensor) -> Tensor {
    let log_ratio = reference_logps - logps;
    log_ratio.exp() - log_ratio - 1.0
}

/// The clipped surrogate, to be maximised: `min(min(ratio, most) a, clip(ratio, 1 - low, 1 + high) a)` (DeepSeek-R1,
/// equation 1; without `most` the ratio has no other bound). The gradient flows to `ratio`.
///
/// It is 0 where the ratio is beyond the bound towards which the advantage `a` pushes it. `most` bounds it where it is
/// negative and grows without a limit (dual clip, arXiv 1912.09729; TRL's `delta`).
pub fn clipped_surrogate(ratio: &Tensor, advantages: &Tensor, (low, high): (f64, f64), most: Option<f64>) -> Tensor {
    let bounded = match most {
        Some(most) => ratio.clamp_max(most),
        None => ratio.shallow_clone(),
    };
    (bounded * advantages).minimum(&(ratio.clamp(1.0 - low, 1.0 + high) * advantages))
}

/// The surrogate of CISPO, to be maximised: `clip(ratio, 1 - low, 1 + high) a ln p` (MiniMax-M1, arXiv 2506.13585).
///
/// The ratio is a constant weight, so every token has a gradient; the bounds only keep its weight in proportion.
pub fn cispo(logps: &Tensor, ratio: &Tensor, advantages: &Tensor, (low, high): (f64, f64)) -> Tensor {
    ratio.detach().clamp(1.0 - low, 1.0 + high) * advantages * logps
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

/// Coarsens distributions, ln p of each token [c, v], to the tokens of `tokens_ck` and one more outcome, all other
/// tokens together: [c, k + 1], whose p again sum to 1.
pub fn with_rest(log_probs_cv: &Tensor, tokens_ck: &Tensor) -> Tensor {
    // Summing the others keeps precision when they are rare; 1 - (the sum of the chosen) would not.
    let others_cv = log_probs_cv.scatter_value(1, tokens_ck, f64::NEG_INFINITY);
    Tensor::cat(&[log_probs_cv.gather(1, tokens_ck, false), others_cv.logsumexp([-1], true)], 1)
}

/// Divides ln p by a temperature and normalises again: `ln softmax(ln p / temperature)` over the last dimension.
pub fn tempered(log_probs: &Tensor, temperature: f64) -> Tensor {
    (log_probs / temperature).log_softmax(-1, log_probs.kind())
}

/// The Kullback-Leibler divergence of two distributions given by ln p over the last dimension: `sum p (ln p - ln q)`.
///
/// It is never negative, and 0 where both agree. With the teacher as `p` it is the forward divergence: the student
/// learns to cover everything that the teacher finds likely. With the student as `p` it is the reverse divergence: the
/// student learns to avoid what the teacher finds unlikely.
pub fn divergence(log_p: &Tensor, log_q: &Tensor) -> Tensor {
    (log_p.exp() * (log_p - log_q)).sum_dim_intlist(-1, false, None::<Kind>)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: f64 = 1e-6;

    fn vector(values: &[f64]) -> Tensor {
        Tensor::from_slice(values)
    }

    /// Compares values with a closed form, and the gradient of their sum with central differences.
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
    fn k1_and_k2_follow_their_definitions() {
        let reference = [-1.0, -0.5, -3.0, -2.0];
        check(&[-1.0, -2.0, -0.1, -2.5], |x| k1(x, &vector(&reference)), |i, x| x - reference[i]);
        let closed = |i: usize, x: f64| (x - reference[i]).powi(2) / 2.0;
        check(&[-1.0, -2.0, -0.1, -2.5], |x| k2(x, &vector(&reference)), closed);
    }

    #[test]
    fn the_surrogate_is_clipped_on_the_side_the_advantage_pushes_to() {
        let (old, advantages) = ([-1.0; 6], [1.0, 1.0, 1.0, -2.0, -2.0, -2.0]);
        let closed = |i: usize, x: f64| {
            let ratio = (x - old[i]).exp();
            (ratio * advantages[i]).min(ratio.clamp(0.8, 1.5) * advantages[i])
        };
        let surrogate = |x: &Tensor, most: Option<f64>| {
            clipped_surrogate(&(x - vector(&old)).exp(), &vector(&advantages), (0.2, 0.5), most)
        };
        let points = [-1.05, -2.0, -0.1, -1.05, -2.0, -0.1];
        check(&points, |x| surrogate(x, None), closed);
        let bounded =
            |i: usize, x: f64| closed(i, x).max(if advantages[i] < 0.0 { 2.0 * advantages[i] } else { f64::MIN });
        check(&points, |x| surrogate(x, Some(2.0)), bounded);
        assert!(closed(5, -0.1) < bounded(5, -0.1), "a ratio of 2.5 is beyond the bound");
    }

    #[test]
    fn the_ratio_of_cispo_is_a_constant_weight() {
        let (ratio, advantages) = ([0.1_f64, 1.0, 7.0, 7.0], [1.0, 1.0, 1.0, -2.0]);
        let closed = |i: usize, x: f64| ratio[i].clamp(0.8, 1.5) * advantages[i] * x;
        let loss = |x: &Tensor| cispo(x, &vector(&ratio), &vector(&advantages), (0.2, 0.5));
        check(&[-1.05, -2.0, -0.1, -1.05], loss, closed);
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

    fn softmax(logits: &[f64], temperature: f64) -> Vec<f64> {
        let sum: f64 = logits.iter().map(|x| (x / temperature).exp()).sum();
        logits.iter().map(|x| (x / temperature).exp() / sum).collect()
    }

    fn kl(p: &[f64], q: &[f64]) -> f64 {
        p.iter().zip(q).map(|(p, q)| p * (p / q).ln()).sum()
    }

    /// Compares a loss of the logits of one token with a closed form, and its gradient with central differences.
    fn check_logits(logits: &[f64], loss: impl Fn(&Tensor) -> Tensor, closed_form: impl Fn(&[f64]) -> f64) {
        let x = vector(logits).unsqueeze(0).set_requires_grad(true);
        let value = loss(&x.log_softmax(-1, Kind::Double));
        value.sum(Kind::Double).backward();
        assert!((value.double_value(&[0]) - closed_form(logits)).abs() < 1e-12);
        for i in 0..logits.len() {
            let at = |step: f64| {
                let mut moved = logits.to_vec();
                moved[i] += step;
                closed_form(&moved)
            };
            let slope = (at(STEP) - at(-STEP)) / (2.0 * STEP);
            assert!((x.grad().double_value(&[0, i as i64]) - slope).abs() < 1e-8, "slope of logit {i}: {slope}");
        }
    }

    #[test]
    fn divergences_follow_their_definition_both_ways() {
        let teacher = [0.5, -1.0, 2.0, 0.1];
        let log_teacher = vector(&teacher).unsqueeze(0).log_softmax(-1, Kind::Double);
        let (p, student) = (softmax(&teacher, 1.0), [1.0, 0.3, -0.7, -2.0]);
        check_logits(&student, |q| divergence(&log_teacher, q), |q| kl(&p, &softmax(q, 1.0)));
        check_logits(&student, |q| divergence(q, &log_teacher), |q| kl(&softmax(q, 1.0), &p));
        assert!(divergence(&log_teacher, &log_teacher).double_value(&[0]).abs() < 1e-15);
    }

    #[test]
    fn the_rest_is_one_outcome_and_is_tempered_as_one() {
        let (teacher, tokens) = ([0.5, -1.0, 2.0, 0.1, -3.0], [2, 0]);
        let coarse = |logits: &[f64], temperature: f64| {
            let fine = softmax(logits, 1.0);
            let mut coarse: Vec<f64> = tokens.iter().map(|token| fine[*token as usize]).collect();
            coarse.push(1.0 - coarse.iter().sum::<f64>());
            softmax(&coarse.iter().map(|p| p.ln()).collect::<Vec<_>>(), temperature)
        };
        let tokens_ck = Tensor::from_slice(&tokens).unsqueeze(0);
        let teacher_ck = with_rest(&vector(&teacher).unsqueeze(0).log_softmax(-1, Kind::Double), &tokens_ck);
        assert!((teacher_ck.exp().sum(Kind::Double).double_value(&[]) - 1.0).abs() < 1e-12);
        for temperature in [1.0, 2.5] {
            check_logits(
                &[1.0, 0.3, -0.7, -2.0, 0.4],
                |q| divergence(&tempered(&teacher_ck, temperature), &tempered(&with_rest(q, &tokens_ck), temperature)),
                |q| kl(&coarse(&teacher, temperature), &coarse(q, temperature)),
            );
        }
    }

    #[test]
    fn a_rest_far_below_rounding_keeps_its_digits() {
        let x = Tensor::from_slice(&[40.0_f32, 0.0, -1.0]).unsqueeze(0).set_requires_grad(true);
        let coarse = with_rest(&x.log_softmax(-1, Kind::Float), &Tensor::from_slice(&[0_i64]).unsqueeze(0));
        let rest = coarse.double_value(&[0, 1]);
        assert!((rest - ((-1.0_f64).exp().ln_1p() - 40.0)).abs() < 1e-5, "{rest}");
        coarse.select(1, 1).sum(Kind::Float).backward();
        assert!((x.grad().double_value(&[0, 0]) + 1.0).abs() < 1e-5);
    }
}
