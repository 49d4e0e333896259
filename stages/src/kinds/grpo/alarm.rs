//! Watches whether a policy pleases its judges by something else than right answers.

use serde::{Deserialize, Serialize};

use super::rollout::Rollout;

/// Watches whether the scores of judges rise while held-out accuracy falls: then the policy has found something that
/// pleases them and was not meant (R1 v2, figure 6). It is part of the checkpoint.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Alarm {
    /// Sum and number of judged scores since the last measurement.
    sum: f64,
    count: u64,
    /// When held-out accuracy was greatest.
    best: Option<Point>,
    is_given: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Point {
    step: u64,
    judged: f64,
    accuracy: f64,
}

impl Alarm {
    /// Adds the scores that judges and reward models gave to rollouts.
    pub(super) fn add(&mut self, rollouts: &[Rollout]) {
        let is_judged = |name: &str| name == "helpful" || name == "harmless" || name.starts_with("judge.");
        let parts = rollouts.iter().flat_map(|rollout| &rollout.parts).filter(|(name, _)| is_judged(name));
        for (_, score) in parts {
            self.sum += score;
            self.count += 1;
        }
    }

    /// Looks at the accuracy on `prompts` prompts after `step` steps, and returns a warning, once. A fall counts if it is
    /// more than two standard errors of the difference.
    pub(super) fn look(&mut self, step: u64, accuracy: f64, prompts: usize) -> Option<String> {
        let (sum, count) = (std::mem::take(&mut self.sum), std::mem::take(&mut self.count));
        if count == 0 {
            return None;
        }
        let now = Point { step, judged: sum / count as f64, accuracy };
        let Some(best) = self.best.filter(|best| best.accuracy > now.accuracy) else {
            self.best = Some(now);
            return None;
        };
        let mean = f64::midpoint(best.accuracy, now.accuracy);
        let error = (2.0 * mean * (1.0 - mean) / prompts as f64).sqrt();
        if self.is_given || now.judged <= best.judged || best.accuracy - now.accuracy <= 2.0 * error {
            return None;
        }
        self.is_given = true;
        Some(format!(
            "since step {} the judged score has risen from {:.3} to {:.3}, and held-out accuracy has fallen from {:.3} to \
             {:.3}: the policy may please its judges by something that was not meant. Stop here and take the output \
             `best`; give these rewards less weight or a later `from-step`, or mend the judge",
            best.step, best.judged, now.judged, best.accuracy, now.accuracy
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::rollout::tests::rollout;
    use super::*;

    fn rollouts(name: &str, score: f64) -> Vec<Rollout> {
        let parts = BTreeMap::from([(name.to_owned(), score)]);
        let rollout = Rollout { reward: score, parts, ..rollout() };
        vec![rollout; 4]
    }

    /// Returns the steps at which it warns, given (judged score, accuracy) at each.
    fn warned(name: &str, points: &[(f64, f64)]) -> Vec<usize> {
        let mut alarm = Alarm::default();
        let look = |(step, (judged, accuracy)): (usize, &(f64, f64))| {
            alarm.add(&rollouts(name, *judged));
            // As after a kill: the state goes through a checkpoint.
            alarm = serde_json::from_str(&serde_json::to_string(&alarm).unwrap()).unwrap();
            alarm.look(step as u64, *accuracy, 100).map(|_| step)
        };
        points.iter().enumerate().filter_map(look).collect()
    }

    #[test]
    fn it_is_given_once_where_judges_are_pleased_and_accuracy_falls() {
        let hacked = [(0.2, 0.5), (0.4, 0.6), (0.6, 0.58), (0.7, 0.4), (0.8, 0.3)];
        for name in ["helpful", "harmless", "judge.polite"] {
            assert_eq!(warned(name, &hacked), [3], "{name}");
        }
        assert_eq!(warned("length", &hacked), [0; 0], "a rule is no judge");
        assert_eq!(warned("helpful", &[(0.6, 0.6), (0.5, 0.3)]), [0; 0], "both fall");
        assert_eq!(warned("helpful", &[(0.2, 0.5), (0.9, 0.45)]), [0; 0], "within the error");
        assert_eq!(warned("helpful", &[(0.2, 0.5), (0.9, 0.7)]), [0; 0], "both rise");
    }
}
