//! The objective beside TRL's own code on the same numbers (`against_trl.py` writes them), and beside verl's advantages.

use std::sync::LazyLock;

use serde_json::Value;

use super::super::advantage::Advantages;
use super::*;

static TRL: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(include_str!("trl.json")).unwrap());

const GROUP: usize = 3;

fn floats(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

/// Returns the numbers of all completions, one after the other.
fn joined(rows: &Value) -> Option<Vec<f64>> {
    Some(rows.as_array()?.iter().flat_map(floats).collect())
}

fn close(name: &str, what: &str, found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len(), "{name}: {what}");
    let worst = found.iter().zip(expected).map(|(one, two)| (one - two).abs()).fold(0.0, f64::max);
    assert!(worst < 1e-5, "{name}: {what} differs by {worst}\n{found:?}\n{expected:?}");
}

/// Returns TRL's settings as our keys.
fn keys(case: &Value) -> ObjectiveKeys {
    let trainer = case["trainer"].as_str().unwrap();
    let setting = |name: &str| case["settings"].get(name).unwrap_or(&TRL["defaults"][trainer][name]).clone();
    let number = |name: &str| setting(name).as_f64();
    let epsilon = number("epsilon").unwrap();
    let kind = setting("loss_type");
    let is_cispo = kind == "cispo";
    let high = number("epsilon_high").unwrap_or(epsilon);
    ObjectiveKeys {
        baseline: if trainer == "rloo" { Baseline::LeaveOneOut } else { Baseline::Group },
        scale: match setting("scale_rewards").as_str() {
            Some("group") => Scale::Group,
            Some("batch") => Scale::Batch,
            _ => Scale::None,
        },
        surrogate: if is_cispo { Surrogate::Cispo } else { Surrogate::Clip },
        ratio: if setting("importance_sampling_level") == "sequence" { RatioOf::Sequence } else { RatioOf::Token },
        // TRL's CISPO has no lower bound, and names the upper one where the paper names its distance from 1.
        clip_low: if is_cispo { 10.0 } else { epsilon },
        clip_high: if is_cispo { high - 1.0 } else { high },
        max_ratio: number("delta"),
        aggregate: match kind.as_str() {
            Some("dapo" | "cispo") => Aggregate::Token,
            Some("dr_grpo") => Aggregate::Constant,
            _ => Aggregate::Sequence,
        },
        mask_truncated: setting("mask_truncated_completions") == true,
        kl: number("beta").unwrap(),
        kl_estimator: if trainer == "rloo" { KlEstimator::K1 } else { KlEstimator::K3 },
        kl_in: if trainer == "rloo" { KlIn::Reward } else { KlIn::Loss },
        reference_refresh: 0,
        entropy_bonus: number("entropy_coef").unwrap_or_default(),
    }
}

/// Repeats a number of each completion for each of its tokens.
fn spread(values: &[f64], lengths: &[usize]) -> Vec<f64> {
    values.iter().zip(lengths).flat_map(|(value, length)| std::iter::repeat_n(*value, *length)).collect()
}

/// Returns the sum of each completion's numbers.
fn sums(values: &[f64], lengths: &[usize]) -> Vec<f64> {
    let mut values = values.iter();
    lengths.iter().map(|length| values.by_ref().take(*length).sum()).collect()
}

#[test]
fn advantages_are_those_of_trl() {
    for case in TRL["cases"].as_array().unwrap() {
        let (name, keys, inputs) = (case["name"].as_str().unwrap(), keys(case), &case["inputs"]);
        let lengths: Vec<usize> =
            floats(&inputs["completion_lengths"]).into_iter().map(|length| length as usize).collect();
        let mut rewards = floats(&inputs["rewards"][0]);
        if keys.has_kl_in_reward() {
            let logps = |name: &str| Tensor::from_slice(&joined(&inputs[name]).unwrap());
            let kl = keys.kl_of(&logps("old_per_token_logps"), &logps("ref_per_token_logps"));
            let kl: Vec<f64> = Vec::try_from(kl).unwrap();
            rewards = rewards.iter().zip(sums(&kl, &lengths)).map(|(reward, kl)| reward - keys.kl * kl).collect();
        }
        let advantages = Advantages { group_size: GROUP, baseline: keys.baseline, scale: keys.scale };
        close(name, "advantage", &advantages.of(&rewards, &lengths), &floats(&case["trl"]["advantages"]));
    }
}

#[test]
fn losses_and_gradients_are_those_of_trl() {
    let mut compared = 0;
    for case in TRL["cases"].as_array().unwrap() {
        let (name, keys, inputs) = (case["name"].as_str().unwrap(), keys(case), &case["inputs"]);
        // The ratio of RLOO is of the product over a completion, which we do not have.
        let Some(logps) = joined(&inputs["per_token_logps"]).filter(|_| case["trainer"] == "grpo") else { continue };
        compared += 1;
        let lengths: Vec<usize> =
            floats(&inputs["completion_lengths"]).into_iter().map(|length| length as usize).collect();
        let advantages = spread(&floats(&case["trl"]["advantages"]), &lengths);
        // What is masked is left out before the loss.
        let mask = joined(&case["trl"]["mask"]).unwrap();
        let is_masked = |row: usize| inputs["truncated_rows"].as_array().is_some_and(|rows| rows.contains(&row.into()));
        let counted = (0..lengths.len()).filter(|row| !is_masked(*row));
        let whole =
            Counts { rows: counted.clone().count() as f64, tokens: counted.map(|row| lengths[row] as f64).sum() };
        let weights = lengths.iter().map(|length| keys.weight(*length as f64, whole, 8)).collect::<Vec<_>>();
        let weights: Vec<f64> =
            spread(&weights, &lengths).iter().zip(&mask).map(|(weight, mask)| weight * mask).collect();
        let tensor = |values: &[f64]| Tensor::from_slice(values);
        let policy = tensor(&logps).set_requires_grad(true);
        let old = joined(&inputs["old_per_token_logps"]);
        let mean = old.as_ref().filter(|_| keys.ratio == RatioOf::Sequence).map(|old| {
            let log_ratio: Vec<f64> = logps.iter().zip(old).map(|(one, two)| one - two).collect();
            let means: Vec<f64> =
                sums(&log_ratio, &lengths).iter().zip(&lengths).map(|(sum, n)| sum / *n as f64).collect();
            tensor(&spread(&means, &lengths))
        });
        let entropies = joined(&inputs["entropies"]).map(|entropies| tensor(&entropies).set_requires_grad(true));
        let found = keys.loss(
            &policy,
            &Given {
                old: &old.as_ref().map_or_else(|| policy.detach(), |old| tensor(old)),
                mean_log_ratio: mean.as_ref(),
                reference: joined(&inputs["ref_per_token_logps"]).map(|reference| tensor(&reference)).as_ref(),
                advantages: &tensor(&advantages),
                weights: &tensor(&weights),
                entropies: entropies.as_ref().map(|entropies| (entropies, 1.0 / whole.tokens)),
            },
        );
        found.loss.backward();
        let expected = &case["trl"];
        close(name, "loss", &[found.loss.double_value(&[])], &[expected["loss"].as_f64().unwrap()]);
        let gradient = |of: &Tensor| Vec::<f64>::try_from(of.grad()).unwrap();
        close(name, "gradient", &gradient(&policy), &joined(&expected["grad_per_token_logps"]).unwrap());
        if let Some(entropies) = &entropies {
            close(name, "gradient of the entropy", &gradient(entropies), &joined(&expected["grad_entropies"]).unwrap());
        }
    }
    assert!(compared >= 20, "{compared} cases");
}

const PLUS_PLUS: [f64; 6] = [-0.673_615, 0.071_661, 0.816_938, 2.307_490, -0.673_615, -0.300_977];
const PLUS_PLUS_BASELINE: [f64; 6] = [-0.474_181, 0.273_013, 1.020_208, 2.140_999, -0.847_778, -0.474_181];

/// verl at commit 1dda039b, `compute_reinforce_plus_plus_outcome_advantage` and `…_baseline_…`, gamma 1.
#[test]
fn whitened_advantages_are_those_of_reinforce_plus_plus() {
    let (rewards, lengths) = ([0.0, 0.5, 1.0, 2.0, 0.0, 0.25], [7, 1, 4, 3, 6, 5]);
    let of = |baseline| Advantages { group_size: GROUP, baseline, scale: Scale::Tokens }.of(&rewards, &lengths);
    close("verl", "REINFORCE++", &of(Baseline::None), &PLUS_PLUS);
    close("verl", "REINFORCE++-baseline", &of(Baseline::Group), &PLUS_PLUS_BASELINE);
}
