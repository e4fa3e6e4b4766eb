//! How fast a count grows.

/// From one count to a later one, so many a second. A count that has gone back has begun anew.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rate {
    /// Between the two counts.
    pub(super) seconds: f64,
}

impl Rate {
    pub(super) fn of(self, before: u64, now: u64) -> f64 {
        if self.seconds > 0.0 {
            grown(before, now) as f64 / self.seconds
        } else {
            0.0
        }
    }
}

/// By how much.
pub(super) fn grown(before: u64, now: u64) -> u64 {
    now.checked_sub(before).unwrap_or(now)
}

/// A part of the whole; of nothing, none.
pub(super) fn share(part: u64, rest: u64) -> Option<f64> {
    let whole = part + rest;
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_what_came_by_the_time_that_it_took() {
        let rate = Rate { seconds: 2.0 };
        assert!((rate.of(10, 30) - 10.0).abs() < 1e-12);
        assert!((rate.of(30, 10) - 5.0).abs() < 1e-12, "it has begun anew");
        assert!(Rate { seconds: 0.0 }.of(1, 2).abs() < 1e-12);
        assert_eq!(share(1, 3), Some(0.25));
        assert_eq!(share(0, 0), None);
    }
}
