//! What follows from audits of one KV head: where its measured error is over the target of the callers, the `adaptive` mode
//! is given a lower one.
//!
//! The measured square error over the square of the target is averaged since the target was last changed. Where the
//! average is over 1 by twice its standard deviation, the factor on the target falls; where it is as surely under a quarter,
//! it rises slowly, back to 1. One audit is not enough for either: single queries of a good head are off by several times
//! its usual error.

use crate::model::Audit;

/// The factor is at least this.
pub const LEAST_FACTOR: f32 = 0.125;
/// A factor falls to this much of itself at least, at once.
const LARGEST_FALL: f64 = 0.5;
/// A factor falls so far that the error, if it goes with the target, is this share of it.
const AIM: f64 = 0.9;
/// A factor rises by this much.
const RISE: f64 = 1.25;
/// Squares of errors that are well under their target: half of it. One rise leaves them under.
const WELL_UNDER: f64 = 0.25;
/// Standard deviations that an average must be beside what it is compared with.
const DEVIATIONS: f64 = 2.0;
/// Audits before a factor falls.
const FEWEST_TO_FALL: f64 = 4.0;
/// Audits before a factor rises.
const FEWEST_TO_RISE: f64 = 16.0;
/// At so many audits without a change, old ones begin to count less.
const MOST: f64 = 64.0;

/// What an answer in `adaptive` mode was made for.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// That its caller asked for.
    pub error: f32,
    /// That the target was multiplied with.
    pub factor: f32,
}

/// What audits found of one head.
#[derive(Clone, Debug, PartialEq)]
pub struct Feedback {
    audits: u64,
    /// Of all measured square errors.
    squares: f64,
    recent: Recent,
    factor: f32,
}

/// Measured square errors over squares of targets since the factor changed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Recent {
    count: f64,
    sum: f64,
    /// Of squares of the same.
    squares: f64,
    /// Sum of the variances that the audits gave.
    variances: f64,
}

impl Default for Feedback {
    fn default() -> Self {
        Self {
            audits: 0,
            squares: 0.0,
            recent: Recent::default(),
            factor: 1.0,
        }
    }
}

impl Feedback {
    /// Takes in an audit of an answer to which `adaptive` had a target; none for other modes, which no factor changes. An
    /// answer that was made with another factor than that of now, since it took long, says nothing of this one.
    pub fn learn(&mut self, audit: &Audit, target: Option<Target>) {
        self.audits += 1;
        self.squares += audit.square;
        let target = target.filter(|target| target.factor.to_bits() == self.factor.to_bits());
        let Some(target) = target.map(|target| f64::from(target.error)) else {
            return;
        };
        let unit = target * target;
        self.recent
            .add(audit.square / unit, audit.variance / (unit * unit));
        if let Some(times) = self.recent.change() {
            let factor = f64::from(self.factor) * times;
            self.factor = (factor as f32).clamp(LEAST_FACTOR, 1.0);
            self.recent = Recent::default();
        }
        self.recent.forget();
    }

    /// What the target of `adaptive` is multiplied with: from [`LEAST_FACTOR`] to 1.
    pub fn factor(&self) -> f32 {
        self.factor
    }

    /// Audits so far.
    pub fn audits(&self) -> u64 {
        self.audits
    }

    /// Mean of the measured square errors; 0 of no audits.
    pub fn mean_square(&self) -> f64 {
        self.squares / self.audits.max(1) as f64
    }
}

impl Recent {
    fn add(&mut self, square: f64, variance: f64) {
        self.count += 1.0;
        self.sum += square;
        self.squares += square * square;
        self.variances += variance;
    }

    /// What the factor is to be multiplied with, where what was found is sure enough.
    fn change(&self) -> Option<f64> {
        if self.count < FEWEST_TO_FALL {
            return None;
        }
        let mean = self.sum / self.count;
        let beside = DEVIATIONS * self.deviation(mean);
        if mean - beside > 1.0 {
            return Some((AIM / mean.sqrt()).max(LARGEST_FALL));
        }
        (self.count >= FEWEST_TO_RISE && mean + beside < WELL_UNDER).then_some(RISE)
    }

    /// Standard deviation of the mean: what the audits scatter, and at least what they say of themselves.
    fn deviation(&self, mean: f64) -> f64 {
        let scatter = (self.squares / self.count - mean * mean) / (self.count - 1.0);
        let own = self.variances / (self.count * self.count);
        scatter.max(own).max(0.0).sqrt()
    }

    fn forget(&mut self) {
        if self.count >= MOST {
            for sum in [
                &mut self.count,
                &mut self.sum,
                &mut self.squares,
                &mut self.variances,
            ] {
                *sum /= 2.0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::SeedableRng as _;
    use rand_distr::{Distribution as _, StandardNormal};
    use rand_pcg::Pcg64Mcg;

    const TARGET: f32 = 0.05;

    /// As a head is given it now.
    fn target(head: &Feedback) -> Target {
        Target {
            error: TARGET,
            factor: head.factor(),
        }
    }

    fn audit(error: f64, deviation: f64) -> Audit {
        Audit {
            square: error * error,
            variance: deviation * deviation,
            ..Audit::default()
        }
    }

    /// A head whose errors are `times` the target that it is given, more or less, audited a number of times.
    fn audited(head: &mut Feedback, times: f64, audits: usize, seed: u64) {
        let mut rng = Pcg64Mcg::seed_from_u64(seed);
        let mut normal = || -> f64 { StandardNormal.sample(&mut rng) };
        for _ in 0..audits {
            let aimed = f64::from(TARGET * head.factor());
            let error = times * aimed * (0.5 * normal()).exp();
            let deviation = 0.3 * error * error;
            let measured = Audit {
                square: error * error + deviation * normal(),
                variance: deviation * deviation,
                ..Audit::default()
            };
            head.learn(&measured, Some(target(head)));
        }
    }

    /// Root mean square of the errors of such a head, in targets.
    fn level(head: &Feedback, times: f64) -> f64 {
        f64::from(head.factor()) * times * 0.25_f64.exp()
    }

    #[test]
    fn a_head_over_its_target_ends_up_at_it() {
        for seed in 0..20 {
            for times in [1.2, 2.0, 4.0] {
                let mut head = Feedback::default();
                audited(&mut head, times, 300, seed);
                let level = level(&head, times);
                assert!((0.4..1.25).contains(&level), "{level} of {times}");
            }
            let mut hopeless = Feedback::default();
            audited(&mut hopeless, 50.0, 300, seed);
            assert!((hopeless.factor() - LEAST_FACTOR).abs() < 1e-9);
        }
    }

    #[test]
    fn a_head_under_its_target_is_left_alone_and_one_that_was_over_recovers() {
        for seed in 0..20 {
            let mut head = Feedback::default();
            audited(&mut head, 0.6, 300, seed);
            assert!(head.factor() >= 1.0);
            audited(&mut head, 3.0, 300, seed);
            assert!(head.factor() < 0.6);
            audited(&mut head, 0.3, 1000, seed);
            assert!(head.factor() >= 1.0, "{}", head.factor());
        }
    }

    #[test]
    fn one_bad_answer_is_not_enough() {
        let mut head = Feedback::default();
        audited(&mut head, 0.5, 20, 1);
        head.learn(&audit(0.5, 0.001), Some(target(&head)));
        assert!(head.factor() >= 1.0);
        assert_eq!(head.audits(), 21);
    }

    #[test]
    fn what_is_not_sure_changes_nothing() {
        let mut head = Feedback::default();
        for _ in 0..30 {
            head.learn(&audit(0.06, 0.2), Some(target(&head)));
        }
        assert!(head.factor() >= 1.0);
        assert!((head.mean_square() - 0.0036).abs() < 1e-9);
    }

    #[test]
    fn an_answer_of_before_the_last_change_says_nothing_of_now() {
        let mut head = Feedback::default();
        let before = target(&head);
        for _ in 0..4 {
            head.learn(&audit(0.06, 0.001), Some(before));
        }
        let factor = head.factor();
        assert!(factor < 1.0);
        for _ in 0..50 {
            head.learn(&audit(0.06, 0.001), Some(before));
        }
        assert!((head.factor() - factor).abs() < 1e-9);
        assert_eq!(head.audits(), 54);
    }

    proptest! {
        #[test]
        fn the_factor_has_bounds_and_larger_errors_never_raise_it(
            errors in prop::collection::vec((-1.0_f64..3.0, 0.0_f64..0.3), 0..200),
            times in 1.0_f64..4.0,
        ) {
            let mut head = Feedback::default();
            let [mut recent, mut worse] = [Recent::default(); 2];
            for (square, deviation) in errors {
                let unit = f64::from(TARGET).powi(2);
                let measured = Audit {
                    square: square * unit,
                    variance: (deviation * unit).powi(2),
                    ..Audit::default()
                };
                head.learn(&measured, Some(target(&head)));
                prop_assert!((LEAST_FACTOR..=1.0).contains(&head.factor()));
                recent.add(square, deviation * deviation);
                worse.add(square * times, (deviation * times).powi(2));
                let change = |recent: &Recent| recent.change().unwrap_or(1.0);
                prop_assert!(change(&worse) <= change(&recent) * (1.0 + 1e-9));
            }
        }
    }
}
