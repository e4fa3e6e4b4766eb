//! What the answers of the daemon cost, summed up.

use wavekv_client::wire::AttendReport;

/// Sums over the calls of a generation.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Used {
    /// Visible tokens, over query tokens, layers and KV heads, and those of them in each zone.
    pub visible: u64,
    /// Computed exactly: sink, recent window, and what was retrieved.
    pub exact: u64,
    /// Weighed by codes of half a byte an element.
    pub coded: u64,
    /// Estimated with their cluster.
    pub estimated: u64,
    /// That the daemon's kernels read.
    pub bytes: u64,
    /// That reading all K and V would take.
    pub full_bytes: u64,
    /// Estimated errors |out - exact| / |exact| of all heads: sum, count, and the largest.
    error_sum: f64,
    errors: u64,
    /// The largest of them.
    pub worst_error: f32,
}

impl Used {
    /// Adds an answer's.
    pub fn add(&mut self, report: &AttendReport) {
        self.visible += report.visible_tokens;
        self.exact += report.steady_tokens + report.retrieved_tokens;
        self.coded += report.coded_tokens;
        self.estimated += report.estimated_tokens;
        self.bytes += report.bytes_read;
        self.full_bytes += report.full_bytes;
        for &error in &report.error_estimate {
            self.error_sum += f64::from(error);
            self.errors += 1;
            self.worst_error = self.worst_error.max(error);
        }
    }

    /// Mean of the estimated errors; 0 when there was no answer.
    pub fn mean_error(&self) -> f64 {
        if self.errors == 0 {
            0.0
        } else {
            self.error_sum / self.errors as f64
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_summed_and_their_errors_averaged() {
        let report = |error_estimate: &[f32]| AttendReport {
            visible_tokens: 10,
            steady_tokens: 2,
            retrieved_tokens: 1,
            coded_tokens: 3,
            estimated_tokens: 4,
            bytes_read: 5,
            full_bytes: 50,
            error_estimate: error_estimate.to_vec(),
            ..Default::default()
        };
        let mut used = Used::default();
        assert!(used.mean_error().abs() < f64::EPSILON);
        used.add(&report(&[0.1, 0.3]));
        used.add(&report(&[0.2]));
        assert_eq!((used.visible, used.exact, used.coded), (20, 6, 6));
        assert_eq!((used.estimated, used.bytes, used.full_bytes), (8, 10, 100));
        assert!((used.mean_error() - 0.2).abs() < 1e-6);
        assert!((used.worst_error - 0.3).abs() < 1e-6);
    }
}
