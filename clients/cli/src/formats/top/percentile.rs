//! A percentile of numbers of which only buckets were counted.

/// What a share of the numbers is at most: between the ends of its bucket, as if the numbers of that were spread evenly. Of a bucket
/// without an end, its beginning. None of no numbers.
pub(super) fn percentile(ends: &[f64], counts: &[u64], share: f64) -> Option<f64> {
    let all: u64 = counts.iter().sum();
    let wanted = share * all as f64;
    let mut below = 0.0;
    for (bucket, &count) in counts.iter().enumerate() {
        let count = count as f64;
        if count > 0.0 && below + count >= wanted {
            let begin = match bucket.checked_sub(1) {
                Some(before) => *ends.get(before)?,
                None => 0.0,
            };
            let end = ends.get(bucket).copied().unwrap_or(begin);
            let within = ((wanted - below) / count).clamp(0.0, 1.0);
            return Some(begin + (end - begin) * within);
        }
        below += count;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDS: [f64; 3] = [1.0, 2.0, 4.0];

    fn of(counts: [u64; 4], share: f64) -> Option<f64> {
        percentile(&ENDS, &counts, share)
    }

    #[test]
    fn of_nothing_there_is_none() {
        assert_eq!(of([0; 4], 0.5), None);
        assert_eq!(percentile(&[], &[], 0.5), None);
    }

    #[test]
    fn numbers_of_a_bucket_are_spread_evenly_in_it() {
        let near = |found: Option<f64>, expected: f64| {
            let found = found.unwrap();
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        };
        near(of([10, 0, 0, 0], 0.5), 0.5);
        near(of([0, 0, 10, 0], 0.5), 3.0);
        near(of([0, 0, 10, 0], 0.0), 2.0);
        near(of([5, 5, 0, 0], 0.5), 1.0);
        near(of([5, 5, 0, 0], 0.75), 1.5);
        near(of([90, 0, 10, 0], 0.99), 3.8);
        near(of([1, 0, 0, 0], 1.0), 1.0);
    }

    #[test]
    fn of_the_bucket_without_an_end_it_is_the_beginning() {
        assert_eq!(of([0, 0, 0, 7], 0.5), Some(4.0));
        assert_eq!(of([99, 0, 0, 1], 1.0), Some(4.0));
    }

    #[test]
    fn a_daemon_that_tells_more_counts_than_ends_is_believed_as_far_as_it_can_be() {
        assert_eq!(percentile(&[], &[0, 3], 0.5), None);
        assert_eq!(percentile(&[], &[3], 0.5), Some(0.0));
    }
}
