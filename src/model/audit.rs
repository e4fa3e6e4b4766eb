//! The error of an answer, measured.

/// Standard deviations on either side of an estimate that hold 95 % of a normal distribution.
const NORMAL_95: f64 = 1.96;

/// What was found of some query rows of an answer. Of several such, all of the same number of rows: [`Audit::mean`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Audit {
    /// Mean over the rows of `|out - exact|^2 / |exact|^2`: an unbiased estimate, which chance may take below 0.
    pub square: f64,
    /// Of that estimate; 0 where all that was not computed for the answer was computed for the audit.
    pub variance: f64,
    /// Drawn and computed exactly.
    pub clusters: u64,
    /// Computed exactly.
    pub tokens: u64,
    /// K, V, codes and meta index, beside what the answer read.
    pub bytes_read: u64,
}

impl Audit {
    /// Root mean square of `|out - exact| / |exact|`.
    pub fn error(self) -> f64 {
        self.square.max(0.0).sqrt()
    }

    /// The ends of the 95 % confidence interval of [`Audit::error`], as if the estimate of the square were normal.
    pub fn interval(self) -> [f64; 2] {
        let half = NORMAL_95 * self.variance.sqrt();
        [-half, half].map(|beside| (self.square + beside).max(0.0).sqrt())
    }

    /// The audit of all the rows together; none of no rows.
    pub fn mean(audits: impl IntoIterator<Item = Self>) -> Option<Self> {
        let mut count = 0.0;
        let mut sum = Self::default();
        for audit in audits {
            count += 1.0;
            sum = Self {
                square: sum.square + audit.square,
                variance: sum.variance + audit.variance,
                clusters: sum.clusters + audit.clusters,
                tokens: sum.tokens + audit.tokens,
                bytes_read: sum.bytes_read + audit.bytes_read,
            };
        }
        (count > 0.0).then(|| Self {
            square: sum.square / count,
            variance: sum.variance / (count * count),
            ..sum
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_together_are_surer_than_each() {
        let one = |square| Audit {
            square,
            variance: 1e-6,
            clusters: 3,
            tokens: 40,
            bytes_read: 1000,
        };
        let both = Audit::mean([one(0.003), one(0.001)]).unwrap();
        assert!((both.square - 0.002).abs() < 1e-12);
        assert!((both.variance - 0.5e-6).abs() < 1e-15);
        assert_eq!((both.clusters, both.tokens, both.bytes_read), (6, 80, 2000));
        let [low, high] = both.interval();
        assert!(low < both.error() && both.error() < high);
        assert_eq!(Audit::mean([]), None);
    }

    #[test]
    fn what_chance_takes_below_zero_is_zero() {
        let audit = Audit {
            square: -1e-6,
            variance: 4e-12,
            ..Audit::default()
        };
        assert!(audit.error() == 0.0 && audit.interval()[0] == 0.0);
        assert!(audit.interval()[1] > 0.0);
        assert!(Audit::default().interval()[1] < 1e-12);
    }
}
