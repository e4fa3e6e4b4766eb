//! What the tokens that no search found may weigh, from those that it found.
//!
//! Ranked by weight, the weights of attention mostly fall as a power of the rank that grows. So the power at the last ranks
//! found, carried on to the last token, is mostly more than what is there: of exact ranks of two real traces, the median
//! was 1.2 to 3.6 times as much in all but one of twelve cases (five layers, the first 64 to 1024 ranks), and a third in
//! that one. The last weight times the tokens that are left would be a bound, but every search would read everything.

/// The tokens of one query head that a search found, by rank, and an estimate of the others.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ranks {
    /// Logarithm of the sum of weights of the first tokens, one more each.
    sums: Vec<f32>,
    /// Of the last token found.
    last: f32,
    /// The weight falls by this power of the rank.
    slope: f64,
    /// Logarithm of the sum of weights of all tokens that were not found.
    pub(super) rest: f32,
    /// Tokens that were not found.
    pub(super) left: usize,
}

impl Ranks {
    /// Of `logits`, the largest first, of some of `tokens` tokens.
    pub(super) fn new(logits: &[f32], tokens: usize) -> Self {
        let count = logits.len();
        let left = tokens.saturating_sub(count);
        let most = logits.first().copied().unwrap_or(0.0);
        let mut sum = 0.0;
        let sums = logits.iter().map(|logit| {
            sum += f64::from(logit - most).exp();
            most + sum.ln() as f32
        });
        let last = logits.last().copied().unwrap_or(f32::NEG_INFINITY);
        let half = count.div_ceil(2);
        let slope = if half < count {
            f64::from(logits[half - 1] - last) / (count as f64 / half as f64).ln()
        } else {
            0.0
        };
        let area = area(slope, tokens as f64 / count as f64);
        let rest = if count > 0 && left > 0 {
            last + (area * count as f64).ln() as f32
        } else {
            f32::NEG_INFINITY
        };
        Self {
            sums: sums.collect(),
            last,
            slope,
            rest,
            left,
        }
    }

    /// Logarithm of the weight of all tokens.
    pub(super) fn all(&self) -> f32 {
        add(self.found(), self.rest)
    }

    /// Logarithm of the weight of the tokens that were found.
    pub(super) fn found(&self) -> f32 {
        self.sums.last().copied().unwrap_or(f32::NEG_INFINITY)
    }

    /// How many of the first tokens leave at most a share of the weight of everything, which is theirs and `beside`'s
    /// (a logarithm). More than were found where those are not enough: what the slope says then.
    pub(super) fn enough(&self, share: f32, beside: f32) -> usize {
        let all = self.all();
        let allowed = add(all, beside) + share.ln();
        let leaves = |first: f32| 1.0 - (first - all).exp() <= (allowed - all).exp();
        if leaves(f32::NEG_INFINITY) {
            return 0;
        }
        let found = self.sums.len();
        let count = self.sums.partition_point(|first| !leaves(*first)) + 1;
        if count <= found || self.left == 0 {
            return count.min(found);
        }
        let whole = area(self.slope, (found + self.left) as f64 / found as f64);
        let weight = f64::from(allowed - self.last).exp();
        let times = reach(self.slope, whole - weight / found as f64);
        ((times * found as f64) as usize).clamp(found + 1, found + self.left)
    }
}

/// The integral of `x^-slope` from 1 to `end`.
fn area(slope: f64, end: f64) -> f64 {
    let power = 1.0 - slope;
    if power.abs() < 1e-6 {
        end.ln()
    } else {
        (end.powf(power) - 1.0) / power
    }
}

/// Where [`area`] ends, given what it is.
fn reach(slope: f64, area: f64) -> f64 {
    let power = 1.0 - slope;
    if power.abs() < 1e-6 {
        area.exp()
    } else {
        (1.0 + power * area).max(0.0).powf(1.0 / power)
    }
}

/// `log(exp(a) + exp(b))`.
pub(super) fn add(a: f32, b: f32) -> f32 {
    let most = a.max(b);
    if most == f32::NEG_INFINITY {
        return most;
    }
    most + ((a - most).exp() + (b - most).exp()).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Weights that fall as a power of the rank.
    fn power(exponent: f32, tokens: usize) -> Vec<f32> {
        (1..=tokens)
            .map(|rank| -exponent * (rank as f32).ln())
            .collect()
    }

    fn sum(logits: &[f32]) -> f32 {
        logits.iter().map(|logit| logit.exp()).sum()
    }

    #[test]
    fn a_power_of_the_rank_is_carried_on() {
        for exponent in [0.0, 0.5, 1.0, 2.0] {
            let logits = power(exponent, 10_000);
            let ranks = Ranks::new(&logits[..500], 10_000);
            let (found, rest) = (sum(&logits[..500]), sum(&logits[500..]));
            assert!((ranks.found().exp() / found - 1.0).abs() < 1e-3);
            assert!((ranks.rest.exp() / rest - 1.0).abs() < 0.05, "{exponent}");
            assert_eq!(ranks.left, 9_500);
        }
    }

    #[test]
    fn weights_that_fall_faster_are_not_underestimated() {
        let logits: Vec<f32> = (0..10_000).map(|rank| -0.003 * rank as f32).collect();
        let ranks = Ranks::new(&logits[..500], 10_000);
        assert!(ranks.rest.exp() > sum(&logits[500..]));
    }

    #[test]
    fn enough_is_as_few_as_leave_the_share() {
        let logits = power(2.0, 1000);
        let ranks = Ranks::new(&logits[..200], 1000);
        let all = ranks.all().exp();
        let first = ranks.enough(0.01, f32::NEG_INFINITY);
        assert!(all - sum(&logits[..first]) <= 0.01 * all * 1.001);
        assert!(all - sum(&logits[..first - 1]) > 0.01 * all * 0.999);
        // What is computed beside them may be nearly everything.
        assert_eq!(ranks.enough(0.01, 10.0), 0);
        let beyond = ranks.enough(0.002, f32::NEG_INFINITY);
        let missing = 1.0 - sum(&logits[..beyond]) / sum(&logits);
        assert!(beyond > 200 && (missing - 0.002).abs() < 2e-4, "{beyond}");
        assert_eq!(ranks.enough(1e-9, f32::NEG_INFINITY), 999);
        let whole = Ranks::new(&logits, 1000);
        assert_eq!((whole.left, whole.rest), (0, f32::NEG_INFINITY));
        assert!(Ranks::new(&[], 0).all().is_infinite());
    }
}
