//! A curve as a line of blocks, drawn from values as they come.
//!
//! At most [`BUCKETS`] sums are kept, however many values there are: once all are full, neighbours are merged. Up to
//! that number of values the line is exact; above it the edges of its blocks are off by at most a 32nd of a block.

/// The most sums that are kept.
const BUCKETS: usize = 1 << 11;
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// A curve of one metric.
#[derive(Clone, Debug)]
pub(crate) struct Sparkline {
    pub(crate) first: f64,
    pub(crate) last: f64,
    /// How many values a full bucket has.
    per_bucket: u64,
    buckets: Vec<Bucket>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    values: u64,
    /// The sum of the finite values.
    sum: f64,
    finite: u64,
}

impl Bucket {
    fn add(&mut self, other: Self) {
        self.values += other.values;
        self.sum += other.sum;
        self.finite += other.finite;
    }
}

impl Sparkline {
    /// Starts a curve with its first value.
    pub(crate) fn of(first: f64) -> Self {
        let mut curve = Self { first, last: first, per_bucket: 1, buckets: Vec::new() };
        curve.add(first);
        curve
    }

    /// Adds a value; one that is not finite counts as a step without a height.
    pub(crate) fn add(&mut self, value: f64) {
        self.last = value;
        let is_finite = value.is_finite();
        let one = Bucket { values: 1, sum: if is_finite { value } else { 0.0 }, finite: u64::from(is_finite) };
        if let Some(bucket) = self.buckets.last_mut().filter(|bucket| bucket.values < self.per_bucket) {
            bucket.add(one);
            return;
        }
        if self.buckets.len() == BUCKETS {
            self.halve();
        }
        self.buckets.push(one);
    }

    fn halve(&mut self) {
        let pair = |pair: &[Bucket]| {
            pair.iter().fold(Bucket::default(), |mut sum, bucket| {
                sum.add(*bucket);
                sum
            })
        };
        self.buckets = self.buckets.chunks(2).map(pair).collect();
        self.per_bucket *= 2;
    }

    /// Draws the curve in `width` blocks at most; `!` marks a block without a finite value.
    pub(crate) fn draw(&self, width: usize) -> String {
        let len = self.buckets.len();
        let width = len.min(width);
        let means: Vec<f64> =
            (0..width).map(|at| mean(&self.buckets[at * len / width..(at + 1) * len / width])).collect();
        let finite = || means.iter().copied().filter(|mean| mean.is_finite());
        let (low, high) = (finite().fold(f64::INFINITY, f64::min), finite().fold(f64::NEG_INFINITY, f64::max));
        let scale = if high > low { 7.0 / (high - low) } else { 0.0 };
        let block = |mean: f64| BLOCKS[(((mean - low) * scale).round() as usize).min(7)];
        means.iter().map(|mean| if mean.is_finite() { block(*mean) } else { '!' }).collect()
    }
}

fn mean(buckets: &[Bucket]) -> f64 {
    let finite: u64 = buckets.iter().map(|bucket| bucket.finite).sum();
    // Without finite values this is NaN.
    buckets.iter().map(|bucket| bucket.sum).sum::<f64>() / finite as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(values: impl IntoIterator<Item = f64>) -> Sparkline {
        let mut values = values.into_iter();
        let mut curve = Sparkline::of(values.next().unwrap());
        values.for_each(|value| curve.add(value));
        curve
    }

    #[test]
    fn values_are_blocks() {
        assert_eq!(curve([0.0, 1.0, 2.0, 7.0]).draw(32), "▁▂▃█");
        assert_eq!(curve([1.0, 1.0]).draw(32), "▁▁");
        assert_eq!(curve([0.0, f64::NAN, 7.0]).draw(32), "▁!█");
        assert_eq!(curve([f64::NAN]).draw(32), "!");
        assert_eq!(curve([f64::MIN, f64::MAX]).draw(32).chars().count(), 2);
    }

    #[test]
    fn a_long_curve_looks_as_a_short_one_and_takes_no_more() {
        let shape = |steps: u32| curve((0..steps).map(|step| (f64::from(step) / f64::from(steps) * 6.0).sin()));
        let (short, long) = (shape(2_048), shape(1_000_000));
        let height = |c: char| BLOCKS.iter().position(|block| *block == c).unwrap();
        for (one, two) in long.draw(32).chars().zip(short.draw(32).chars()) {
            assert!(height(one).abs_diff(height(two)) <= 1, "{} {}", long.draw(32), short.draw(32));
        }
        assert!(long.buckets.len() <= BUCKETS);
        assert_eq!((long.first, long.last), (0.0, (999_999.0 / 1e6 * 6.0f64).sin()));
    }
}
