//! How many numbers are between which edges. The edges are fixed, so that what is counted of heads, segments and layers adds up.

/// Counts of numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    edges: &'static [f32],
    counts: Vec<u64>,
    sum: f64,
}

impl Histogram {
    /// Tokens of clusters.
    pub fn of_cluster_sizes() -> Self {
        Self::between(&[
            1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0,
        ])
    }

    /// Variances of the keys of clusters, beside the mean one of their head and segment: most are about 1.
    pub fn of_key_spreads() -> Self {
        Self::between(&[
            0.0, 0.125, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 8.0,
        ])
    }

    /// Empty; `edges` grow.
    fn between(edges: &'static [f32]) -> Self {
        Self {
            edges,
            counts: vec![0; edges.len()],
            sum: 0.0,
        }
    }

    /// Counts a number where it belongs: one below the first edge, with those above it.
    pub fn count(&mut self, number: f32) {
        let above = self.edges.partition_point(|edge| *edge <= number);
        self.counts[above.saturating_sub(1)] += 1;
        self.sum += f64::from(number);
    }

    /// The smallest number of each bucket; the last has no end.
    pub fn edges(&self) -> &'static [f32] {
        self.edges
    }

    /// Numbers in each bucket.
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// Mean of all numbers; 0 of none.
    pub fn mean(&self) -> f64 {
        let numbers: u64 = self.counts.iter().sum();
        self.sum / numbers.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_in_the_bucket_that_begins_at_or_below_it() {
        let mut sizes = Histogram::of_cluster_sizes();
        assert!(sizes.mean().abs() < f64::EPSILON);
        for size in [1.0, 16.0, 31.0, 5000.0] {
            sizes.count(size);
        }
        let filled = sizes.edges().iter().zip(sizes.counts());
        let filled: Vec<(f32, u64)> = filled
            .filter(|(_, count)| **count > 0)
            .map(|(edge, count)| (*edge, *count))
            .collect();
        assert_eq!(filled, [(1.0, 1), (16.0, 2), (1024.0, 1)]);
        assert!((sizes.mean() - 1262.0).abs() < 1e-9);
    }

    #[test]
    fn edges_grow() {
        for histogram in [Histogram::of_cluster_sizes(), Histogram::of_key_spreads()] {
            assert!(histogram.edges().is_sorted_by(|a, b| a < b));
        }
    }
}
