//! Counts numbers in buckets of equal width, as TensorFlow 2 does.

use super::message::Histogram;

/// The number of buckets, as in TensorFlow 2.
const BUCKETS: usize = 30;

/// Returns the histogram of the finite ones among `numbers`; `None` if there are none. Equal numbers are in one bucket
/// of no width.
pub(super) fn histogram(numbers: &[f64]) -> Option<Histogram> {
    let numbers: Vec<f64> = numbers.iter().copied().filter(|number| number.is_finite()).collect();
    let min = numbers.iter().copied().reduce(f64::min)?;
    let max = numbers.iter().copied().reduce(f64::max)?;
    let (mut bucket_limit, mut bucket) = (vec![max], vec![numbers.len() as f64]);
    let width = (max - min) / BUCKETS as f64;
    // The range of the greatest numbers is no number; they stay in one bucket.
    if width > 0.0 && width.is_finite() {
        bucket_limit = (1..BUCKETS).map(|at| min + width * at as f64).chain([max]).collect();
        bucket = vec![0.0; BUCKETS];
        for number in &numbers {
            bucket[(((number - min) / width) as usize).min(BUCKETS - 1)] += 1.0;
        }
    }
    let sum_squares = numbers.iter().map(|number| number * number).sum();
    Some(Histogram {
        min,
        max,
        num: numbers.len() as f64,
        sum: numbers.iter().sum(),
        sum_squares,
        bucket_limit,
        bucket,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_counted_where_they_are() {
        let found = histogram(&[0.0, 1.0, 1.5, 30.0, f64::NAN, f64::INFINITY]).unwrap();
        assert_eq!((found.min, found.max, found.num), (0.0, 30.0, 4.0));
        assert_eq!((found.sum, found.sum_squares), (32.5, 903.25));
        assert_eq!((found.bucket_limit.len(), found.bucket_limit[0], found.bucket_limit[29]), (30, 1.0, 30.0));
        assert_eq!((found.bucket[0], found.bucket[1], found.bucket[29]), (1.0, 2.0, 1.0));
        assert!((found.bucket.iter().sum::<f64>() - 4.0).abs() < f64::EPSILON);
    }

    #[test]
    fn the_ends_of_the_range() {
        assert_eq!(histogram(&[]), None);
        assert_eq!(histogram(&[f64::NAN]), None);
        let equal = histogram(&[2.0, 2.0]).unwrap();
        assert_eq!((equal.bucket_limit, equal.bucket), (vec![2.0], vec![2.0]));
        let widest = histogram(&[f64::MIN, f64::MAX]).unwrap();
        assert_eq!((widest.bucket_limit, widest.bucket), (vec![f64::MAX], vec![2.0]));
    }
}
