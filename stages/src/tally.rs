//! Measurements of a step as sums and counts, which can be added over ranks. The trainer divides them once.

use std::collections::BTreeMap;

use lm::Group;

/// Measurements of a step by TRL's names.
pub type Metrics = BTreeMap<String, f64>;

/// The sizes of a batch that losses are divided by: of a rank's part, or of the whole batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Counts {
    /// Rows in the loss.
    pub rows: f64,
    /// Tokens in the loss.
    pub tokens: f64,
}

impl Counts {
    /// Sums the counts over the ranks.
    pub(crate) fn over(self, group: &Group) -> Self {
        let mut numbers = [self.rows, self.tokens];
        group.sum(&mut numbers);
        let [rows, tokens] = numbers;
        Self { rows, tokens }
    }
}

/// Measurements of one rank's part of a step.
#[derive(Clone, Debug, Default)]
pub struct Tally(BTreeMap<String, Measure>);

#[derive(Clone, Debug)]
enum Measure {
    Sum(f64),
    Mean { sum: f64, count: f64 },
    Least(Option<f64>),
    Most(Option<f64>),
    Deviation(Vec<f64>),
}

impl Tally {
    /// Adds a sum over the batch, or a loss whose terms are already divided by [`Counts`].
    pub fn sum(&mut self, name: impl Into<String>, value: f64) {
        self.0.insert(name.into(), Measure::Sum(value));
    }

    /// Adds a mean as sum and count. A mean with count 0 is no metric of the step.
    pub fn mean(&mut self, name: impl Into<String>, sum: f64, count: f64) {
        self.0.insert(name.into(), Measure::Mean { sum, count });
    }

    /// Adds the mean of values.
    pub fn mean_of(&mut self, name: impl Into<String>, values: impl IntoIterator<Item = f64>) {
        let (sum, count) = values.into_iter().fold((0.0, 0_u32), |(sum, count), value| (sum + value, count + 1));
        self.mean(name, sum, f64::from(count));
    }

    /// Adds the share of claims that hold.
    pub fn share_of(&mut self, name: impl Into<String>, claims: impl IntoIterator<Item = bool>) {
        self.mean_of(name, claims.into_iter().map(|claim| f64::from(u8::from(claim))));
    }

    /// Adds the least of values.
    pub fn least_of(&mut self, name: impl Into<String>, values: impl IntoIterator<Item = f64>) {
        self.0.insert(name.into(), Measure::Least(values.into_iter().reduce(f64::min)));
    }

    /// Adds the greatest of values.
    pub fn most_of(&mut self, name: impl Into<String>, values: impl IntoIterator<Item = f64>) {
        self.0.insert(name.into(), Measure::Most(values.into_iter().reduce(f64::max)));
    }

    /// Adds the [`deviation`] of values.
    pub fn deviation_of(&mut self, name: impl Into<String>, values: impl IntoIterator<Item = f64>) {
        self.0.insert(name.into(), Measure::Deviation(values.into_iter().collect()));
    }

    /// Adds the measurements of another tally, which have other names.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Divides the measurements of this process alone.
    pub(crate) fn alone(self) -> Metrics {
        self.over(&Group::Alone)
    }

    /// Adds up the measurements of all ranks, and divides.
    pub(crate) fn over(self, group: &Group) -> Metrics {
        let metrics = self.0.into_iter().filter_map(|(name, measure)| Some((name, measure.over(group)?)));
        metrics.collect()
    }
}

impl Measure {
    fn over(self, group: &Group) -> Option<f64> {
        match self {
            Self::Sum(value) => {
                let mut numbers = [value];
                group.sum(&mut numbers);
                Some(numbers[0])
            }
            Self::Mean { sum, count } => {
                let mut numbers = [sum, count];
                group.sum(&mut numbers);
                (numbers[1] > 0.0).then(|| numbers[0] / numbers[1])
            }
            Self::Least(value) => group.least(value),
            Self::Most(value) => group.most(value),
            Self::Deviation(values) => Some(deviation(&group.gather(values))),
        }
    }
}

/// Returns the sample standard deviation (n − 1), as TRL and the paper's code have it; 0 for fewer than two values.
pub fn deviation(values: &[f64]) -> f64 {
    if values.len() < 2 {
        return 0.0;
    }
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (values.len() - 1) as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_divided_once_and_nothing_has_no_mean() {
        let mut tally = Tally::default();
        tally.sum("loss", 0.25);
        tally.mean("kl", 3.0, 4.0);
        tally.mean_of("length", [1.0, 2.0, 6.0]);
        tally.share_of("accuracy", [true, false, true, true]);
        tally.share_of("format", []);
        tally.least_of("least", [2.0, 1.0]);
        tally.most_of("most", []);
        tally.deviation_of("std", [1.0, 3.0]);
        let expected = [
            ("accuracy", 0.75),
            ("kl", 0.75),
            ("least", 1.0),
            ("length", 3.0),
            ("loss", 0.25),
            ("std", 2.0_f64.sqrt()),
        ];
        assert_eq!(tally.over(&Group::Alone), expected.map(|(name, value)| (name.to_owned(), value)).into());
    }
}
