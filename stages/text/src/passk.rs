//! Statistics over several completions of each prompt: pass@k, cons@k, and standard errors clustered by prompt.

use std::collections::BTreeMap;

/// Returns the unbiased estimate of the probability that at least one of `k` completions is right, when `num_correct`
/// of `num_sampled` were (Chen et al. 2021, Eq. 1). `k` above `num_sampled` counts as `num_sampled`.
pub fn pass_at_k(num_sampled: usize, num_correct: usize, k: usize) -> f64 {
    let k = k.min(num_sampled);
    if num_sampled - num_correct < k {
        return 1.0;
    }
    let all_wrong: f64 = (num_sampled - num_correct + 1..=num_sampled).map(|n| 1.0 - k as f64 / n as f64).product();
    1.0 - all_wrong
}

/// Returns the mean over prompts and its standard error. Completions of one prompt are not independent, so each prompt
/// gives one value, its own mean. The error is 0 for fewer than two prompts.
pub fn mean_and_standard_error(per_prompt: &[f64]) -> (f64, f64) {
    let n = per_prompt.len() as f64;
    if per_prompt.is_empty() {
        return (0.0, 0.0);
    }
    let mean = per_prompt.iter().sum::<f64>() / n;
    if per_prompt.len() < 2 {
        return (mean, 0.0);
    }
    let variance = per_prompt.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0);
    (mean, (variance / n).sqrt())
}

/// Returns the most frequent answer, the earliest one in a tie. Completions without an answer do not vote.
pub fn majority<'a>(answers: impl IntoIterator<Item = Option<&'a str>>) -> Option<&'a str> {
    let mut votes: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for (at, answer) in answers.into_iter().enumerate() {
        if let Some(answer) = answer {
            votes.entry(answer).or_insert((0, at)).0 += 1;
        }
    }
    votes.into_iter().max_by_key(|(_, (count, first))| (*count, std::cmp::Reverse(*first))).map(|(answer, _)| answer)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn closed_forms() {
        assert!((pass_at_k(4, 1, 1) - 0.25).abs() < 1e-12);
        assert!((pass_at_k(4, 4, 2) - 1.0).abs() < 1e-12);
        assert!(pass_at_k(4, 0, 4).abs() < 1e-12);
        let (mean, error) = mean_and_standard_error(&[0.0, 1.0, 1.0, 0.0]);
        assert!((mean - 0.5).abs() < 1e-12 && (error - (1.0_f64 / 12.0).sqrt()).abs() < 1e-12);
        assert_eq!(mean_and_standard_error(&[]), (0.0, 0.0));
    }

    #[test]
    fn majority_breaks_ties_by_order() {
        assert_eq!(majority([Some("7"), Some("8"), Some("8"), None]), Some("8"));
        assert_eq!(majority([Some("9"), Some("8"), None, None, None]), Some("9"));
        assert_eq!(majority([None, None]), None);
    }

    proptest! {
        #[test]
        fn pass_at_k_counts_subsets(outcomes in prop::collection::vec(any::<bool>(), 1..9), k in 1_usize..9) {
            let n = outcomes.len();
            let k = k.min(n);
            let subsets: Vec<u32> = (0..1_u32 << n).filter(|set| set.count_ones() as usize == k).collect();
            let passed = subsets.iter().filter(|set| (0..n).any(|i| *set >> i & 1 == 1 && outcomes[i])).count();
            let expected = passed as f64 / subsets.len() as f64;
            let correct = outcomes.iter().filter(|x| **x).count();
            prop_assert!((pass_at_k(n, correct, k) - expected).abs() < 1e-9);
        }
    }
}
