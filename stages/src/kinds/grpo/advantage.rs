//! Advantages: each reward relative to its group (DeepSeek-R1, equation 3).

use super::Scale;
use crate::training::deviation;

/// Keeps the advantages of a group with almost equal rewards small.
const EPSILON: f64 = 1e-4;

/// Returns the advantage of each completion; `rewards` contains the groups one after the other.
pub(super) fn advantages(rewards: &[f64], group_size: usize, scale: Scale) -> Vec<f64> {
    let overall = deviation(rewards);
    let mut advantages = Vec::with_capacity(rewards.len());
    for group in rewards.chunks(group_size) {
        let mean = group.iter().sum::<f64>() / group.len() as f64;
        let divisor = match scale {
            Scale::Group => deviation(group) + EPSILON,
            Scale::Batch => overall + EPSILON,
            Scale::None => 1.0,
        };
        let is_flat = has_one_value(group);
        advantages.extend(group.iter().map(|reward| if is_flat { 0.0 } else { (reward - mean) / divisor }));
    }
    advantages
}

/// Returns whether all rewards of a group are equal, so that it teaches nothing.
pub(super) fn has_one_value(group: &[f64]) -> bool {
    group.windows(2).all(|pair| (pair[0] - pair[1]).abs() < 1e-9)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(one: &[f64], two: &[f64]) {
        assert_eq!(one.len(), two.len());
        for (one, two) in one.iter().zip(two) {
            assert!((one - two).abs() < 1e-3, "{one} {two}");
        }
    }

    #[test]
    fn closed_forms() {
        let rewards = [1.0, 0.0, 1.0, 1.0];
        let half = 0.5_f64.sqrt();
        close(&advantages(&rewards, 2, Scale::Group), &[half, -half, 0.0, 0.0]);
        close(&advantages(&rewards, 2, Scale::None), &[0.5, -0.5, 0.0, 0.0]);
        close(&advantages(&rewards, 2, Scale::Batch), &[1.0, -1.0, 0.0, 0.0]);
        close(&advantages(&rewards, 4, Scale::Group), &[0.5, -1.5, 0.5, 0.5]);
    }

    #[test]
    fn a_flat_group_is_exactly_nothing() {
        let rewards = [0.1 + 0.2, 0.3, 0.3];
        assert_eq!(advantages(&rewards, 3, Scale::Group), [0.0; 3]);
    }
}
