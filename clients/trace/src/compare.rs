//! How far an answer is from the exact one.

/// `|a - b| / |b|` in the Euclidean norm. 0 when both are zero vectors, infinite when only `b` is.
pub fn relative_error(a: &[f32], b: &[f64]) -> f64 {
    let (mut difference, mut norm) = (0.0, 0.0);
    for (&a, &b) in a.iter().zip(b) {
        difference += (f64::from(a) - b).powi(2);
        norm += b * b;
    }
    if difference == 0.0 {
        0.0
    } else {
        (difference / norm).sqrt()
    }
}

/// The relative error of every vector of `dim` elements: one per query and head for an output
/// `[queries, q_heads, dim]`. NaN anywhere in a vector makes its error NaN.
pub fn relative_errors(out: &[f32], exact: &[f64], dim: usize) -> Vec<f64> {
    let dim = dim.max(1);
    out.chunks(dim)
        .zip(exact.chunks(dim))
        .map(|(a, b)| relative_error(a, b))
        .collect()
}

/// The nearest-rank percentile: the smallest of `ascending` that at least `share` (0 to 1) of them do not exceed.
/// NaN when there are none.
pub fn percentile(ascending: &[f64], share: f64) -> f64 {
    let rank = (share * ascending.len() as f64).ceil() as usize;
    ascending
        .get(rank.saturating_sub(1))
        .copied()
        .unwrap_or(f64::NAN)
}

/// Arithmetic mean; NaN when there are none.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// A sample in five numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Summary {
    /// Arithmetic mean.
    pub mean: f64,
    /// Median, by nearest rank as the others.
    pub p50: f64,
    /// 95th percentile.
    pub p95: f64,
    /// 99th percentile.
    pub p99: f64,
    /// The largest.
    pub max: f64,
}

impl Summary {
    /// Summarises `values`; all NaN when there are none. A NaN counts as larger than every number.
    pub fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        Self {
            mean: mean(&values),
            p50: percentile(&values, 0.50),
            p95: percentile(&values, 0.95),
            p99: percentile(&values, 0.99),
            max: percentile(&values, 1.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-12
    }

    #[test]
    fn errors_are_relative_to_the_exact_vector() {
        let errors = relative_errors(&[3.0, 4.0, 1.0, 0.0], &[3.0, 4.0, 2.0, 0.0], 2);
        assert!(close(errors[0], 0.0) && close(errors[1], 0.5), "{errors:?}");
        assert!(close(relative_error(&[0.0], &[0.0]), 0.0));
        assert!(relative_error(&[1.0], &[0.0]).is_infinite());
        assert!(relative_error(&[f32::NAN], &[1.0]).is_nan());
    }

    #[test]
    fn percentiles_are_nearest_rank() {
        let values: Vec<f64> = (1..=100).map(f64::from).collect();
        assert!(close(percentile(&values, 0.05), 5.0));
        let summary = Summary::of(values.into_iter().rev().collect());
        let five = [
            summary.mean,
            summary.p50,
            summary.p95,
            summary.p99,
            summary.max,
        ];
        for (found, expected) in five.into_iter().zip([50.5, 50.0, 95.0, 99.0, 100.0]) {
            assert!(close(found, expected), "{summary:?}");
        }
        assert!(close(percentile(&[7.0], 0.0), 7.0));
        assert!(Summary::of(Vec::new()).p50.is_nan());
    }
}
